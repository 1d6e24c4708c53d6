"""Many units at several ports: each port takes one board after the other, until every unit of a table is done.

A board that is a unit of the table already gets that unit's settings; an empty one gets the next unit that is left. After each
the technician puts the next board at that port. What a unit's record says to be done is not done again.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial import SerialException, serial_for_url

from zaehlwerk_tools.technician.board_transport import open_board
from zaehlwerk_tools.technician.micropython_flash import present_at
from zaehlwerk_tools.technician.provision import SettingsFileError, identity_of, read_settings
from zaehlwerk_tools.technician.troubles import AnotherIdentityError, Status, TechnicianError
from zaehlwerk_tools.technician.unit import Outcome, Unit, Wishes, bring_up, described, unit_of
from zaehlwerk_tools.technician.unit_record import kept_record, record_path

LOOK_S = 0.5
"""Between two looks at a port whose board is being changed."""
_COLUMNS = {"dev_eui", "station", "position", "settings"}
"""Of the table. `settings`: a file of its own, beside the table; `position`: latitude and longitude, by a space or comma."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the board at `port`, and how many units of how many are done. `outcome` None: it is out, the next may come."""

    port: str
    outcome: Outcome | None
    done: int
    total: int


def read_units(table: Path, settings: Path | None) -> list[Unit]:
    """The units of a table; each has the settings of its own file, else those of `settings`. Raises SettingsFileError."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = set(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsFileError(f"{table} cannot be read: {error}") from None
    if "dev_eui" not in columns or columns - _COLUMNS:
        raise SettingsFileError(
            f"{table}: columns: dev_eui and any of station, position, settings are expected"
        )
    units: dict[str, Unit] = {}
    for number, row in enumerate(rows, 2):
        unit = _unit(table, number, row, settings)
        if unit.dev_eui in units:
            raise SettingsFileError(f"{table}, line {number}: {unit.dev_eui} is there twice")
        units[unit.dev_eui] = unit
    if not units:
        raise SettingsFileError(f"{table} has no units")
    return list(units.values())


def _unit(table: Path, number: int, row: dict[str, Any], settings: Path | None) -> Unit:
    where = f"{table}, line {number}"
    own = table.parent / row["settings"] if row.get("settings") else settings
    if own is None:
        raise SettingsFileError(f"{where}: no settings: name a file by --settings, or in the column settings")
    given = {"dev_eui": (row["dev_eui"] or "").strip()}
    document = read_settings(own, given)
    station = {"name": (row.get("station") or "").strip(), "position": (row.get("position") or "").strip()}
    if any(station.values()):
        kept = document.get("station")
        document["station"] = {
            **(kept if isinstance(kept, dict) else {}),
            **{key: value for key, value in station.items() if value},
        }
    return unit_of(document, where)


def is_done(unit: Unit, wishes: Wishes) -> bool:
    """Whether the unit's record says that nothing is left to do."""
    record = kept_record(record_path(wishes.records, unit.dev_eui))
    described_so = {key: record.get(key) for key in described(unit)} == described(unit)
    return (
        record.get("status") == Status.DONE
        and described_so
        and (wishes.server is None or "registration" in record)
    )


def run_batch(
    units: Sequence[Unit], ports: Sequence[str], wishes: Wishes, told: Callable[[Told], None]
) -> None:
    """Bring up all that are not done; ends when all are. `told` is called by one thread at a time."""
    batch = _Batch(units, wishes, told)
    with ThreadPoolExecutor(max_workers=len(ports)) as threads:
        working = [threads.submit(batch.work, port) for port in ports]
        try:
            for work in working:
                work.result()
        finally:
            batch.stop.set()


class _Batch:
    def __init__(self, units: Sequence[Unit], wishes: Wishes, told: Callable[[Told], None]) -> None:
        self._units = {unit.dev_eui: unit for unit in units}
        self._left = {unit.dev_eui: unit for unit in units if not is_done(unit, wishes)}
        self._busy: set[str] = set()
        self._wishes = wishes
        self._told = told
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def work(self, port: str) -> None:
        """One board after the other at `port`."""
        try:
            self._wait(port, there=True)
            while self._goes_on():
                self._tell(port, self._one(port))
                self._wait(port, there=False)
                if self._goes_on():
                    self._tell(port, None)
                self._wait(port, there=True)
        except BaseException:
            self.stop.set()  # else the other ports would wait for their boards for ever
            raise

    def _tell(self, port: str, outcome: Outcome | None) -> None:
        with self._lock:
            total = len(self._units)
            self._told(Told(port, outcome, total - len(self._left), total))

    def _goes_on(self) -> bool:
        return bool(self._left) and not self.stop.is_set()

    def _wait(self, port: str, *, there: bool) -> None:
        while self._goes_on() and _is_there(port) is not there:
            self.stop.wait(LOOK_S)

    def _one(self, port: str) -> Outcome:
        try:
            unit = self._taken(port, self._identity(port))
        except TechnicianError as error:
            record = {"result": "failed", "port": port, "status": int(error.status), "error": str(error)}
            return Outcome(record, None, error)
        try:
            outcome = bring_up(port, unit, self._wishes)
            if outcome.error is None:
                with self._lock:
                    self._left.pop(unit.dev_eui, None)
            return outcome
        finally:
            with self._lock:
                self._busy.discard(unit.dev_eui)

    def _identity(self, port: str) -> str | None:
        if self._wishes.micropython is not None:
            # A chip on which nothing answers yet is what that image is for.
            present = present_at(port)
            return None if present is None else present.node
        with open_board(port) as board:
            return identity_of(board)

    def _taken(self, port: str, theirs: str | None) -> Unit:
        with self._lock:
            if theirs is None:
                free = [dev_eui for dev_eui in self._left if dev_eui not in self._busy]
                if not free:
                    raise AnotherIdentityError(f"{port}: no unit is left for this board: put it aside")
                theirs = free[0]
            if theirs not in self._units:
                raise AnotherIdentityError(
                    f"{port}: this board is the node {theirs}, which is not in the table: take another board"
                )
            if theirs in self._busy:
                raise AnotherIdentityError(f"{port}: another port has a board that is {theirs} too")
            self._busy.add(theirs)
            return self._units[theirs]


def _is_there(port: str) -> bool:
    """Whether something is plugged in at `port`, without disturbing it where that can be told."""
    if "://" not in port and Path(port).parent != Path():
        return Path(port).exists()
    try:
        serial_for_url(port, exclusive=True).close()
    except (SerialException, OSError, ValueError):
        return False
    return True
