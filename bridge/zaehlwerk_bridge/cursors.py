"""The tables of cursors and deduplication ids: which events have been taken already."""

import sqlite3

from zaehlwerk_bridge.event import Event

KEPT_IDS = 1000
"""Deduplication ids kept of a node: far more than twice the history that a server replays."""
FORGET_EVERY = 97
"""Ids taken before those too old are deleted; prime, so that no regular order of nodes always spares the same one."""


class Cursors:
    """Tables in the transaction of `database`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def cursor(self, source: str, stream: str) -> str | None:
        """Up to where `stream` of `source` has been taken."""
        row = self._database.execute(
            "SELECT position FROM cursor WHERE source = ? AND stream = ?", (source, stream)
        ).fetchone()
        return None if row is None else str(row[0])

    def is_new(self, event: Event) -> bool:
        """Note `event`; whether it was not taken before.

        A server whose history was flushed, or whose clock went back, gives new events old ids: by their deduplication
        ids they are new here. Without one, only what lies beyond the cursor is new.
        """
        held = self.cursor(event.source, event.dev_eui)
        ahead = held is None or position(event.cursor) > position(held)
        if ahead:
            self._database.execute(
                "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)", (event.source, event.dev_eui, event.cursor)
            )
        if not event.dedup_id:
            return ahead
        found = self._database.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)",
            (event.dev_eui, f"{event.kind}/{event.dedup_id}", event.received_ns),
        )
        if not found.rowcount:
            return False
        assert found.lastrowid is not None
        if not found.lastrowid % FORGET_EVERY:
            self._forget(event.dev_eui)
        return True

    def _forget(self, dev_eui: str) -> None:
        self._database.execute(
            "DELETE FROM seen WHERE dev_eui = ? AND received_ns < (SELECT received_ns FROM seen WHERE dev_eui = ?"
            " ORDER BY received_ns DESC LIMIT 1 OFFSET ?)",
            (dev_eui, dev_eui, KEPT_IDS),
        )


def position(cursor: str) -> tuple[int, int]:
    """A stream id `<ms>-<seq>` as numbers, which is how ids are ordered; (0, 0) for what is none."""
    milliseconds, _, sequence = cursor.partition("-")
    if not milliseconds.isdecimal() or not sequence.isdecimal():
        return 0, 0
    return int(milliseconds), int(sequence)
