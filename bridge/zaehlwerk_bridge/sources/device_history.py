"""How long an outage the devices' histories survive: ChirpStack keeps so many events of each device and no more. Pure.

It does not say how many. What can be seen is what it sends when a stream is opened: how many events, and over which time.
That is a limit only where it has deleted older ones; else the device is new, and its history may still grow. That it has
is told by a first uplink whose frame counter says that others came before, or by a history that began earlier the last
time. A history that began anew (the server's Redis was emptied, or the device was silent for a month) looks the same at
first; that it is much shorter than the last time, or than another device's, or that it grows, tells it apart.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zaehlwerk_bridge.sources.item import frame_counter

SETTING = "[monitoring] per_device_event_log_max_history"
"""What ChirpStack calls the number of events that it keeps of each device."""
WANTED = 200
"""A day of a node that sends four times an hour, and is answered now and then."""
MARGIN = 1.5
"""Traffic is not the same every day."""
LEAST = 5
"""With fewer events nothing is said of a device's pace."""
NODE = 20
"""Redis deletes old events by nodes of 4 kB (`XADD … MAXLEN ~`): histories of equal limits differ by fewer than these."""
FRAMES_BEFORE = 10
"""So many frames in a row were not lost on the air: the server had some of them, and has them no more."""


@dataclass(slots=True)
class DeviceHistory:
    """What the server sent of a device's past when its stream was opened, the last time."""

    items: int = 0
    first_ms: int = 0
    """Server's time of the oldest event, milliseconds of UTC Unix time."""
    newest_ms: int = 0
    cut: bool = False
    """Whether the server has deleted older ones."""
    decided: bool = False
    """Whether the frame counter of the oldest uplink was looked at."""
    whole: int = 0
    """Events of the last history that came to its end; 0: none did."""
    reach_s: float | None = None
    """An outage of so many seconds loses nothing, at the pace that there was; None: no limit is seen yet."""
    _over: bool = False
    _as_before: bool = False

    def opened(self) -> None:
        """A new connection: the history comes from its start."""
        self.items = 0
        self._over = False

    def take(self, at_ms: int, kind: str, body: str, most_bytes: int) -> None:
        """The next event of the history, as the server sends it; a body larger than `most_bytes` is not read."""
        if self._over:
            return  # the server's clock is behind: this is of the present
        if self.items == 0:
            self._as_before = self.first_ms == at_ms
            self.cut = self.cut or 0 < self.first_ms < at_ms
            self.first_ms = self.newest_ms = at_ms
        self.items += 1
        self.newest_ms = max(self.newest_ms, at_ms)
        if not self.decided and kind in ("up", "join"):
            # A join sets the frame counter to 0: what came before is not seen.
            counter = frame_counter(body, most_bytes) if kind == "up" else None
            self.cut = self.cut or (counter or 0) >= FRAMES_BEFORE
            self.decided = True

    def ended(self) -> None:
        """The history has come to its end; before, what came of it says nothing of what it holds. May be said again."""
        if self._over:
            return
        self._over = True
        grew = self._as_before and self.items > self.whole + NODE
        if self.whole and (grew or 2 * self.items < self.whole):
            self.cut = False  # nothing was deleted, or everything was: how much is kept is not seen in it
        self.whole = self.items
        limited = self.cut and self.items >= LEAST
        per_item_s = (self.newest_ms - self.first_ms) / 1000 / max(1, self.items - 1)
        self.reach_s = per_item_s * self.items if limited else None

    def left(self, until_ms: int) -> None:
        """The rest is not read: it goes on like this up to `until_ms`, the server's time of the newest event."""
        span_ms = self.newest_ms - self.first_ms
        if span_ms > 0 and until_ms > self.newest_ms:
            self.items = 1 + (self.items - 1) * (until_ms - self.first_ms) // span_ms
            self.newest_ms = until_ms


@dataclass(frozen=True, slots=True)
class Shortage:
    """Histories that are too short for an outage."""

    devices: int
    """Of so many devices."""
    worst: str
    """DevEUI of the one with the shortest."""
    items: int
    """Events that the server has of it."""
    reach_s: float
    outage_s: float

    @property
    def wanted(self) -> int:
        """Events that the server should keep of a device."""
        wanted = self.items * self.outage_s / max(self.reach_s, 1.0) * MARGIN
        step: int = 10 ** max(2, math.floor(math.log10(wanted)))
        return math.ceil(wanted / step) * step

    def __str__(self) -> str:
        """What is wrong, and what to do."""
        more = "" if self.devices == 1 else f" ({self.devices} devices have too short a history)"
        return (
            f"the history of {self.worst}, {self.items} events, reaches back {hours(self.reach_s)}, an outage of"
            f" {hours(self.outage_s)} is to be survived{more}: set {SETTING} to {self.wanted} in ChirpStack"
        )


def reaches(histories: Mapping[str, DeviceHistory]) -> dict[str, float]:
    """How long an outage those of the histories survive that have come to their limit, seconds; both by DevEUI."""
    # The limit is the same for all devices: what is much shorter than another one's has not come to it.
    limited = max((history.whole for history in histories.values()), default=0) - NODE
    return {
        dev_eui: reach
        for dev_eui, history in histories.items()
        if (reach := history.reach_s) is not None and history.whole >= limited
    }


def shortage(histories: Mapping[str, DeviceHistory], outage_s: float) -> Shortage | None:
    """Whether some of the histories, by DevEUI, are too short for an outage of `outage_s`; None: not as far as is seen."""
    short = {dev_eui: reach for dev_eui, reach in reaches(histories).items() if reach < outage_s}
    if not short:
        return None
    worst = min(short, key=lambda dev_eui: (short[dev_eui], dev_eui))
    return Shortage(len(short), worst, histories[worst].whole, short[worst], outage_s)


def hours(seconds: float) -> str:
    """Return a time in words."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
