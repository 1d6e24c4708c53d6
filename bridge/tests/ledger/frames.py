"""Events of a node, written down by hand: slots from 0, totals and counts as given."""

from zaehlwerk_bridge.event import Event
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.frame import Frame
from zaehlwerk_protocol.state import UNSYNCED
from zaehlwerk_protocol.status import Status

NS = 1_000_000_000
INTERVAL_S = 900
SLOT = 1_980_000
"""The interval that the tests call 0: from 2026-06-21T00:00:00Z."""
DEV_EUI = "0102030405060708"
TAGS = {"station": "Neutor", "channels": "a", "classes": "bicycle", "directions": "in"}


def at(number: int, seconds: int = 40) -> int:
    """So many seconds after the end of interval `number`, as a time of receipt."""
    return ((SLOT + number + 1) * INTERVAL_S + seconds) * NS


class Device:
    """Makes events with rising ids and frame counters."""

    def __init__(self, dev_eui: str = DEV_EUI, **tags: str) -> None:
        self.dev_eui = dev_eui
        self.tags = {**TAGS, **tags}
        self._sent = 0

    def event(self, frame: Frame | bytes, received_ns: int, *, port: int = 1, problem: str = "") -> Event:
        """An uplink."""
        self._sent += 1
        payload = frame if isinstance(frame, bytes) else frame.encode()
        return Event(
            "grpc",
            self.dev_eui,
            "up",
            f"dedup-{self._sent}",
            f"{received_ns // 1_000_000}-{self._sent}",
            received_ns,
            f_port=port if isinstance(frame, bytes) else frame.PORT,
            f_cnt=self._sent,
            payload=payload,
            device_name="node-1",
            tags=self.tags,
            problem=problem,
        )

    def status(
        self,
        number: int,
        total: int | None = None,
        *,
        epoch: int = 1,
        generation: int = 0,
        ns: int | None = None,
    ) -> Event:
        """Names the epoch, and anchors `total` at the end of `number` if it is given."""
        anchor = None if total is None else ((SLOT + number) % 65_536, (total,))
        return self.event(
            Status(1, generation, epoch, INTERVAL_S, anchor), at(number, 50) if ns is None else ns
        )

    def count(
        self,
        number: int,
        total: int,
        *history: int,
        generation: int = 0,
        cover: tuple[int, int] | None = None,
    ) -> Event:
        """The frame that closes interval `number`."""
        frame = Counts(
            (SLOT + number) % 65_536,
            generation,
            (total % 65_536,),
            [(count,) for count in history],
            () if cover is None else (cover,),
        )
        return self.event(frame, at(number))

    def backfill(self, first: int, *counts: int | None, after: int) -> Event:
        """Rows from `first` on, received after interval `after`."""
        rows = [None if count is None else (count,) for count in counts]
        return self.event(Backfill((SLOT + first) % 65_536, 0, 1, rows), at(after, 80))

    def own(self, number: int, total: int, *history: int, ns: int) -> Event:
        """The frame that closes interval `number` of the node's own numbering."""
        return self.event(Counts(number, UNSYNCED, (total,), [(count,) for count in history]), ns)

    def mapping(self, first: int, start_s: int, *, ns: int) -> Event:
        """Interval `first` of the node's own numbering began at `start_s`."""
        return self.event(Status(1, 0, 1, INTERVAL_S, None, (first, start_s)), ns)
