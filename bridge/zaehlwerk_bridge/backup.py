"""Copies of the store: made beside a running bridge, checked before they are called so, and put back.

A copy that is put back does not know what was published since it was made: its stations are marked, and the bridge asks
the broker's retained checkpoints before it publishes anything of them (see reconciling).
"""

import errno
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_bridge.database import BUSY_S, SCHEMA_VERSION, SchemaError, open_database
from zaehlwerk_bridge.errors import BridgeError
from zaehlwerk_bridge.store_figures import STATIONS
from zaehlwerk_bridge.store_lock import StoreLock

TABLES = frozenset({"station", "record", "outbox", "cursor"})
"""What every version of the store has."""
_FAULTS = 3
_PRIMARY = 0xFF  # sqlite.org/rescode.html: the rest of a code tells details
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})
"""What file systems say that know one name a file only."""


class BackupError(BridgeError):
    """The copy cannot be made or put back; the text says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One copy."""

    path: Path
    size: int
    """Bytes."""
    schema: int
    stations: int
    waiting: int
    """Messages that wait for their acknowledgement."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A copy that was put back."""

    copied: Copied
    kept: Path | None
    """Where the database is that was there before."""


def back_up(database: Path, target: Path, *, overwrite: bool = False) -> Copied:
    """Copy the store of a bridge that may be running to `target`, mode 0600, whole or not at all.

    Raises BackupError, and sqlite3.Error for what the disk says.
    """
    if not database.is_file():
        raise BackupError(f"{database}: there is no database; setting `database` names the bridge's")
    if target.exists() and not overwrite:
        raise BackupError(f"{target}: is there already; name another file, or say --overwrite")
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent}: there is no such directory")
    with _unfinished(target) as unfinished:
        _copy(database, unfinished)
        copied = _looked_at(unfinished, target)
        _put(unfinished, target, overwrite=overwrite)
    return copied


def restore(source: Path, database: Path, patience_s: float) -> Restored:
    """Put the copy `source` in the place of the store, which is kept beside it. Only while no bridge works on it.

    Raises BackupError, SchemaError if a newer bridge made the copy, StoreInUse, and sqlite3.Error for what the disk says.
    """
    if not source.is_file():
        raise BackupError(f"{source}: there is no such file")
    if not database.parent.is_dir():
        raise BackupError(f"{database.parent}: there is no such directory")
    if database.exists() and source.samefile(database):
        raise BackupError(f"{source}: is the database itself")
    with StoreLock(database, patience_s), _unfinished(database) as unfinished:
        _copy(source, unfinished)
        _looked_at(unfinished, source)
        with closing(open_database(unfinished)) as copy:
            copy.execute("UPDATE station SET verified = 0")
        copied = _looked_at(unfinished, database)
        _own(unfinished, database)
        kept = _set_aside(database)
        unfinished.replace(database)
        _sync(database.parent)
    return Restored(copied, kept)


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A file beside `target`, for its owner only; gone afterwards unless it was moved."""
    path = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise BackupError(f"{target.parent}: {error.strerror}") from None
    try:
        yield path
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    with (
        _damage_told(source),
        closing(_open(source, "ro")) as there,
        closing(_open(target, "rw")) as here,
    ):
        # In one step: in several, every commit of the bridge would make it begin again.
        there.backup(here, pages=-1)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """What SQLite cannot read at all is damaged, or no database; what the disk or a lock says is handed on."""
    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{path}: the database is damaged: {error}") from None


def _looked_at(path: Path, name: Path) -> Copied:
    """What is in the copy at `path`, called `name` in messages. Raises BackupError unless it is a whole store."""
    with _damage_told(name), closing(_open(path, "rw")) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        faults = [text for (text,) in copy.execute(f"PRAGMA integrity_check({_FAULTS})")]
        if faults != ["ok"]:
            raise BackupError(f"{name}: the database is damaged: {'; '.join(faults)}")
        schema = int(copy.execute("PRAGMA user_version").fetchone()[0])
        if schema > SCHEMA_VERSION:
            raise SchemaError(
                f"{name}: schema {schema} is newer than this program's {SCHEMA_VERSION}; use a newer one"
            )
        tables = {table for (table,) in copy.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not schema or not tables >= TABLES:
            raise BackupError(f"{name}: is no store of a bridge")
        stations = int(copy.execute(STATIONS).fetchone()[0])
        waiting = int(copy.execute("SELECT count(*) FROM outbox").fetchone()[0])
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return Copied(name, path.stat().st_size, schema, stations, waiting)


def _put(unfinished: Path, target: Path, *, overwrite: bool) -> None:
    """Give the file its name in one step."""
    if overwrite:
        unfinished.replace(target)
    else:
        try:
            _name(unfinished, target)
        except FileExistsError:
            raise BackupError(f"{target}: has come to be there meanwhile; nothing was overwritten") from None
    _sync(target.parent)


def _name(path: Path, name: Path) -> None:
    """Give a file another name, and never take the place of another file. Raises FileExistsError."""
    try:
        name.hardlink_to(path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if name.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(name)) from None
        path.replace(name)


def _set_aside(database: Path) -> Path | None:
    """Keep what is there under another name; returns it. It stays in its place as well until something else takes it."""
    if not database.exists():
        return None
    try:
        with closing(_open(database, "rw")) as present:
            present.execute("PRAGMA busy_timeout = 0")
            present.execute("PRAGMA journal_mode = DELETE")  # its log is part of it
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise BackupError(f"{database}: another program has it open; nothing was changed") from None
        # A damaged one is kept as it is.
    number = 1
    while True:
        kept = database.with_name(f"{database.name}.before-restore-{number}")
        try:
            _name(database, kept)
            break
        except FileExistsError:
            number += 1
    for suffix in ("-wal", "-shm"):
        # The log of another database would be played into the one that comes.
        beside = database.with_name(database.name + suffix)
        if beside.exists():
            beside.rename(kept.with_name(kept.name + suffix))
    return kept


def _own(unfinished: Path, database: Path) -> None:
    """Restored by root it still belongs to the bridge's user."""
    if os.geteuid() == 0:
        owner = (database if database.exists() else database.parent).stat()
        os.chown(unfinished, owner.st_uid, owner.st_gid)


def _sync(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network's file system may not know how
            os.fsync(opened)
    finally:
        os.close(opened)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_S
    )
