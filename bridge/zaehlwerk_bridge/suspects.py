"""Which message ended the connection. Some brokers answer a message that they cannot take in no other way.

Pure: no I/O and no clock.
"""

from collections.abc import Sequence

from zaehlwerk_bridge.outbox import OutboxRow

STRIKES = 2
"""A message that was alone in flight at the end of so many connections is held, for it may be what ended them."""


class Suspects:
    """What was in flight when connections ended, by seq, until it is known what became of it."""

    def __init__(self) -> None:
        self._in_doubt: set[int] = set()
        self._strikes: dict[int, int] = {}

    @property
    def one_by_one(self) -> bool:
        """Whether messages should go out alone, so that the next end tells which one it was."""
        return bool(self._in_doubt)

    def ended(self, in_flight: Sequence[OutboxRow]) -> OutboxRow | None:
        """The connection ended with these in flight. Return the one that was alone, if one was."""
        self._in_doubt |= {row.seq for row in in_flight}
        if len(in_flight) != 1:
            return None
        seq = in_flight[0].seq
        self._strikes[seq] = self._strikes.get(seq, 0) + 1
        return in_flight[0]

    def convicts(self, row: OutboxRow) -> bool:
        """Whether `row` should be held instead of sent; asked once, for then it has another chance."""
        if self._strikes.get(row.seq, 0) < STRIKES:
            return False
        del self._strikes[row.seq]
        return True

    def passed(self, row: OutboxRow) -> None:
        """`row` is held for now, so it cannot be what ends the next connection."""
        self._in_doubt.discard(row.seq)

    def cleared(self, row: OutboxRow) -> None:
        """The broker has answered to `row`."""
        self._in_doubt.discard(row.seq)
        self._strikes.pop(row.seq, None)
