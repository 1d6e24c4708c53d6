"""Forgetting: records and cells older than the retention are deleted in small steps, and no sum changes by it.

A line is cut at a total that is known in full: up to there everything has been told. The cut is noted before the first
row is deleted; from then on what is heard of intervals before it is passed over, and the line begins with that total.

A broker may be away for longer than the retention. What the outbox holds is whole by itself, but to tell it again, to heal
it, or to compare it with what the broker says after a copy was put back takes the records. So of a station that has
messages waiting nothing more is cut, however old it is: the retention of a record begins when it has been published.
"""

from zaehlwerk_bridge.database import Database, upsert
from zaehlwerk_bridge.ledger.cell_table import FAR

NS = 1_000_000_000
WORTH = 16
"""Intervals that a cut has to move on by: cutting after each of them would write as much as counting."""
CHAINS = 50
"""Chains looked at in a step, at most: nearly all have nothing to forget."""


class Forgetting:
    """Works in the transaction of `database`: each call of `step` belongs into one of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = 0

    def step(self, before_ns: int, limit: int) -> bool:
        """Delete about `limit` rows of what was heard before `before_ns`; whether more is left in this round."""
        left = limit
        chains = self._chains()
        self._database.touches(*{dev_eui for _, _, dev_eui in chains})
        for chain, interval_s, _ in chains:
            for unsynced in (0, 1):
                left -= self._line(chain, unsynced, interval_s, before_ns, left)
                if left <= 0:
                    return True
            self._next = chain + 1
        if chains:
            return True
        left -= self._rest(before_ns, left)
        if left <= 0:
            return True
        self._next = 0
        return False

    def _chains(self) -> list[tuple[int, int, str]]:
        return self._database.execute(
            "SELECT id, interval_s, dev_eui FROM chain WHERE id >= ? ORDER BY id LIMIT ?",
            (self._next, CHAINS),
        ).fetchall()

    def _line(self, chain: int, unsynced: int, interval_s: int, before_ns: int, limit: int) -> int:
        """Cut a line, and delete of what lies before its cut; returns how many rows that were."""
        line = (chain, unsynced)
        cut = self._cut(line, interval_s, before_ns)
        if cut is None:
            return 0
        deleted = self._database.execute(
            "DELETE FROM record WHERE id IN"
            " (SELECT id FROM record WHERE chain = ? AND unsynced = ? AND number <= ? LIMIT ?)",
            (*line, cut, limit),
        ).rowcount
        if deleted < limit:
            deleted += self._database.execute(
                "DELETE FROM cell WHERE chain = ? AND unsynced = ? AND number IN"
                " (SELECT number FROM cell WHERE chain = ? AND unsynced = ? AND number < ? LIMIT ?)",
                (*line, *line, cut, limit - deleted),
            ).rowcount
        return deleted

    def _cut(self, line: tuple[int, int], interval_s: int, before_ns: int) -> int | None:
        """Where the line is cut, moved on if that is worth it; None: it is whole."""
        row = self._database.execute(
            "SELECT number FROM forgotten WHERE chain = ? AND unsynced = ?", line
        ).fetchone()
        held: int | None = None if row is None else int(row[0])
        # A slot of UTC says by its number when it was; an interval of the node's own numbering does not.
        newest = before_ns // NS // interval_s - 1 if not line[1] else None
        found = self._database.execute(
            "SELECT number FROM cell WHERE chain = ? AND unsynced = ? AND number <= ? AND heard_ns < ?"
            " AND whole IS NOT NULL AND total IS NOT NULL ORDER BY number DESC LIMIT 1",
            (*line, FAR if newest is None else newest, before_ns),
        ).fetchone()
        found = None if found is None else int(found[0])
        if found is None or (held is not None and found < held + WORTH) or self._open(line, found):
            return held
        self._database.execute(_CUT, (*line, found))
        self._database.execute(
            "DELETE FROM gap WHERE chain = ? AND unsynced = ? AND number <= ?", (*line, found)
        )
        return found

    def _open(self, line: tuple[int, int], number: int) -> bool:
        """Whether something up to `number` is still to be told, or waits for the broker."""
        return any(
            self._database.execute(query, (*line, number)).fetchone()[0] for query in (_UNTOLD, _UNPUBLISHED)
        )

    def _rest(self, before_ns: int, limit: int) -> int:
        """What belongs to no line: events that were rejected or wait for ever, and tags of times that are forgotten."""
        deleted = 0
        for query in (_REJECTED, _WAITING):
            deleted += self._database.execute(query, (before_ns, max(0, limit - deleted))).rowcount
        for (dev_eui,) in self._database.execute("SELECT DISTINCT dev_eui FROM chain").fetchall():
            if deleted >= limit:
                break
            deleted += self._database.execute(
                _SAME_TAGS, (dev_eui, dev_eui, before_ns, limit - deleted)
            ).rowcount
        return deleted


_UNTOLD = "SELECT EXISTS (SELECT 1 FROM gap WHERE chain = ? AND unsynced = ? AND number <= ? AND due_ns IS NOT NULL)"
_UNPUBLISHED = """
SELECT EXISTS (
  SELECT 1 FROM record WHERE chain = ? AND unsynced = ? AND number <= ?
    AND EXISTS (SELECT 1 FROM outbox WHERE outbox.station = record.station AND outbox.retain = 0)
)
"""
"""What is retained says how it stands now, whenever it comes. Records are few: those up to the last cut are gone."""
_CUT = upsert("forgotten", "chain, unsynced, number", "chain, unsynced")
_REJECTED = "DELETE FROM rejected WHERE id IN (SELECT id FROM rejected WHERE rejected_ns < ? LIMIT ?)"
_WAITING = """
DELETE FROM waiting WHERE (dev_eui, received_ns, f_port, payload) IN (
  SELECT dev_eui, received_ns, f_port, payload FROM waiting WHERE received_ns < ? LIMIT ?
)
"""
_SAME_TAGS = """
DELETE FROM tagging WHERE dev_eui = ? AND at_ns IN (
  SELECT at_ns FROM tagging AS this WHERE dev_eui = ? AND at_ns < ? AND tagged = (
    SELECT tagged FROM tagging AS next WHERE next.dev_eui = this.dev_eui AND next.at_ns > this.at_ns
    ORDER BY next.at_ns LIMIT 1
  ) GROUP BY at_ns HAVING count(*) = 1 ORDER BY at_ns LIMIT ?
)
"""
"""Of events in a row that carried the same tags the last one says what all of them do: which station it was up to then."""
