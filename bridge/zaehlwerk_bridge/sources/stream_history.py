"""How long an outage a Redis stream survives: ChirpStack keeps so many entries of it and no more. Pure."""

import math
from dataclasses import dataclass

SETTING = "[monitoring] device_event_log_max_history"
"""What ChirpStack calls the number of entries that it keeps."""
DEFAULT = 10
WANTED = 100_000
MARGIN = 1.5
"""Traffic is not the same every day."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What XINFO says of a stream and of the group that reads it. Ids as pairs of numbers."""

    length: int
    added: int
    """Entries that were ever added."""
    first: tuple[int, int]
    """Id of the oldest entry that is there; (0, 0): there is none."""
    newest: tuple[int, int]
    """Id of the newest entry that ever was."""
    delivered: tuple[int, int] = (0, 0)
    """Id of the newest entry that the group was given."""
    read: int | None = None
    """Entries that the group was given, those included that were trimmed before it began; None: not known."""
    pending: int = 0
    """Of these not acknowledged."""

    @property
    def trimmed(self) -> int:
        """Entries that are there no more."""
        return max(0, self.added - self.length)

    @property
    def lag(self) -> int | None:
        """Entries that the group was not given yet; None: not known."""
        return None if self.read is None else max(0, self.added - self.read)

    @property
    def position(self) -> int | None:
        """Entries before the one that the group is given next; None: cannot be told, it is in the middle."""
        if self.delivered >= self.newest:
            return self.added
        if self.delivered < self.first or not self.length:
            return self.trimmed
        return None

    @property
    def lost(self) -> int:
        """Entries that were trimmed before the group was given them, as far as Redis has counted what it was given."""
        if self.read is None or self.position is None:
            return 0
        return max(0, self.position - self.read)

    @property
    def perhaps_lost(self) -> bool:
        """Whether it was not counted, and what the group was given last is there no more."""
        return self.read is None and (0, 0) < self.delivered < self.first and self.trimmed > 0


def reach_s(info: StreamInfo, now_ms: int) -> float | None:
    """So long ago the oldest entry was added; None: nothing was trimmed yet, so the stream may grow beyond that."""
    if not info.trimmed or not info.length:
        return None
    return max(0.0, (now_ms - info.first[0]) / 1000)


def too_short(info: StreamInfo, now_ms: int, outage_s: float) -> str:
    """What is wrong with the stream's length for an outage of `outage_s`, and what to do; empty if nothing is known to be."""
    if info.trimmed and info.length <= DEFAULT:
        return (
            f"the stream keeps {info.length} entries of all devices: set {SETTING} to {WANTED} in ChirpStack"
        )
    reach = reach_s(info, now_ms)
    if reach is None or reach >= outage_s:
        return ""
    wanted = info.length * outage_s / max(reach, 1.0) * MARGIN
    step = 10 ** max(3, math.floor(math.log10(wanted)))
    wanted = math.ceil(wanted / step) * step
    return (
        f"the stream's {info.length} entries reach back {_hours(reach)}, an outage of {_hours(outage_s)} is to be survived:"
        f" set {SETTING} to {wanted} in ChirpStack"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
