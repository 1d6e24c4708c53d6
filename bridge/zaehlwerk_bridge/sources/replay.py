"""Telling the replay of a stream from what is new. ChirpStack sends the whole history on every connect."""

import enum

from zaehlwerk_bridge.sources.item_id import ItemId

KEPT_MS = 31 * 86_400_000
"""ChirpStack deletes the whole history of a device that sent nothing for so long."""


class Verdict(enum.Enum):
    """What an item is."""

    NEW = enum.auto()
    """Not read before, or not known to have been: hand it on."""
    KNOWN = enum.auto()
    """Read before: drop it."""
    RESTARTED = enum.auto()
    """The history does not hold the item that the cursor names although it holds older ones: the server's ids began
    again (Redis emptied, its clock set back). Read the stream again and hand on everything; the ledger knows by the
    deduplication id what it has."""


class Replay:
    """Sorts the items of one stream over all its connections. `cursor`: the newest item that was stored, if any.

    Histories lose their oldest items only. So if the history holds an item older than the cursor, it holds the
    cursor's own item as well, unless the ids began again.
    """

    __slots__ = ("_ended", "_everything", "_followed", "_met", "_older", "cursor", "torn")

    def __init__(self, cursor: ItemId | None) -> None:
        self.cursor = cursor
        self._followed = False
        self.connected()

    def connected(self) -> None:
        """A new connection: the history comes from its start."""
        self._everything = self.cursor is None
        self._ended = False
        self._older = 0
        self._met = False
        self.torn = False
        """Whether this connection's history begins behind the cursor: what lay between was deleted unread, if anything did."""

    def restart(self) -> None:
        """Forget the cursor: everything that the next connection brings is handed on, nothing more of this one."""
        self.cursor = None
        self._ended = True

    @property
    def doubtful(self) -> bool:
        """Whether older items came and the cursor's own did not: if this lasts, the ids began again."""
        return self._older > 0 and not self._met and not self._everything and not self._ended

    def _slept(self, item_id: ItemId) -> bool:
        """Whether the history is gone because nothing came for a month, as far as who was there can tell."""
        return self._followed and self.cursor is not None and item_id[0] - self.cursor[0] >= KEPT_MS

    def take(self, item_id: ItemId) -> Verdict:
        """Return what the item is, and move the cursor if it is new."""
        if self._ended:
            return Verdict.KNOWN
        if self.cursor is not None and not self._everything:
            if item_id < self.cursor:
                self._older += 1
                return Verdict.KNOWN
            if item_id == self.cursor:
                self._met = self._followed = True
                return Verdict.KNOWN
            if self.doubtful:
                return Verdict.RESTARTED
            self.torn = self.torn or not (self._met or self._slept(item_id))
        self._met = self._followed = True
        self.cursor = item_id
        return Verdict.NEW
