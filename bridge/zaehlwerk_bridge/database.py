"""Opens the bridge's SQLite database: durable, of a schema that this version knows."""

import sqlite3
from importlib import resources
from pathlib import Path

from zaehlwerk_bridge.errors import BridgeError

SCHEMA_VERSION = 1


class SchemaError(BridgeError):
    """The database belongs to another version of the bridge, or is no database of it."""


def open_database(path: Path | str) -> sqlite3.Connection:
    """Opens `path`, making it if it is not there. Raises SchemaError, and sqlite3.Error for what the disk says."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # Commit before the source's cursor moves: only with FULL does a power cut lose nothing that was committed.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        database.close()
        raise SchemaError(
            f"{path}: schema {version} is newer than this bridge's {SCHEMA_VERSION}; use a newer bridge"
        )
    for step in range(version + 1, SCHEMA_VERSION + 1):
        script = (
            resources.files("zaehlwerk_bridge")
            .joinpath(f"store_schema/{step}.sql")
            .read_text(encoding="utf-8")
        )
        database.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {step};\nCOMMIT;")
    return database
