"""What a source yields: one event of one device, with the cursor up to which its stream has then been read."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)  # and not frozen, which takes four times as long to make; nobody changes one
class Event:
    """An item of a device's stream. Times are int nanoseconds of UTC Unix time."""

    source: str  # which source, "grpc"
    dev_eui: str  # 16 lower-case hexadecimal digits
    kind: str  # "up", "join", "ack", "txack", "log", "status"
    dedup_id: str  # the server's deduplication id; empty where the event has none
    cursor: str  # the item's id in its stream, "<ms>-<seq>"
    received_ns: int  # when the server received it
    f_port: int = 0
    f_cnt: int = 0
    payload: bytes = b""
    device_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    dr: int = 0
    rssi: int | None = None
    snr: float | None = None
    gateways: int = 0
    queue_item: str = ""  # of "txack", "ack" and some "log": the downlink's id in the server's queue
    report: str = (
        ""  # what an "ack" or a "log" says of it: "acknowledged" or "missed", or code and description
    )
    problem: str = ""  # why the source could not read the item; such an event is rejected, never dropped
    internal: bool = False  # the problem is the bridge's own: the event is as it should be

    def __reduce__(self) -> tuple[type["Event"], tuple[object, ...]]:
        """Its fields in order: a tenth of the work that pickling their names takes as well."""
        return Event, (
            self.source,
            self.dev_eui,
            self.kind,
            self.dedup_id,
            self.cursor,
            self.received_ns,
            self.f_port,
            self.f_cnt,
            self.payload,
            self.device_name,
            self.tags,
            self.dr,
            self.rssi,
            self.snr,
            self.gateways,
            self.queue_item,
            self.report,
            self.problem,
            self.internal,
        )
