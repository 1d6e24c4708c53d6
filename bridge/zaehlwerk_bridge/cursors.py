"""The tables of cursors and deduplication ids: which events have been taken already."""

from collections.abc import Sequence

from zaehlwerk_bridge.database import ROWS_AT_ONCE, Database, of_many_rows, upsert
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger.memory import Memory

KEPT_IDS = 1000
"""Deduplication ids kept of a node at least: far more than twice the history that a server replays."""
FORGET_EVERY = 499
"""Ids taken before those too old of one node are looked for among all of its; prime, so that no regular order of nodes
always spares the same one."""
_SEEN = "INSERT INTO seen (dev_eui, dedup_id, received_ns) VALUES (?, ?, ?)"
_UNLESS_KNOWN = " ON CONFLICT DO NOTHING RETURNING dev_eui, dedup_id"
_SEE = f"{_SEEN}{_UNLESS_KNOWN}"
_SEE_MANY = f"{of_many_rows(_SEEN)}{_UNLESS_KNOWN}"
_SEE_ALL = f"INSERT INTO seen SELECT * FROM unnest(?::text[], ?::text[], ?::bigint[]){_UNLESS_KNOWN}"  # noqa: S608 - constants
"""Of a shared store, where each statement costs a way to the server and back: column by column."""
PUT = upsert("cursor", "source, stream, position", "source, stream")
POSITION = "SELECT position FROM cursor WHERE source = ? AND stream = ?"


class Cursors:
    """Tables in the transaction of `database`."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._positions: dict[tuple[str, str], tuple[int, int]] = memory.kind()
        self._moved: dict[tuple[str, str], str] = memory.kind()
        memory.on_commit("cursor", self._write)
        self._taken = 0

    def _write(self) -> None:
        """Write the cursors that were only remembered."""
        if self._moved:
            rows = [(*stream, at) for stream, at in self._moved.items()]
            self._moved.clear()
            self._database.executemany(PUT, rows)

    def cursor(self, source: str, stream: str) -> str | None:
        """Up to where `stream` of `source` has been taken."""
        row = self._database.execute(POSITION, (source, stream)).fetchone()
        return None if row is None else str(row[0])

    def new(self, events: Sequence[Event]) -> list[bool]:
        """Note `events`; which of them were not taken before, nor come twice.

        A server whose history was flushed, or whose clock went back, gives new events old ids: by their deduplication
        ids they are new here. Without one, only what lies beyond the cursor is new.
        """
        named = [
            (event.dev_eui, f"{event.kind}/{event.dedup_id}", event.received_ns)
            for event in events
            if event.dedup_id
        ]
        unseen = self._unseen(named)
        names = iter(named)
        found = []
        for event in events:
            new = self._advance((event.source, event.dev_eui), event.cursor)
            if event.dedup_id:
                name = next(names)[:2]
                new = name in unseen
                unseen.discard(name)
            found.append(new)
        before, self._taken = self._taken, self._taken + len(named)
        for at in range(FORGET_EVERY - 1 - before % FORGET_EVERY, len(named), FORGET_EVERY):
            self._forget(named[at][0])
        return found

    def _unseen(self, named: Sequence[tuple[str, str, int]]) -> set[tuple[str, str]]:
        """Note the events of these devices, names and times; device and name of those that were not known."""
        # In the order of the key, in which neighbours are put into their place at half the expense.
        named = sorted(named)
        unseen: set[tuple[str, str]] = set()
        if self._database.shared and named:
            columns = [list(column) for column in zip(*named, strict=True)]
            unseen.update(self._database.execute(_SEE_ALL, columns).fetchall())
            return unseen
        whole = len(named) - len(named) % ROWS_AT_ONCE
        for at in range(0, whole, ROWS_AT_ONCE):
            values = [value for row in named[at : at + ROWS_AT_ONCE] for value in row]
            unseen.update(self._database.execute(_SEE_MANY, values).fetchall())
        for row in named[whole:]:
            unseen.update(self._database.execute(_SEE, row).fetchall())
        return unseen

    def _advance(self, stream: tuple[str, str], cursor: str) -> bool:
        """Whether `cursor` is beyond the stream's, which it is then."""
        at = position(cursor)
        held = self._positions.get(stream)
        if held is None:
            text = self.cursor(*stream)
            held = None if text is None else position(text)
        ahead = held is None or at > held
        if not self._memory.trusted:
            if ahead:
                self._database.execute(PUT, (*stream, cursor))
        elif ahead:
            self._positions[stream] = at
            self._moved[stream] = cursor
        elif held is not None:
            self._positions[stream] = held
        return ahead

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
