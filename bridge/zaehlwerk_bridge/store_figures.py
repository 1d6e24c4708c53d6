"""What a store holds, in numbers: read beside the bridge, on a connection that looks only and holds nobody up."""

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_bridge.database import open_to_read


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


def read(path: Path) -> StoreFigures:
    """Look at the store in `path`. Raises sqlite3.Error if that cannot be done now."""
    database = open_to_read(path)
    try:
        database.execute("BEGIN")  # one moment for all of them
        oldest = database.execute("SELECT made_ns FROM outbox ORDER BY seq LIMIT 1").fetchone()
        return StoreFigures(
            outbox_messages=_number(database, "SELECT count(*) FROM outbox"),
            outbox_oldest_ns=None if oldest is None or not oldest[0] else int(oldest[0]),
            rejected=dict(database.execute("SELECT cause, count(*) FROM rejected GROUP BY cause").fetchall()),
            stations=_number(database, "SELECT count(*) FROM station"),
            unverified=_number(database, "SELECT count(*) FROM station WHERE verified = 0"),
            pending_gaps=_number(database, "SELECT count(*) FROM gap WHERE due_ns IS NOT NULL"),
            wanted_gaps=_number(database, "SELECT count(*) FROM gap WHERE ask_ns IS NOT NULL"),
            spans=_number(database, "SELECT count(*) FROM record WHERE live = 1 AND resolution = 'span'"),
            waiting_frames=_number(database, "SELECT count(*) FROM waiting"),
            open_commands=_number(database, "SELECT count(*) FROM command WHERE open = 1"),
            page_bytes=_number(database, "PRAGMA page_size"),
            pages=_number(database, "PRAGMA page_count"),
            free_pages=_number(database, "PRAGMA freelist_count"),
        )
    finally:
        database.close()


def wal_bytes(path: Path) -> int:
    """Size of the write-ahead log, 0 if there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def disk_free_bytes(path: Path) -> int:
    """What is free on the disk that holds `path`, for users without privileges."""
    return shutil.disk_usage(path.parent).free


def _number(database: sqlite3.Connection, query: str) -> int:
    return int(database.execute(query).fetchone()[0])
