"""A loop detector or a beam: how many, and how long the place was occupied; see docs/sensors/presence.md."""

from counting import SUMS, TICKS
from counting.contact import ContactSensor


class PresenceSensor(ContactSensor):
    """A contact whose duration says something. longest_ms: the longest presence that ended before the last tick."""

    # Occupied ms, and the time of it, when they were asked for last: at the end of an interval, and in between.
    _whole = _part = (0, None)

    def flow(self):
        """((None, None, occupancy in per mille since the last call),), as of the last take."""
        self._whole, occupancy = self._occupied(self._whole)
        return ((None, None, occupancy),)

    def lately(self):
        """((None, occupancy in per mille since the last call of this),), as of the last take."""
        self._part, occupancy = self._occupied(self._part)
        return ((None, occupancy),)

    def _occupied(self, before):
        contact = self.contact
        while True:
            busy, at = contact.busy, contact.at
            if at == contact.at:
                break
        passed = 0 if before[1] is None else (at - before[1]) & TICKS
        occupied = (busy - before[0]) & SUMS
        return (busy, at), min(1000, occupied * 1000 // passed) if passed else None
