"""Which item of a device's queue is next, and which are dropped on the way to it."""

from __future__ import annotations

from . import events
from .device import Device, QueueItem
from .events import Event
from .network import Network
from .reception import Uplink
from .session import Session


def next_item(
    network: Network, device: Device, session: Session, uplink: Uplink, max_size: int
) -> tuple[QueueItem | None, bool, list[Event]]:
    """(the item for this downlink, whether more wait behind it, events about those dropped).

    Dropped are: a confirmed item that was sent and that the device has not acknowledged by now, and items that have
    expired, do not fit `max_size` bytes, or are encrypted for a frame counter that is used already.
    """
    info = network.registry.device_info(device)
    now = network.scheduler.now_ns
    dropped: list[Event] = []

    def refuse(item: QueueItem, code: str, reason: str, **context: object) -> None:
        texts = {**{name: str(value) for name, value in context.items()}, "queue_item_id": item.id}
        description = f"Device queue-item discarded because {reason}"
        dropped.append(events.log(now, info, "ERROR", code, description, texts))
        device.discard(item)

    while device.queue:
        item = device.queue[0]
        if item.is_pending:
            device.discard(item)
            dropped.append(
                events.ack(uplink.deduplication_id, now, info, item.id, False, item.f_cnt_down or 0)
            )
        elif item.expires_ns is not None and item.expires_ns < now:
            refuse(item, "EXPIRED", "it has expired")
        elif len(item.data) > max_size:
            refuse(
                item,
                "DOWNLINK_PAYLOAD_SIZE",
                "it exceeds the max. payload size",
                max_payload_size=max_size,
                item_size=len(item.data),
            )
        elif item.is_encrypted and (item.f_cnt_down or 0) < session.f_cnt_down:
            refuse(
                item,
                "F_CNT_DOWN",
                "the frame-counter is invalid",
                device_f_cnt_down=session.f_cnt_down,
                queue_item_f_cnt_down=item.f_cnt_down or 0,
            )
        else:
            return item, len(device.queue) > 1, dropped
    return None, False, dropped
