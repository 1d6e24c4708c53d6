"""`zaehlwerk flash`, `provision` and `firmware build` at the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from zaehlwerk_tools.technician.flash import Flashed, flash
from zaehlwerk_tools.technician.manifest import Manifest, read_build
from zaehlwerk_tools.technician.provision import provision, read_settings
from zaehlwerk_tools.technician.troubles import Status, TechnicianError


def run_flash(port: str, build: Path, *, dry_run: bool, as_json: bool) -> int:
    """Flash one board; the exit status. What is wrong is told here, with a record if `as_json`."""
    began = time.monotonic()
    try:
        manifest, contents = read_build(build)
        with _bar(quiet=as_json) as progress:
            flashed = flash(port, manifest, contents, dry_run=dry_run, progress=progress)
    except TechnicianError as error:
        return _failed(port, error, as_json=as_json)
    if as_json:
        seconds = round(time.monotonic() - began, 1)
        _print_json({"port": port, **flashed.document(), "status": 0, "seconds": seconds})
    else:
        sys.stdout.write(_told(port, flashed) + "\n")
    return int(Status.DONE)


def run_provision(
    port: str,
    settings: Path,
    *,
    app_key_file: str | None,
    keys: Path,
    replace: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Provision one board; the exit status. No key is ever written here."""
    try:
        done = provision(
            port,
            read_settings(settings),
            app_key_file=app_key_file,
            keys=keys,
            replace=replace,
            dry_run=dry_run,
        )
    except TechnicianError as error:
        return _failed(port, error, as_json=as_json)
    if as_json:
        _print_json({"port": port, **done.document(), "status": 0})
        return int(Status.DONE)
    key = "" if done.key is None or done.key.kept_in is None else f"; its key is in {done.key.kept_in}"
    told = {
        "unchanged": "has these settings already, nothing written",
        "would provision": "would get these settings",
        "provisioned": f"has its settings, verified by hash{key}; the board starts",
    }[done.result]
    sys.stdout.write(f"{port}: {done.facts.chip} {done.facts.unique_id}: node {done.dev_eui} {told}\n")
    return int(Status.DONE)


def _failed(port: str, error: TechnicianError, *, as_json: bool) -> int:
    if as_json:
        _print_json({"port": port, "result": "failed", "status": int(error.status), "error": str(error)})
    sys.stderr.write(f"zaehlwerk: {error}\n")
    return int(error.status)


def print_build(manifest: Manifest, out: Path, *, as_json: bool) -> None:
    """What was built."""
    if as_json:
        _print_json({"directory": str(out), **json.loads(manifest.text())})
        return
    sys.stdout.write(
        f"firmware {manifest.firmware}, protocol {manifest.protocol}: {len(manifest.files)} files, "
        f"{manifest.size / 1000:.1f} kB, .mpy version {manifest.mpy}, in {out}\n"
    )


def _told(port: str, flashed: Flashed) -> str:
    plan, facts = flashed.plan, flashed.facts
    board = f"{port}: {facts.chip} {facts.unique_id}, MicroPython {facts.micropython}"
    if plan.nothing:
        return f"{board}: has firmware {flashed.manifest.firmware} already, nothing written"
    verb = "would be" if flashed.dry_run else "are"
    proven = "" if flashed.dry_run else ", verified by hash; the board starts"
    return (
        f"{board}: {len(plan.write)} files ({plan.size / 1000:.1f} kB) {verb} written, {len(plan.remove)} removed, "
        f"{plan.kept} kept: firmware {flashed.manifest.firmware}{proven}"
    )


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description:28.28}"),
        BarColumn(20),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking at the board", total=None)

        def progress(path: str, done: int, total: int) -> None:
            bar.update(task, description=path or "verifying", completed=done, total=total)

        yield progress


def _print_json(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
