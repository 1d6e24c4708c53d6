"""What a store holds, in numbers: read beside the bridge, on a connection that looks only and holds nobody up."""

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_bridge.database import Database, Server, open_to_read


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """One look at a store."""

    outbox_messages: int
    outbox_oldest_ns: int | None
    """When the oldest message was made, nanoseconds UTC; None: there is none, or it is not known."""
    rejected: Mapping[str, int]
    """Rows of the table of rejected ones, by cause."""
    stations: int
    unverified: int
    """Stations of which it is not known yet whether the platform has more than this store."""
    pending_gaps: int
    """Gaps that history may still resolve before they become spans."""
    wanted_gaps: int
    """Gaps for which nodes are or will be asked."""
    spans: int
    """Spans that stand."""
    waiting_frames: int
    """Frames whose epoch no status frame has named yet."""
    open_commands: int
    """Commands to nodes that are not at their end."""
    page_bytes: int
    pages: int
    free_pages: int


def read(place: Path | Server, bridge: str) -> StoreFigures:
    """Look at the store. Raises sqlite3.Error or DatabaseFault if that cannot be done now.

    Of a store that several bridges share the messages are those of `bridge`.
    """
    if isinstance(place, Server):
        from zaehlwerk_bridge.postgres import PostgresDatabase  # noqa: PLC0415 - takes its time, and few need it

        shared = PostgresDatabase(place)
        try:
            shared.begin()
            return _seen(shared, bridge, _SHARED_SIZES)
        finally:
            shared.rollback()
            shared.close()
    file = open_to_read(place)
    try:
        file.execute("BEGIN")  # one moment for all of them
        return _seen(file, "", _FILE_SIZES)
    finally:
        file.close()


_FILE_SIZES = ("PRAGMA page_size", "PRAGMA page_count", "PRAGMA freelist_count")
_SHARED_SIZES = (
    "SELECT CAST(current_setting('block_size') AS INTEGER)",
    "SELECT pg_database_size(current_database()) / CAST(current_setting('block_size') AS INTEGER)",
    "SELECT 0",
)
"""Bytes of a page, pages, and pages that hold nothing; PostgreSQL uses its again without telling."""


STATIONS = "SELECT count(*) FROM station WHERE slug NOT BETWEEN 'epoch.' AND 'epoch/'"
"""The epochs that were asked for are rows as well."""


def _seen(database: Database | sqlite3.Connection, bridge: str, sizes: tuple[str, str, str]) -> StoreFigures:
    own = (bridge,)
    oldest = database.execute(
        "SELECT made_ns FROM outbox WHERE bridge = ? ORDER BY seq LIMIT 1", own
    ).fetchone()
    waiting = database.execute("SELECT count(*) FROM outbox WHERE bridge = ?", own).fetchone()
    return StoreFigures(
        outbox_messages=int(waiting[0]),
        outbox_oldest_ns=None if oldest is None or not oldest[0] else int(oldest[0]),
        rejected=dict(database.execute("SELECT cause, count(*) FROM rejected GROUP BY cause").fetchall()),
        stations=_number(database, STATIONS),
        unverified=_number(database, f"{STATIONS} AND verified = 0"),
        pending_gaps=_number(database, "SELECT count(*) FROM gap WHERE due_ns IS NOT NULL"),
        wanted_gaps=_number(database, "SELECT count(*) FROM gap WHERE ask_ns IS NOT NULL"),
        spans=_number(database, "SELECT count(*) FROM record WHERE live = 1 AND resolution = 'span'"),
        waiting_frames=_number(database, "SELECT count(*) FROM waiting"),
        open_commands=_number(database, "SELECT count(*) FROM command WHERE open = 1"),
        page_bytes=_number(database, sizes[0]),
        pages=_number(database, sizes[1]),
        free_pages=_number(database, sizes[2]),
    )


def wal_bytes(path: Path) -> int:
    """Size of the write-ahead log, 0 if there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def disk_free_bytes(path: Path) -> int:
    """What is free on the disk that holds `path`, for users without privileges."""
    return shutil.disk_usage(path.parent).free


def _number(database: Database | sqlite3.Connection, query: str) -> int:
    return int(database.execute(query).fetchone()[0])
