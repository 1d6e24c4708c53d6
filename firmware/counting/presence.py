"""A loop detector or a beam: how many, and how long the place was occupied; see docs/sensors/presence.md."""

from counting import SUMS, TICKS
from counting.contact import ContactSensor


class PresenceSensor(ContactSensor):
    """A contact whose duration says something. longest_ms: the longest presence that ended before the last tick."""

    _busy = 0
    _since = None

    def flow(self):
        """((None, None, occupancy in per mille since the last call),), as of the last take."""
        contact = self.contact
        while True:
            busy, at = contact.busy, contact.at
            if at == contact.at:
                break
        passed = 0 if self._since is None else (at - self._since) & TICKS
        occupied = (busy - self._busy) & SUMS
        self._busy, self._since = busy, at
        return ((None, None, min(1000, occupied * 1000 // passed) if passed else None),)
