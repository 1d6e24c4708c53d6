"""One device's event stream, kept open: opened at the common pace, watched, opened again after jittered waits."""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import grpc.aio
from chirpstack_api import api
from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.sources.connection import Connection, describe
from zaehlwerk_bridge.sources.device_history import SETTING, DeviceHistory
from zaehlwerk_bridge.sources.interface import Sink, SourceCounts
from zaehlwerk_bridge.sources.item import ItemProblem, to_event
from zaehlwerk_bridge.sources.item_id import parse
from zaehlwerk_bridge.sources.pace import Pace
from zaehlwerk_bridge.sources.replay import Replay, Verdict

STEADY_NS = 60 * 10**9
"""A stream that was open for this long works: the next wait is the shortest again."""
QUIET_NS = 10 * 10**9
"""A stream that brought nothing for this long has no history left to send: the server reads on every second."""
CLOCKS_MS = 3_600_000
"""So far the server's clock may be from the bridge's. An item that is younger than its stream by more is of the present."""


class StreamState(enum.Enum):
    """Where a stream is."""

    CLOSED = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    WAITING = enum.auto()
    """Ended or refused; will be opened again."""


@dataclass(frozen=True)
class StreamContext:
    """What all streams of a source share."""

    source: str
    counts: SourceCounts
    connection: Connection
    clock: Clock
    pace: Pace
    log: FilteringBoundLogger
    unauthenticated: Callable[[], None]
    """A stream was refused: the device may be gone, so list the devices again."""


Opener = Callable[..., "grpc.aio.UnaryStreamCall[object, api.LogItem]"]
"""Opens a stream: takes the request and `metadata`."""


def opener(channel: grpc.aio.Channel) -> Opener:
    """Return what opens streams on a channel. One for all of its streams: a stub makes 28 objects, each time."""
    stub = api.InternalServiceStub(channel)  # type: ignore[no-untyped-call]
    made: Opener = stub.StreamDeviceEvents
    return made


