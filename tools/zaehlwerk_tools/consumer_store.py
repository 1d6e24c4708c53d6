"""The consumer's side of the bridge's messages: one SQLite transaction per message, exact under every redelivery.

The rule, as the bridge documents it for every platform: a record is taken if its revision is higher than that of the
one held, and than that of its tombstone if it has one; what a message supersedes is deleted and gets a tombstone with
the message's revision, so that a late copy does not rise from the dead. Order is by revision, never by arrival.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from zaehlwerk_tools.records import ChannelCount, Published

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
  id         TEXT PRIMARY KEY,
  station    TEXT NOT NULL,
  revision   INTEGER NOT NULL,
  start_s    INTEGER,            -- UTC Unix seconds; NULL: from the beginning
  end_s      INTEGER,            -- NULL: not placed in time
  clock      TEXT NOT NULL,
  resolution TEXT NOT NULL,
  intervals  INTEGER,            -- NULL: not known
  except_s   TEXT NOT NULL,      -- JSON [[start, end], ...]
  channels   TEXT NOT NULL       -- JSON, as it came
) STRICT;
CREATE TABLE IF NOT EXISTS tombstone (id TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT;
"""

UPSERT = """
INSERT INTO record SELECT :id, :station, :revision, :start_s, :end_s, :clock, :resolution, :intervals, :except_s, :channels
WHERE NOT EXISTS (SELECT 1 FROM tombstone WHERE id = :id AND revision >= :revision)
ON CONFLICT (id) DO UPDATE SET
  station = excluded.station, revision = excluded.revision, start_s = excluded.start_s, end_s = excluded.end_s,
  clock = excluded.clock, resolution = excluded.resolution, intervals = excluded.intervals,
  except_s = excluded.except_s, channels = excluded.channels
WHERE excluded.revision > record.revision
"""

BURY = """
INSERT INTO tombstone VALUES (:id, :revision)
ON CONFLICT (id) DO UPDATE SET revision = max(revision, excluded.revision)
"""

DELETE = "DELETE FROM record WHERE id = :id AND revision <= :revision"


SELECT = """
SELECT id, station, revision, start_s, end_s, clock, resolution, intervals, except_s, channels
FROM record ORDER BY station, start_s, end_s, id
"""


class UnreadableMessageError(Exception):
    """A message that is not as the bridge's schema promises: a fault of the bridge, not of the user."""


class ConsumerStore:
    """What one subscriber holds. Not thread-safe: the caller sees to it that one thread at a time uses it."""

    def __init__(self, path: Path | str) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # Power cuts are not what this store is made for; a killed process loses nothing with it.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(SCHEMA)
        self.messages = 0
        self.redelivered = 0  # records that came again, or late, and changed nothing

    def apply(self, topic: str, payload: bytes) -> None:
        """Takes one message in one transaction. Raises UnreadableMessageError, having changed nothing."""
        try:
            message = json.loads(payload)
            station = str(message["station"])
            rows = [_row(station, record) for record in message["records"]]
            buried = [str(superseded) for superseded in message.get("supersedes", [])]
            if not rows:
                raise ValueError("no records")
            revision = max(row["revision"] for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableMessageError(f"{topic}: {error!r} in {payload[:200]!r}") from error
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                if not self._database.execute(UPSERT, row).rowcount:
                    self.redelivered += 1
            for superseded in buried:
                about = {"id": superseded, "revision": revision}
                self._database.execute(DELETE, about)
                self._database.execute(BURY, about)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self.messages += 1

    def records(self) -> Iterator[Published]:
        """What stands, by station and time."""
        for row in self._database.execute(SELECT):
            gaps = tuple((start, end) for start, end in json.loads(row[8]))
            channels = tuple(_channel(channel) for channel in json.loads(row[9]))
            yield Published(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], gaps, channels)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()


def _row(station: str, record: dict[str, Any]) -> dict[str, Any]:
    revision = record["revision"]
    if not isinstance(revision, int):
        raise TypeError(f"revision {revision!r}")
    gaps = [[_seconds(start), _seconds(end)] for start, end in record.get("except") or []]
    for channel in record["channels"]:
        _channel(channel)
    return {
        "id": str(record["id"]),
        "station": station,
        "revision": revision,
        "start_s": _seconds(record["start"]),
        "end_s": _seconds(record["end"]),
        "clock": str(record["clock"]),
        "resolution": str(record["resolution"]),
        "intervals": record["intervals"],
        "except_s": json.dumps(gaps),
        "channels": json.dumps(record["channels"]),
    }


def _channel(channel: dict[str, Any]) -> ChannelCount:
    count, coverage = channel["count"], channel["coverage"]
    if count is not None and not isinstance(count, int):
        raise TypeError(f"count {count!r}")
    return ChannelCount(
        str(channel["name"]),
        str(channel["class"]),
        str(channel["direction"]),
        count,
        None if coverage is None else float(coverage),
        str(channel["quality"]),
    )


def _seconds(moment: str | None) -> int | None:
    if moment is None:
        return None
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None:
        raise ValueError(f"time without zone: {moment}")
    return int(at.timestamp())
