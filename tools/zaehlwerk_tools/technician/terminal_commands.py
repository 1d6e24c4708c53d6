"""`zaehlwerk flash`, `provision`, `register` and `firmware build` at the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from zaehlwerk_tools.outputs import write_all
from zaehlwerk_tools.technician.batch import Told, is_done, read_units, run_batch
from zaehlwerk_tools.technician.esp_image import read_image
from zaehlwerk_tools.technician.flash import Flashed, flash
from zaehlwerk_tools.technician.label import A4_MM, LabelError, drawing_of, files_of, labels_of, sheets_of
from zaehlwerk_tools.technician.label_pdf import pdf_of, write_pdf
from zaehlwerk_tools.technician.manifest import Manifest, read_build, sha256
from zaehlwerk_tools.technician.micropython_flash import WOULD_FLASH, put_micropython
from zaehlwerk_tools.technician.ports import ports_of
from zaehlwerk_tools.technician.printing import print_file
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.troubles import Status, TechnicianError
from zaehlwerk_tools.technician.unit import (
    Outcome,
    Wishes,
    bring_up,
    read_unit,
    register_record,
    require_place,
)

SHEETS_PDF = "sheets.pdf"


def run_flash(
    port: str,
    build: Path,
    *,
    dry_run: bool,
    as_json: bool,
    micropython: Path | None = None,
    erase: str | None = None,
) -> int:
    """Flash one board; the exit status. What is wrong is told here, with a record if `as_json`."""
    began = time.monotonic()
    below: dict[str, Any] = {}
    flashed: Flashed | None = None
    try:
        manifest, contents = read_build(build)
        image = None if micropython is None else read_image(micropython)
        with shown_flash(quiet=as_json) as progress:
            if image is not None:
                below = put_micropython(port, image, erase=erase, dry_run=dry_run, progress=progress)
            if below.get("result") != WOULD_FLASH:  # else what is on the board says nothing of what will be
                flashed = flash(port, manifest, contents, dry_run=dry_run, progress=progress)
    except TechnicianError as error:
        return _failed(port, error, as_json=as_json)
    if as_json:
        document: dict[str, Any] = {"result": WOULD_FLASH} if flashed is None else flashed.document()
        if below:
            document["micropython"] = below
        seconds = round(time.monotonic() - began, 1)
        _print_json({"port": port, **document, "status": 0, "seconds": seconds})
        return int(Status.DONE)
    if below:
        sys.stdout.write(f"{port}: {told_micropython(below)}\n")
    if flashed is not None:
        sys.stdout.write(_told(port, flashed) + "\n")
    return int(Status.DONE)


def told_micropython(below: dict[str, Any]) -> str:
    """What was done with MicroPython itself, in a few words."""
    before = "" if below["before"] is None else f" instead of {below['before']}"
    return {
        "unchanged": f"{below['chip']}: has MicroPython {below['version']} already, nothing written",
        WOULD_FLASH: f"{below['chip']}: would get MicroPython {below['version']}{before}, and then the firmware",
        "flashed": f"{below['chip']}: has MicroPython {below['version']}{before}, verified",
    }[str(below["result"])]


def run_provision(port: str, settings: Path, wishes: Wishes, *, as_json: bool) -> int:
    """Provision one board; the exit status. No key is ever written here."""
    try:
        unit = read_unit(settings)
        require_place(unit, wishes.server)
    except TechnicianError as error:
        return _failed(port, error, as_json=as_json)
    with shown_flash(quiet=as_json) as progress:
        outcome = bring_up(port, unit, wishes, progress)
    return _ended(outcome, told_unit, as_json=as_json)


def run_provision_batch(
    table: Path, named: Sequence[str] | None, settings: Path | None, wishes: Wishes, *, as_json: bool
) -> int:
    """Provision all units of a table, one board after the other at each port (see `ports_of`); the exit status.

    Raises NoBoardError: there is something left to do, and no port.
    """
    try:
        units = read_units(table, settings)
        for unit in units:
            require_place(unit, wishes.server)
        done = sum(is_done(unit, wishes) for unit in units)
    except TechnicianError as error:
        return _failed(str(table), error, as_json=as_json)
    if done == len(units):
        return _all_done(table, done, as_json=as_json)
    ports = ports_of(named)
    console = Console(stderr=True, quiet=as_json)
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("units", total=len(units), completed=done)

        def told(news: Told) -> None:
            if news.outcome is not None:
                _ended(news.outcome, told_unit, as_json=as_json)
            elif as_json:
                _print_json({"port": news.port, "result": "empty"})
            else:
                sys.stdout.write(f"{news.port}: put the next board there\n")
            sys.stdout.flush()
            bar.update(task, completed=news.done)

        run_batch(units, ports, wishes, told)
    if not as_json:
        sys.stdout.write(f"{table}: {len(units)} of {len(units)} units are done\n")
    return int(Status.DONE)


def _all_done(table: Path, units: int, *, as_json: bool) -> int:
    if as_json:
        _print_json({"batch": str(table), "result": "unchanged", "units": units, "status": int(Status.DONE)})
    else:
        sys.stdout.write(f"{table}: {units} of {units} units are done already, nothing changed\n")
    return int(Status.DONE)


def run_register(records: Sequence[Path], keys: Path, server: Server, *, as_json: bool) -> int:
    """Register units from their records, each whatever became of the others; the first exit status that is not 0."""
    statuses = [
        _ended(register_record(path, keys, server), told_registration, as_json=as_json) for path in records
    ]
    return next((status for status in statuses if status), int(Status.DONE))


def run_label(
    records: Sequence[Path],
    out: Path,
    profile_id: str,
    *,
    as_json: bool,
    pdf: bool = False,
    print_by: str | None = None,
) -> int:
    """Make the labels of units, and have them printed by a command; the exit status. Raises OutputError, TechnicianError."""
    pdf = pdf or print_by is not None
    labels = labels_of(records, profile_id)
    files = files_of(labels)
    write_all(out, files)
    names = [*files]
    if pdf:
        pages = [[(x, y, drawing_of(label)) for x, y, label in sheet] for sheet in sheets_of(labels)]
        write_pdf(out / SHEETS_PDF, pdf_of(*A4_MM, pages))
        names.append(SHEETS_PDF)
    if as_json:
        _print_json({"directory": str(out), "files": names})
    else:
        sheets = sum(name.startswith("sheet-") for name in files)
        also = f", as {SHEETS_PDF} too," if pdf else ""
        sys.stdout.write(f"{len(labels)} labels and {sheets} sheets{also} in {out}\n")
    return int(Status.DONE) if print_by is None else _printed(print_by, out / SHEETS_PDF)


def _printed(command: str, path: Path) -> int:
    try:
        print_file(command, path)
    except LabelError as error:
        sys.stderr.write(f"zaehlwerk: {error}\n")
        return int(error.status)
    return int(Status.DONE)


def _ended(outcome: Outcome, told: Callable[[Outcome], str], *, as_json: bool) -> int:
    if as_json:
        _print_json(outcome.record)
    elif outcome.done is not None or outcome.error is None:
        sys.stdout.write(told(outcome) + "\n")
    if outcome.error is None:
        return int(Status.DONE)
    sys.stderr.write(f"zaehlwerk: {outcome.error}\n")
    return int(outcome.error.status)


def told_unit(outcome: Outcome) -> str:
    """What was done with a board, in a line."""
    done, record = outcome.done, outcome.record
    assert done is not None
    key = "" if done.key is None or done.key.kept_in is None else f"; its key is in {done.key.kept_in}"
    flashed = record.get("flash", {})
    firmware = {
        "flashed": f"has firmware {flashed.get('firmware')}, verified by hash; ",
        "would flash": f"would get firmware {flashed.get('firmware')}; ",
    }.get(flashed.get("result"), "")
    told = (
        firmware
        + {
            "unchanged": "has these settings already, nothing written",
            "would provision": "would get these settings",
            "provisioned": f"has its settings, verified by hash{key}",
        }[done.result]
    )
    if done.self_test:
        passed = sum(check.passed for check in done.self_test)
        told += f"; {passed} of {len(done.self_test)} tests passed; the board starts"
    if outcome.error is None and record.get("registration"):
        told += f"; {_registration(record)}"
    return f"{record['port']}: {done.facts.chip} {done.facts.unique_id}: node {done.dev_eui} {told}"


def told_registration(outcome: Outcome) -> str:
    """What was done at the server, in a line."""
    return f"node {outcome.record['dev_eui']} {_registration(outcome.record)}"


def _registration(record: dict[str, Any]) -> str:
    said = record["registration"]
    told = f"at {said['api']}: " + (
        "registered already, nothing changed" if said["result"] == "unchanged" else "registered"
    )
    if said["changed"]:
        told += f", changed: {', '.join(said['changed'])}"
    if said["nonces_reset"]:
        told += ", its DevNonces forgotten"
    return told + (f"; heard: {record['heard']['heard']}" if record.get("heard") else "")


def _failed(port: str, error: TechnicianError, *, as_json: bool) -> int:
    if as_json:
        _print_json({"port": port, "result": "failed", "status": int(error.status), "error": str(error)})
    sys.stderr.write(f"zaehlwerk: {error}\n")
    return int(error.status)


def print_build(manifest: Manifest, out: Path, *, as_json: bool, packed: Path | None = None) -> None:
    """What was built, in `out` and as one file in `packed`."""
    if as_json:
        document = {"directory": str(out), **json.loads(manifest.text())}
        if packed is not None:
            document["zip"] = {"path": str(packed), "sha256": sha256(packed.read_bytes())}
        _print_json(document)
        return
    sys.stdout.write(
        f"firmware {manifest.firmware}, protocol {manifest.protocol}: {len(manifest.files)} files, "
        f"{manifest.size / 1000:.1f} kB, .mpy version {manifest.mpy}, in {out}"
        f"{'' if packed is None else f' and {packed}'}\n"
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
def shown_flash(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal; call it as `flash.Progress`."""
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