class DeviceStream:
    """Reads `dev_eui`'s stream on `channel` until its task is cancelled. `opened_by`: the channel's opener.

    There are as many as devices, so each is kept small.
    """

    __slots__ = (
        "_backoff",
        "_call",
        "_context",
        "_opened_ms",
        "_opener",
        "_present",
        "_reopening",
        "_sink",
        "_waits_since_ns",
        "channel",
        "dev_eui",
        "history",
        "items",
        "replay",
        "state",
        "trouble",
    )

    def __init__(
        self,
        context: StreamContext,
        dev_eui: str,
        channel: grpc.aio.Channel,
        opened_by: Opener,
        sink: Sink,
        backoff: Backoff,
    ) -> None:
        self.dev_eui = dev_eui
        self.channel = channel
        self._opener = opened_by
        self.state = StreamState.CLOSED
        self.trouble = ""
        self.items = 0
        self.replay = Replay(None)
        self.history: DeviceHistory | None = None
        """What the server had of the past when the stream was opened; None: nothing yet."""
        self._opened_ms = 0
        self._waits_since_ns: int | None = None
        self._present = False
        self._context = context
        self._sink = sink
        self._backoff = backoff
        self._call: grpc.aio.UnaryStreamCall[object, api.LogItem] | None = None
        self._reopening = False

    @property
    def newest_ms(self) -> int | None:
        """Server's time of the newest item that came, milliseconds of UTC Unix time."""
        return None if self.replay.cursor is None else self.replay.cursor[0]

    def replays(self) -> bool:
        """Whether the server may still be sending the past. It sends ten events a second: of 1,000 that takes minutes."""
        since_ns = self._waits_since_ns
        if since_ns is not None and self._context.clock.now_ns() - since_ns >= QUIET_NS:
            self._present = True
        return self.state is StreamState.OPEN and not self._present

    def reopen(self) -> None:
        """End the present call and open the stream again at once."""
        if self._call is not None and self.state is StreamState.OPEN:
            self._reopening = True
            self._context.counts.reopened += 1
            self._call.cancel()

    async def run(self) -> None:
        """Keep the stream open until cancelled."""
        cursor = await self._sink.cursor(self._context.source, self.dev_eui)
        self.replay = Replay(parse(cursor) if cursor is not None else None)
        try:
            while True:
                await self._once()
                if self._reopening:
                    self._reopening = False
                    continue
                self._context.counts.failed += 1
                self._state(StreamState.WAITING)
                await self._context.clock.sleep(self._backoff.next())
        finally:
            self._state(StreamState.CLOSED)

    async def _once(self) -> None:
        """One call from its opening to its end, which becomes `trouble`."""
        self._state(StreamState.OPENING)
        await self._context.pace.wait()
        opened_ns = self._context.clock.now_ns()
        try:
            self.trouble = await self._read()
        except grpc.aio.AioRpcError as error:
            self.trouble = describe(error)
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                self._context.unauthenticated()
        except SettingsError as error:
            self.trouble = str(error)
        except TimeoutError:
            self.trouble = (
                "no answer to the opening of a stream; does a proxy limit the streams of a connection?"
            )
        except asyncio.CancelledError:
            # grpc.aio raises the same for a call that was cancelled and for a task that was.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self.trouble = "opened again" if self._reopening else "the call was cancelled"
        finally:
            self._waits_since_ns = None
            if self._call is not None:
                self._call.cancel()
                self._call = None
        if self._context.clock.now_ns() - opened_ns >= STEADY_NS:
            self._backoff.reset()
        self._context.log.info(
            "stream ended", dev_eui=self.dev_eui, reason=self.trouble, tries=self._backoff.tries
        )

    async def _read(self) -> str:
        request = api.StreamDeviceEventsRequest(dev_eui=self.dev_eui)
        self._call = call = self._opener(request, metadata=self._context.connection.metadata())
        # The answer's header, not an item: a server behind a proxy that lets too few streams through stays silent.
        async with asyncio.timeout(self._context.connection.settings.request_timeout_s):
            await call.wait_for_connection()
        self.replay.connected()
        self._opened_ms = self._context.clock.now_ns() // 1_000_000
        self._present = False
        if self.history is not None:
            self.history.opened()
        self._context.counts.opened += 1
        self._state(StreamState.OPEN)
        self._context.clock.away()
        while True:
            self._waits_since_ns = self._context.clock.now_ns()
            item = await call.read()
            self._waits_since_ns = None  # what the bridge itself is slow with is no silence of the server's
            if not isinstance(item, api.LogItem):  # EOF
                break
            self.items += 1
            self._context.counts.items += 1
            await self._take(item)
            del item  # or it would be kept until the next one comes, which may take hours
            if self._reopening:
                break
        return "the server ended the stream"

    async def _take(self, item: api.LogItem) -> None:
        item_id = parse(item.id)
        if item_id is not None:
            self._present = self._present or item_id[0] > self._opened_ms + CLOCKS_MS
            if item_id[0] <= self._opened_ms:
                self._remember(item_id[0], item)
            torn = self.replay.torn
            verdict = self.replay.take(item_id)
            if self.replay.torn and not torn:
                self._torn()
            if verdict is Verdict.KNOWN:
                return
            if verdict is Verdict.RESTARTED:
                self.begin_again()
                return
            # Not for what is replayed: a stream that breaks in its history would be opened again without any wait.
            self._backoff.reset()
        try:
            event = to_event(
                self._context.source,
                self.dev_eui,
                item.id,
                item.description,
                item.body,
                self._context.connection.settings.max_item_bytes,
            )
        except ItemProblem as problem:
            self._context.log.warning(
                "item without a place in its stream", dev_eui=self.dev_eui, reason=str(problem)
            )
            return
        if event is not None:
            await self._sink.take(event)

    def _remember(self, at_ms: int, item: api.LogItem) -> None:
        """An item of the past: how far that reaches back is worth knowing."""
        history = self.history
        if history is None:
            history = self.history = DeviceHistory()
        history.take(at_ms, item.description, item.body, self._context.connection.settings.max_item_bytes)

    def _torn(self) -> None:
        self._context.counts.trimmed += 1
        if self.history is not None:
            self.history.cut = True
        self._context.log.error(
            "the server may have deleted events before they were stored",
            dev_eui=self.dev_eui,
            reason="its history begins behind what was stored last",
            remedy=f"raise {SETTING} in ChirpStack; nodes are asked for what is missing",
        )

    def begin_again(self) -> None:
        """The server's ids began again: read the whole history, what is known of it is told by its deduplication id."""
        self._context.log.warning(
            "the server's item ids began again, its history is read whole", dev_eui=self.dev_eui
        )
        self.replay.restart()
        self.reopen()

    def _state(self, state: StreamState) -> None:
        if state is not self.state:
            self.state = state
            self._sink.changed()
