"""A unit from the board to the network server: provisioned, tested, registered, heard; with a record of how far it came.

What was done stays done whatever fails afterwards, and the same command goes on from there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zaehlwerk_tools.technician.board_transport import BoardTransport
from zaehlwerk_tools.technician.esp_image import read_image
from zaehlwerk_tools.technician.flash import Progress, flash
from zaehlwerk_tools.technician.manifest import read_build, sha256
from zaehlwerk_tools.technician.micropython_flash import WOULD_FLASH, put_micropython
from zaehlwerk_tools.technician.node_key import NodeKey, NodeKeyError, given_key, kept_key
from zaehlwerk_tools.technician.place import Place, take_place
from zaehlwerk_tools.technician.provision import (
    Provisioned,
    SettingsFileError,
    identity_of,
    provision,
    read_settings,
    require_identity,
)
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.troubles import SelfTestError, Status, TechnicianError
from zaehlwerk_tools.technician.unit_record import keep_record, kept_record, read_record, record_path

_REGISTERING = threading.Lock()
"""Of several ports one at a time: two would both find no application of that name, and both make one."""
_STAYS = ("registration", "heard", "count_tests", "swapped")
"""What a record keeps of earlier runs that this one does not do again."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A node's settings, without key and without what is not the node's, and its place."""

    settings: dict[str, Any]
    place: Place | None

    @property
    def dev_eui(self) -> str:
        """Lower case."""
        return str(self.settings["dev_eui"])


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for besides the unit. `server` None: offline."""

    keys: Path
    records: Path
    server: Server | None
    app_key_file: str | None = None
    replace: str | None = None
    dry_run: bool = False
    build: Path | None = None
    """The firmware to flash first; None: it is on the board."""
    micropython: Path | None = None
    """MicroPython's own image, to be put on the chip before; only with `build`."""
    erase: str | None = None
    """With `micropython`: the node whose whole flash is erased before, or `micropython_flash.NOBODY`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a unit came: its record, and the error that ended it. `done` is None if the board was not reached."""

    record: dict[str, Any]
    done: Provisioned | None
    error: TechnicianError | None


def read_unit(path: Path) -> Unit:
    """A unit from its settings file. Raises SettingsFileError."""
    return unit_of(read_settings(path), str(path))


def unit_of(document: dict[str, Any], where: str) -> Unit:
    """A unit from its settings. Raises SettingsFileError."""
    document = dict(document)
    place = take_place(document, where)
    return Unit(document, place)


def require_place(unit: Unit, server: Server | None) -> None:
    """Raises SettingsFileError: a server needs to know where the node stands."""
    if server is not None and unit.place is None:
        raise SettingsFileError(
            f"the settings of {unit.dev_eui} name no station, which the network server is told: add "
            '"station": {"name": …}, or say --offline'
        )


def _untold(path: str, done: int, total: int) -> None:
    """A progress that nobody watches."""


def bring_up(port: str, unit: Unit, wishes: Wishes, progress: Progress = _untold) -> Outcome:
    """Provision, test, register and wait for the board at `port`, and keep the record. Raises nothing that is told.

    `progress` is that of flashing, the only step that takes long.
    """
    run = _Run(port, unit, wishes, progress)
    error: TechnicianError | None = None
    try:
        require_place(unit, wishes.server)
        run.kept = {} if wishes.dry_run else kept_record(run.path)
        run.flash()
        run.done = provision(
            port,
            unit.settings,
            app_key_file=wishes.app_key_file,
            keys=wishes.keys,
            replace=wishes.replace,
            dry_run=wishes.dry_run,
            before_start=run.before_start,
        )
        if wishes.dry_run:
            run.record.update(run.done.document())
        run.after_start()
    except TechnicianError as caught:
        error = caught
    record = {**run.record, "status": int(Status.DONE if error is None else error.status)}
    if error is not None:
        record = {"result": "failed", **record, "error": str(error)}
    if run.done is not None and not wishes.dry_run:
        try:
            keep_record(run.path, record)
        except TechnicianError as caught:
            error = error or caught
    return Outcome(record, run.done, error)


