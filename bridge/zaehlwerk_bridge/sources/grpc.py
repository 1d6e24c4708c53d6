"""The source `grpc`: every device of the tenants, found by listing, one event stream each."""

import asyncio
import random
from collections.abc import Sequence

import grpc.aio
from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.alarm import Alarm
from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.progress import Progress
from zaehlwerk_bridge.sources.connection import Connection
from zaehlwerk_bridge.sources.device_history import shortage
from zaehlwerk_bridge.sources.device_stream import (
    QUIET_NS,
    DeviceStream,
    Opener,
    StreamContext,
    StreamState,
    opener,
)
from zaehlwerk_bridge.sources.discovery import Device, DiscoveryError, list_devices
from zaehlwerk_bridge.sources.interface import Sink, SourceCounts
from zaehlwerk_bridge.sources.pace import Pace

BURST = 50
"""Streams that are opened at once before the pace begins; a Python server loses first messages far above."""
ABSENT_LISTS = 2
"""A device is gone when this many lists in a row lack it: a list read page by page can miss one while others change."""
LIST_PATIENCE_S = 900.0
"""So long a list may take: thousands of pages from a server that answers each just in time."""
SILENCE_MS = 30_000
"""A stream is suspected when its device was seen this much later than its newest item; clocks may differ less."""
SECOND_LOOK_NS = QUIET_NS
"""So long a suspected stream may take to deliver after all. One that still replays a long history is looked at again."""


