"""The events kept per device, with ids as Redis would give them."""

from __future__ import annotations

import json
from collections import deque

from chirpstack_api.api import internal_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from .events import Event
from .scheduler import NS_PER_MS, NS_PER_S

ItemId = tuple[int, int]
"""(milliseconds, sequence) of a Redis stream id; order is that of the tuple, never that of the text."""

START: ItemId = (0, 0)
"""Before every item."""


def id_text(item_id: ItemId) -> str:
    """`<ms>-<seq>`."""
    return f"{item_id[0]}-{item_id[1]}"


class History:
    """The newest `limit` items of one device, oldest first. It outlives the device, as ChirpStack's does."""

    def __init__(self, limit: int) -> None:
        self._items: deque[tuple[ItemId, internal_pb2.LogItem]] = deque(maxlen=limit)
        self._last = START

    def append(self, event: Event, now_ns: int) -> ItemId:
        """Keep an event under the next id: the clock's millisecond, or the last id's if the clock went back."""
        ms, seq = now_ns // NS_PER_MS, 0
        if ms <= self._last[0]:
            ms, seq = self._last[0], self._last[1] + 1
        self._last = (ms, seq)
        item = internal_pb2.LogItem(
            id=id_text(self._last),
            time=Timestamp(seconds=event.time_ns // NS_PER_S, nanos=event.time_ns % NS_PER_S),
            description=event.kind,
            body=json.dumps(event.body, separators=(",", ":"), ensure_ascii=False),
            properties=event.properties,
        )
        self._items.append((self._last, item))
        return self._last

    def after(self, item_id: ItemId, count: int) -> list[tuple[ItemId, internal_pb2.LogItem]]:
        """Up to `count` items behind `item_id` (XREAD COUNT)."""
        return [entry for entry in self._items if entry[0] > item_id][:count]

    def clear(self) -> None:
        """Lose all items, as Redis does when it is flushed. Ids go on from the clock."""
        self._items.clear()
        self._last = START
