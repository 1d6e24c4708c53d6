"""The open event streams and their polls: who sees which item at which virtual second.

ChirpStack reads a device's history from the start on every connect, ten items at a time, and looks again one second later.
Here a stream polls at the virtual moment when it was opened and every second after it; only polls that find something are
planned, so an idle stream costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from chirpstack_api.api import internal_pb2

from .events import Event
from .history import START, History, ItemId, id_text
from .scheduler import NS_PER_S, Handle, Scheduler

POLL_NS = NS_PER_S
READ_COUNT = 10
"""The pause and the COUNT of ChirpStack's XREAD loop."""

Delivered = Callable[[str, str], None]
"""(DevEUI, item id) of the last item of a batch that was just pushed to an open stream."""


@dataclass(eq=False)
class Stream:
    """One open stream. `items` is what its gRPC call sends; None ends it as an outage does."""

    dev_eui: str
    key_id: str
    opened_ns: int
    items: asyncio.Queue[internal_pb2.LogItem | None] = field(default_factory=asyncio.Queue)
    last: ItemId = START
    """Id of the last item pushed."""
    poll: Handle | None = None


class Streams:
    """All histories and all open streams."""

    def __init__(self, scheduler: Scheduler, limit: int) -> None:
        self._scheduler = scheduler
        self._limit = limit
        self._histories: dict[str, History] = {}
        self._open: dict[str, list[Stream]] = {}
        self.on_delivered: Delivered | None = None

    def append(self, dev_eui: str, event: Event) -> None:
        """An event of a device: kept, and seen by its open streams at their next poll."""
        if not self._limit:
            return
        self._history(dev_eui).append(event, self._scheduler.now_ns)
        for stream in self._open.get(dev_eui, ()):
            if stream.poll is None:
                self._plan(stream)

    def open(self, dev_eui: str, key_id: str) -> Stream:
        """Open a stream: its first poll is made at once.

        `dev_eui` is taken as it was written in the request, so one in upper case finds nothing, for ever.
        """
        stream = Stream(dev_eui, key_id, self._scheduler.now_ns)
        self._open.setdefault(dev_eui, []).append(stream)
        self._poll(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """The stream's call has ended."""
        if stream.poll:
            stream.poll.cancel()
        self._open[stream.dev_eui].remove(stream)

    def end_all(self) -> None:
        """Tell all open streams to end."""
        for streams in self._open.values():
            for stream in streams:
                stream.items.put_nowait(None)

    def forget(self) -> None:
        """Lose all histories (a flushed Redis). Open streams go on from where they were."""
        for history in self._histories.values():
            history.clear()

    def delivered(self, key_id: str | None = None) -> dict[str, str]:
        """DevEUI to the id of the last item pushed to an open stream, of all streams or of one API key's."""
        latest: dict[str, ItemId] = {}
        for dev_eui, streams in self._open.items():
            for stream in streams:
                if stream.last > latest.get(dev_eui, START) and key_id in (None, stream.key_id):
                    latest[dev_eui] = stream.last
        return {dev_eui: id_text(last) for dev_eui, last in latest.items()}

    def count(self) -> int:
        """Number of open streams."""
        return sum(map(len, self._open.values()))

    def _history(self, dev_eui: str) -> History:
        if dev_eui not in self._histories:
            self._histories[dev_eui] = History(self._limit)
        return self._histories[dev_eui]

    def _plan(self, stream: Stream) -> None:
        # An item of the very moment of a poll is seen by the next one: the poll may have been made already.
        polls = (self._scheduler.now_ns - stream.opened_ns) // POLL_NS + 1
        stream.poll = self._scheduler.at(stream.opened_ns + polls * POLL_NS, lambda: self._poll(stream))

    def _poll(self, stream: Stream) -> None:
        stream.poll = None
        history = self._histories.get(stream.dev_eui)
        batch = history.after(stream.last, READ_COUNT) if history else []
        if not batch:
            return
        for item_id, item in batch:
            stream.last = item_id
            stream.items.put_nowait(item)
        if history and history.after(stream.last, 1):
            self._plan(stream)
        if self.on_delivered:
            self.on_delivered(stream.dev_eui, id_text(stream.last))
