"""Opens the bridge's SQLite database: durable, of a schema that this version knows."""

import sqlite3
from importlib import resources
from pathlib import Path

from zaehlwerk_bridge.errors import BridgeError

SCHEMA_VERSION = 3
BUSY_S = 5.0
"""So long a transaction waits for another program's; the bridge and its command line share a store."""


class SchemaError(BridgeError):
    """The database belongs to another version of the bridge, or is no database of it."""


def open_database(path: Path | str) -> sqlite3.Connection:
    """Opens `path`, making it if it is not there and bringing it forward if it is of an older schema.

    Raises SchemaError, and sqlite3.Error for what the disk says. A schema step is one transaction: a bridge that dies
    in it leaves the schema before it.
    """
    database = _connect(path)
    try:
        version = _version(database)
        _refuse_newer(path, version)
        # Has effect before the first page only: what is freed later can then be given back in small steps.
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _durable(database)
        for step in range(version + 1, SCHEMA_VERSION + 1):
            _step(database, step)
    except BaseException:
        database.close()
        raise
    return database


def open_existing(path: Path) -> sqlite3.Connection:
    """Opens the store of a bridge that may be running. Raises SchemaError unless it is there and of this schema."""
    if not path.is_file():
        raise SchemaError(f"{path}: there is no database; setting `database` names the bridge's")
    database = _connect(path)
    try:
        version = _version(database)
        _refuse_newer(path, version)
        if version < SCHEMA_VERSION:
            raise SchemaError(
                f"{path}: schema {version} is older than this program's {SCHEMA_VERSION}; "
                "start this version's bridge once, it brings the database forward"
            )
        _durable(database)
    except BaseException:
        database.close()
        raise
    return database


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens `path` to look at only; never waits for who writes. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0)


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)


def _durable(database: sqlite3.Connection) -> None:
    # Commit before the source's cursor moves: only with FULL does a power cut lose nothing that was committed.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(path: Path | str, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"{path}: schema {version} is newer than this bridge's {SCHEMA_VERSION}; use a newer bridge"
        )


def _step(database: sqlite3.Connection, step: int) -> None:
    script = (
        resources.files("zaehlwerk_bridge").joinpath(f"store_schema/{step}.sql").read_text(encoding="utf-8")
    )
    try:
        database.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {step};\nCOMMIT;")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
