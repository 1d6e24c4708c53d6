"""`zaehlwerk bench chaos` for people and machines."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from zaehlwerk_tools.chaos.offered import clock_stepped, offer
from zaehlwerk_tools.chaos.run import Outcome, run_chaos
from zaehlwerk_tools.chaos.schedule import (
    CRASH_POINTS,
    OF_REDIS,
    Fault,
    possible,
    schedule,
    server_steps,
)
from zaehlwerk_tools.chaos.small_disk import available
from zaehlwerk_tools.errors import ZaehlwerkError

CHECKOUT = Path(__file__).resolve().parents[3]
EXIT_KEPT, EXIT_BROKEN = 0, 1
STORES = ("sqlite", "postgresql")
BRIDGES_MOST = 9
LEAST_MINUTES = 0.1
SOURCES = ("redis", "grpc")


def run(
    seed: int,
    minutes: float,
    bridges: int,
    store: str | None,
    *,
    source: str = "redis",
    only_schedule: bool,
    keep: bool,
    as_json: bool,
) -> int:
    """Run, tell; the exit status. Raises ZaehlwerkError for what is asked and cannot be run here."""
    postgresql = _checked(minutes, bridges, store, source) == "postgresql"
    seconds = 60 * minutes
    disk, grpc = available(), source == "grpc"
    names = [f"bridge-{number}" for number in range(1, bridges + 1)]
    faults = schedule(
        seed,
        seconds,
        possible(names, postgresql=postgresql, disk=disk, grpc=grpc),
        points=[point for point in CRASH_POINTS if not grpc or point not in OF_REDIS],
    )
    skipped = [] if disk else ["disk"]
    if only_schedule:
        _print_schedule(faults, as_json=as_json)
        return EXIT_KEPT
    directory = Path(tempfile.mkdtemp(prefix="zaehlwerk-chaos-"))
    directory.chmod(0o755)  # PostgreSQL may have to run as another user
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("starting", total=None)
            running = run_chaos(
                CHECKOUT,
                directory,
                clock_stepped(offer(seed, seconds, int(time.time())), server_steps(faults)),
                faults,
                bridges,
                postgresql=postgresql,
                disk=disk,
                grpc=grpc,
                seed=seed,
                tell=lambda what, done, total: bar.update(
                    task, description=what, completed=done, total=total
                ),
            )
            outcome = _told(running)
    finally:
        if keep:
            sys.stderr.write(f"left behind: {directory}\n")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    figures = _figures(outcome, skipped, seed)
    if as_json:
        sys.stdout.write(json.dumps(figures, separators=(",", ":"), ensure_ascii=False) + "\n")
    else:
        Console().print(_table(figures))
    return EXIT_KEPT if outcome.good else EXIT_BROKEN


def _told(running: Any) -> Outcome:
    """What a run has shown; of several tasks that failed together, what the first says."""
    try:
        outcome: Outcome = asyncio.run(running)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return outcome


def _checked(minutes: float, bridges: int, store: str | None, source: str) -> str:
    """Which store. Raises ZaehlwerkError."""
    if source not in SOURCES:
        raise ZaehlwerkError(f"--source {source}: known are {', '.join(SOURCES)}")
    if source == "grpc" and bridges > 1:
        raise ZaehlwerkError(
            "--source grpc: several bridges need --source redis, whose group shares the work"
        )
    if minutes < LEAST_MINUTES:
        raise ZaehlwerkError(f"--minutes {minutes:g}: {LEAST_MINUTES:g} at least")
    if not 1 <= bridges <= BRIDGES_MOST:
        raise ZaehlwerkError(f"--bridges {bridges}: 1 to {BRIDGES_MOST}")
    store = store or ("sqlite" if bridges == 1 else "postgresql")
    if store not in STORES:
        raise ZaehlwerkError(f"--store {store}: known are {', '.join(STORES)}")
    if bridges > 1 and store == "sqlite":
        raise ZaehlwerkError("--bridges: several bridges need --store postgresql, which they share")
    return store


def _print_schedule(faults: Sequence[Fault], *, as_json: bool) -> None:
    for fault in faults:
        if as_json:
            told = {"at_s": fault.at_s, "kind": fault.kind, "target": fault.target}
            line = json.dumps({**told, "lasting_s": fault.lasting_s, "how": fault.how})
        else:
            line = str(fault)
        sys.stdout.write(f"{line}\n")


def _figures(outcome: Outcome, skipped: Sequence[str], seed: int) -> dict[str, object]:
    return {
        "offered": outcome.offered,
        "acknowledged": outcome.acknowledged,
        "lost": outcome.lost,
        "unexpected": outcome.unexpected,
        "duplicates_visible": outcome.duplicates_visible,
        "order_violations": outcome.order_violations,
        "messages": outcome.messages,
        "faults": dict(sorted(outcome.faults.items())),
        "skipped": list(skipped),
        "broke": outcome.broke,
        "seed": seed,
    }


def _table(figures: dict[str, object]) -> Table:
    table = Table("what", "value", title="chaos round the bridge", box=None, pad_edge=False)
    for name, value in figures.items():
        if isinstance(value, dict):
            for fault, times in value.items():
                table.add_row(f"fault: {fault}", str(times))
        else:
            text = ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
            table.add_row(name.replace("_", " "), text)
    return table