class GrpcSource:
    """Keeps one stream open for each device that the server lists.

    `clock` is the time of the server (virtual in a simulation); `wall` is real time, for what protects the machine.
    """

    name = "grpc"

    def __init__(
        self, connection: Connection, clock: Clock, wall: Clock, rng: random.Random, log: FilteringBoundLogger
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._clock = clock
        self._rng = rng
        self._log = log
        self._pace = Pace(wall, self._settings.opens_per_s, BURST)
        self.counts = SourceCounts()
        self.progress = Progress()
        self._context = StreamContext(
            self.name, self.counts, connection, clock, self._pace, log, self._unauthenticated
        )
        self._streams: dict[str, DeviceStream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._absent: dict[str, int] = {}
        self._suspects: dict[str, int] = {}
        self._reopened_for: dict[str, int] = {}
        self._channels: list[grpc.aio.Channel] = []
        self._load: dict[grpc.aio.Channel, int] = {}
        self._openers: dict[grpc.aio.Channel, Opener] = {}
        self._listed = False
        self._trouble = ""
        self._told_to_keep = 0
        self._list_backoff = Backoff(rng, self._settings.backoff_first_s, self._settings.backoff_most_s)
        self._sink: Sink | None = None
        self._failure: asyncio.Future[None] | None = None
        self._relisting: Alarm | None = None
        self._second_look: Alarm | None = None

    @property
    def streams(self) -> dict[str, DeviceStream]:
        """The streams by DevEUI."""
        return self._streams

    def states(self) -> dict[str, int]:
        """Return how many streams are in which state."""
        states = {state.name.lower(): 0 for state in StreamState}
        for stream in list(self._streams.values()):
            states[stream.state.name.lower()] += 1
        return states

    @property
    def ready(self) -> bool:
        """Whether the devices are known and all their streams are open."""
        return self._listed and all(stream.state is StreamState.OPEN for stream in self._streams.values())

    @property
    def busy(self) -> bool:
        """Whether devices are being listed, or are due to be."""
        return any(alarm is not None and alarm.due for alarm in (self._relisting, self._second_look))

    @property
    def lag(self) -> None:
        """Not told by the server."""

    @property
    def trouble(self) -> str:
        """What keeps the source from being ready, in one line."""
        if self._trouble or not self._listed:
            return self._trouble or "the devices are not listed yet"
        shut = [stream for stream in self._streams.values() if stream.state is not StreamState.OPEN]
        if not shut:
            return ""
        reason = next((stream.trouble for stream in shut if stream.trouble), "still opening")
        return f"{len(shut)} of {len(self._streams)} streams are not open: {reason}"

    async def run(self, sink: Sink) -> None:
        """List, stream, list again; until cancelled."""
        self._sink = sink
        self._failure = asyncio.get_running_loop().create_future()
        self._relisting = Alarm(self._clock, self._list, self._failed)
        self._second_look = Alarm(self._clock, self._look_again, self._failed)
        try:
            self._relisting.ring()
            await self._failure
        finally:
            await self._relisting.close()
            await self._second_look.close()
            await self._disconnect()

    async def _disconnect(self) -> None:
        await self._close_streams(list(self._tasks))
        await asyncio.gather(*(channel.close() for channel in self._channels), return_exceptions=True)
        self._channels.clear()
        self._load.clear()
        self._openers.clear()

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Nothing to tell the server: it has no cursor, and replays its history on every connect."""

    def _failed(self, error: BaseException) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    def _unauthenticated(self) -> None:
        """One refused stream says that its device may be gone or the key changed; listing tells which."""
        if self._relisting is not None and not self._relisting.acting:
            self._relisting.set(self._clock.now_ns() + int(self._settings.backoff_first_s * 1e9))

    async def _list(self) -> None:
        assert self._sink is not None
        assert self._relisting is not None
        self.progress.step(LIST_PATIENCE_S)
        if self._connection.rotated():
            self._log.info("certificates were replaced, all streams are opened again")
            await self._disconnect()
        try:
            channel = self._channel(0)
            devices = await list_devices(self._connection, channel)
        except DiscoveryError as error:
            if str(error) != self._trouble:
                self._log.error("devices cannot be listed", reason=str(error))
            self._trouble = str(error)
            wait_s = self._list_backoff.next()
            self.progress.step(wait_s + LIST_PATIENCE_S)
            self._relisting.set(self._clock.now_ns() + int(wait_s * 1e9))
            self._sink.changed()
            return
        if self._trouble:
            self._log.info("devices can be listed again")
        self._trouble = ""
        self._list_backoff.reset()
        self.counts.lists += 1
        await self._reconcile(devices)
        self._suspect(devices)
        self._see_histories()
        self._listed = True
        self.progress.step(self._settings.relist_s + LIST_PATIENCE_S)
        self._relisting.set(self._clock.now_ns() + int(self._settings.relist_s * 1e9))
        self._sink.changed()

    async def _reconcile(self, devices: dict[str, Device]) -> None:
        new = [dev_eui for dev_eui in sorted(devices) if dev_eui not in self._streams]
        for dev_eui in new:
            self._open(dev_eui)
        gone = []
        for dev_eui in self._streams:
            self._absent[dev_eui] = 0 if dev_eui in devices else self._absent.get(dev_eui, 0) + 1
            if self._absent[dev_eui] >= ABSENT_LISTS:
                gone.append(dev_eui)
        await self._close_streams(gone)
        if new or gone:
            self._log.info("devices listed", devices=len(devices), new=len(new), gone=len(gone))

    def _open(self, dev_eui: str) -> None:
        assert self._sink is not None
        channel = self._channel_with_room()
        self._load[channel] += 1
        backoff = Backoff(self._rng, self._settings.backoff_first_s, self._settings.backoff_most_s)
        stream = DeviceStream(self._context, dev_eui, channel, self._openers[channel], self._sink, backoff)
        self._streams[dev_eui] = stream
        task = asyncio.create_task(stream.run(), name=f"stream {dev_eui}")
        self._tasks[dev_eui] = task
        task.add_done_callback(self._stream_ended)

    def _stream_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            error = task.exception()
            self._failed(error or RuntimeError(f"{task.get_name()} ended by itself"))

    async def _close_streams(self, dev_euis: list[str]) -> None:
        tasks = [self._tasks.pop(dev_eui) for dev_eui in dev_euis]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for dev_eui in dev_euis:
            stream = self._streams.pop(dev_eui)
            self._load[stream.channel] -= 1
            for known in (self._absent, self._suspects, self._reopened_for):
                known.pop(dev_eui, None)

    def _suspect(self, devices: dict[str, Device]) -> None:
        """Remember streams whose device was heard while nothing came; a second look decides."""
        assert self._second_look is not None
        self._suspects = {}
        for dev_eui, device in devices.items():
            stream = self._streams[dev_eui]
            seen = device.last_seen_ms
            if (
                stream.state is StreamState.OPEN
                and seen is not None
                and seen != self._reopened_for.get(dev_eui)
            ):
                self._suspects[dev_eui] = seen
        self._suspects = {
            dev_eui: seen for dev_eui, seen in self._suspects.items() if self._silent(dev_eui, seen)
        }
        doubtful = any(stream.replay.doubtful for stream in self._streams.values())
        if self._suspects or doubtful or self._replaying or not self._listed:
            self._second_look.set(self._clock.now_ns() + SECOND_LOOK_NS)

    def _silent(self, dev_eui: str, seen_ms: int) -> bool:
        newest = self._streams[dev_eui].newest_ms
        return newest is None or newest + SILENCE_MS < seen_ms

    @property
    def _replaying(self) -> bool:
        return any(stream.replays() for stream in self._streams.values())

    async def _look_again(self) -> None:
        assert self._second_look is not None
        for stream in self._streams.values():
            # What is still replayed may hold the cursor's own item, and the one that was heard.
            if stream.replay.doubtful and stream.state is StreamState.OPEN and not stream.replays():
                stream.begin_again()
        for dev_eui, seen in list(self._suspects.items()):
            suspect = self._streams.get(dev_eui)
            if suspect is not None and suspect.replays():
                continue
            del self._suspects[dev_eui]
            if suspect is not None and suspect.state is StreamState.OPEN and self._silent(dev_eui, seen):
                self._log.warning("device was heard but its stream is silent", dev_eui=dev_eui)
                self._reopened_for[dev_eui] = seen
                suspect.reopen()
        self._see_histories()
        if self._replaying:
            self._second_look.set(self._clock.now_ns() + SECOND_LOOK_NS)

    def _see_histories(self) -> None:
        """Whether the server keeps enough of each device for the outage that is to be survived."""
        histories = {}
        for dev_eui, stream in self._streams.items():
            if stream.history is not None:
                histories[dev_eui] = stream.history
                if stream.state is StreamState.OPEN and not stream.replays():
                    stream.history.ended()
        short = shortage(histories, self._settings.outage_h * 3600)
        self.counts.short = 0 if short is None else short.devices
        if short is not None and short.wanted != self._told_to_keep:
            self._log.warning("a long outage would lose events", reason=str(short))
        self._told_to_keep = 0 if short is None else short.wanted

    def _channel(self, number: int) -> grpc.aio.Channel:
        while number >= len(self._channels):
            channel = self._connection.channel()
            self._channels.append(channel)
            self._load[channel] = 0
            self._openers[channel] = opener(channel)
        return self._channels[number]

    def _channel_with_room(self) -> grpc.aio.Channel:
        """The first channel for requests alone, so that a proxy's limit of streams never stops a list."""
        number = 1
        while self._load[self._channel(number)] >= self._settings.streams_per_channel:
            number += 1
        return self._channels[number]
