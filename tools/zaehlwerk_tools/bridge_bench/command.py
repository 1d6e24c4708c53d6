"""`zaehlwerk bench bridge` for people and machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from zaehlwerk_tools.bridge_bench.bench import bench_bridge
from zaehlwerk_tools.errors import ZaehlwerkError

CHECKOUT = Path(__file__).resolve().parents[3]
EXIT_NOTHING_LOST, EXIT_LOST = 0, 1
PEERS = ("naive",)
NOT_MEASURED = ("benthos", "node-red")
"""Peers that people ask for and that this bench cannot start."""
FAIR_RUNS = 5
"""So many runs by turns at least where somebody is compared."""
LEAST_MESSAGES = 10


def run(messages: int, source: str, runs: int | None, peers: Sequence[str], *, as_json: bool) -> int:
    """Measure, tell; the exit status. `runs` None: one, or as many as a comparison needs.

    Raises ZaehlwerkError for what is asked and cannot be measured here.
    """
    runs = _checked(messages, source, runs, peers)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        figures = bench_bridge(
            CHECKOUT,
            messages,
            runs,
            peers,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
    if as_json:
        sys.stdout.write(json.dumps(figures, separators=(",", ":")) + "\n")
    else:
        Console().print(_table(figures))
    return EXIT_LOST if figures["lost"] else EXIT_NOTHING_LOST


def _checked(messages: int, source: str, runs: int | None, peers: Sequence[str]) -> int:
    """How many runs. Raises ZaehlwerkError."""
    if messages < LEAST_MESSAGES:
        raise ZaehlwerkError(f"--messages {messages}: {LEAST_MESSAGES} at least")
    if source == "grpc":
        raise ZaehlwerkError(
            "--source grpc: this bench cannot measure it yet; redis is what large fleets use"
        )
    if source != "redis":
        raise ZaehlwerkError(f"--source {source}: known is redis")
    for peer in peers:
        if peer in NOT_MEASURED:
            raise ZaehlwerkError(
                f"--peer {peer}: this bench cannot start it; it can start {', '.join(PEERS)}"
            )
        if peer not in PEERS:
            raise ZaehlwerkError(f"--peer {peer}: known are {', '.join(PEERS)}")
    least = FAIR_RUNS if peers else 1
    if runs is not None and runs < least:
        raise ZaehlwerkError(
            f"--runs {runs}: {least} at least" + (" where a peer is compared" if peers else "")
        )
    return runs or least


def _table(figures: dict[str, object]) -> Table:
    table = Table("what", "value", title="bridge, Redis to PUBACK", box=None, pad_edge=False)
    for name, value in figures.items():
        if isinstance(value, dict):
            for peer, of_peer in value.items():
                for what, number in of_peer.items():
                    table.add_row(f"{peer}: {what.replace('_', ' ')}", str(number))
        else:
            table.add_row(name.replace("_", " "), str(value))
    return table
