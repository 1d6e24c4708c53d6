"""`zaehlwerk bench bridge`, `streams` and `backlog` for people and machines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from zaehlwerk_tools.bridge_bench.backlog import bench_backlog
from zaehlwerk_tools.bridge_bench.bench import Tell, bench_bridge
from zaehlwerk_tools.bridge_bench.peers.known import PEERS
from zaehlwerk_tools.bridge_bench.peers.peer import Peer, PeerMissing
from zaehlwerk_tools.bridge_bench.streams import bench_streams
from zaehlwerk_tools.errors import ZaehlwerkError

CHECKOUT = Path(__file__).resolve().parents[3]
EXIT_NOTHING_LOST, EXIT_LOST, EXIT_PEER_MISSING = 0, 1, 3
SOURCES = ("redis", "grpc")
FAIR_RUNS = 5
"""So many runs by turns at least where somebody is compared."""
LEAST_MESSAGES = 10


def run(messages: int, source: str, runs: int | None, peers: Sequence[str], *, as_json: bool) -> int:
    """Measure, tell; the exit status. `runs` None: one, or as many as a comparison needs.

    A peer that cannot be had is told in a sentence, and the others are measured without it. Raises ZaehlwerkError for
    what is asked and cannot be measured here.
    """
    runs = _checked(messages, source, runs, peers)
    there: list[Peer] = []
    missing = False
    with _bar() as (console, tell):
        for name in dict.fromkeys(peers):
            tell(f"{name}: fetching what is not there yet", 0, 0)
            try:
                there += PEERS[name](CHECKOUT)
            except PeerMissing as why:
                console.print(f"zaehlwerk: {why}; the others are measured", highlight=False, markup=False)
                missing = True
        figures = bench_bridge(CHECKOUT, source, messages, runs, there, tell)
    _print(figures, f"bridge, {source} to PUBACK", as_json=as_json)
    if figures["lost"]:
        return EXIT_LOST
    return EXIT_PEER_MISSING if missing else EXIT_NOTHING_LOST


def run_streams(devices: int, limit: int, *, as_json: bool) -> int:
    """Open a stream for each device, tell; the exit status. Raises ZaehlwerkError."""
    if devices < 1:
        raise ZaehlwerkError(f"--devices {devices}: one at least")
    with _bar() as (_, tell):
        figures = bench_streams(devices, limit, tell)
    _print(figures, "a first start with gRPC streams", as_json=as_json)
    return EXIT_LOST if figures["lost"] else EXIT_NOTHING_LOST


def run_backlog(messages: int, *, as_json: bool) -> int:
    """Pile up a backlog and take it down, tell; the exit status. Raises ZaehlwerkError."""
    if messages < LEAST_MESSAGES:
        raise ZaehlwerkError(f"--messages {messages}: {LEAST_MESSAGES} at least")
    with _bar() as (_, tell):
        figures = bench_backlog(CHECKOUT, messages, tell)
    _print(figures, "a backlog while the broker is gone", as_json=as_json)
    return EXIT_NOTHING_LOST if figures["flat"] and not figures["lost"] else EXIT_LOST


@contextlib.contextmanager
def _bar() -> Iterator[tuple[Console, Tell]]:
    """A bar on standard error, and what moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield (
            console,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None),
        )


def _print(figures: Mapping[str, object], title: str, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(figures, separators=(",", ":")) + "\n")
    else:
        Console().print(_table(figures, title))


def _checked(messages: int, source: str, runs: int | None, peers: Sequence[str]) -> int:
    """How many runs. Raises ZaehlwerkError."""
    if messages < LEAST_MESSAGES:
        raise ZaehlwerkError(f"--messages {messages}: {LEAST_MESSAGES} at least")
    if source not in SOURCES:
        raise ZaehlwerkError(f"--source {source}: known are {', '.join(SOURCES)}")
    for peer in peers:
        if peer not in PEERS:
            raise ZaehlwerkError(f"--peer {peer}: known are {', '.join(PEERS)}")
    least = FAIR_RUNS if peers else 1
    if runs is not None and runs < least:
        raise ZaehlwerkError(
            f"--runs {runs}: {least} at least" + (" where a peer is compared" if peers else "")
        )
    return runs or least


def _table(figures: Mapping[str, object], title: str) -> Table:
    table = Table("what", "value", title=title, box=None, pad_edge=False, min_width=len(title))
    for name, value in figures.items():
        if isinstance(value, dict):
            for peer, of_peer in value.items():
                listed = of_peer if isinstance(of_peer, dict) else {"messages_per_s": of_peer}
                for what, number in listed.items():
                    table.add_row(f"{peer.replace('_', ' ')}: {what.replace('_', ' ')}", str(number))
        else:
            table.add_row(name.replace("_", " "), str(value))
    return table