class _Run:
    def __init__(self, port: str, unit: Unit, wishes: Wishes, progress: Progress) -> None:
        self._unit = unit
        self._wishes = wishes
        self._progress = progress
        self.path = record_path(wishes.records, unit.dev_eui)
        self.kept: dict[str, Any] = {}
        self.done: Provisioned | None = None
        self.record: dict[str, Any] = {"port": port, **described(unit)}
        self._failed: TechnicianError | None = None
        self._registered: Any = None

    def flash(self) -> None:
        """The firmware, and MicroPython below it, if they are asked for. Raises TechnicianError."""
        wishes, port = self._wishes, str(self.record["port"])
        if wishes.build is None:
            return
        manifest, contents = read_build(wishes.build)
        if wishes.micropython is not None:
            image = read_image(wishes.micropython)
            below = put_micropython(
                port,
                image,
                erase=wishes.erase,
                dry_run=wishes.dry_run,
                progress=self._progress,
                becomes=self._unit.dev_eui,
            )
            self.record["micropython"] = below
            if below["result"] == WOULD_FLASH:
                raise SettingsFileError(
                    f"{port}: the board has another MicroPython than {wishes.micropython} and more cannot be told without writing: "
                    "run it without --dry-run"
                )
        flashed = flash(
            port, manifest, contents, dry_run=wishes.dry_run, progress=self._progress, guard=self._same_node
        )
        self.record["flash"] = {
            "result": flashed.result,
            "firmware": manifest.firmware,
            "bytes": flashed.plan.size,
        }

    @contextmanager
    def _same_node(self, board: BoardTransport) -> Iterator[None]:
        """Before anything is written to another node than this unit. Raises AnotherIdentityError."""
        theirs = identity_of(board)
        require_identity(theirs, self._unit.dev_eui, self._wishes.replace)
        yield

    def before_start(self, done: Provisioned) -> None:
        """The board is held: what fails here is told when it runs again."""
        self.done = done
        self.record.update(done.document())
        self.record.update({key: self.kept[key] for key in _STAYS if key in self.kept})
        try:
            keep_record(self.path, self.record)
            if done.failure is not None:
                raise SelfTestError(done.failure)
            if self._wishes.server is not None:
                assert done.key is not None
                assert self._unit.place is not None
                self._registered = registered(self._wishes.server, self.record, self._unit.place, done.key)
                keep_record(self.path, self.record)
        except TechnicianError as error:
            self._failed = error

    def after_start(self) -> None:
        """Raises what failed while the board was held, NotHeardError, NotRegisteredError."""
        if self._failed is not None:
            raise self._failed
        server = self._wishes.server
        if server is not None and self._registered is not None and server.wait_s:
            heard(server, self.record, self._registered.before)


def described(unit: Unit) -> dict[str, Any]:
    """What a record says of a unit before anything is done."""
    place = None if unit.place is None else {"name": unit.place.name, "tags": dict(unit.place.tags)}
    settings = json.dumps(unit.settings, sort_keys=True).encode()
    return {
        "dev_eui": unit.dev_eui,
        "join_eui": unit.settings["join_eui"],
        "station": place,
        "settings_sha256": sha256(settings),
    }


def registered(server: Server, record: dict[str, Any], place: Place, key: NodeKey) -> Any:
    """Register what `record` describes, and say so in it; what the server had heard until then. Raises NotRegisteredError."""
    # Only who registers has what speaks to the server.
    from zaehlwerk_tools.technician import registration  # noqa: PLC0415

    with _REGISTERING:
        done = registration.register(server, record, place, key)
    record["registration"] = done.document
    return done


def heard(server: Server, record: dict[str, Any], before: Any) -> None:
    """Wait until the server hears the node, and say so in `record`. Raises NotHeardError, NotRegisteredError."""
    from zaehlwerk_tools.technician import registration  # noqa: PLC0415

    record["heard"] = registration.wait_until_heard(server, record["dev_eui"], before)


def register_record(path: Path, keys: Path, server: Server) -> Outcome:
    """Register a unit from its record, which is then kept anew. Raises nothing that is told."""
    record: dict[str, Any] = {}
    error: TechnicianError | None = None
    try:
        record = read_record(path)
        station = record.get("station")
        if not isinstance(station, dict) or not station.get("name"):
            raise SettingsFileError(
                f"{path} names no station: provision the unit again with settings that do"
            )
        if not all(check.get("passed") for check in record.get("self_test", ())):
            raise SelfTestError(f"{path}: its self-test found a fault: mend that and provision it again")
        place = Place(str(station["name"]), {k: str(v) for k, v in station.get("tags", {}).items()})
        done = registered(server, record, place, key_of(record, keys))
        record["status"] = int(Status.DONE)
        record.pop("error", None)
        keep_record(path, record)
        if server.wait_s:
            heard(server, record, done.before)
            keep_record(path, record)
    except TechnicianError as caught:
        error = caught
        if "dev_eui" in record:
            record.update(status=int(caught.status), error=str(caught))
            with suppress(TechnicianError):
                keep_record(path, record)
    return Outcome(record, None, error)


def key_of(record: dict[str, Any], keys: Path) -> NodeKey:
    """The key of the unit that `record` describes, from its file. Raises NodeKeyError."""
    key = kept_key(keys, record["dev_eui"])
    if key is None and record.get("key_file"):
        key = given_key(str(record["key_file"]))
    if key is None:
        raise NodeKeyError(f"{keys} has no key of {record['dev_eui']}: name its folder by --keys")
    return key
