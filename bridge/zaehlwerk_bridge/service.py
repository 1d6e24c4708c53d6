"""The bridge: source, store and publisher wired together. Run by the command line and, with another clock, by a simulator."""

import asyncio
import contextlib
import dataclasses
import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.alarm import Alarm
from zaehlwerk_bridge.clock import Clock, SystemClock
from zaehlwerk_bridge.errors import BridgeError, BridgeStopped, NotReady
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.healing import Healer
from zaehlwerk_bridge.ledger.gap_table import Want
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.messages import VERSION
from zaehlwerk_bridge.publisher import Publisher
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.sources.connection import Connection
from zaehlwerk_bridge.sources.grpc import GrpcSource
from zaehlwerk_bridge.sources.interface import Source
from zaehlwerk_bridge.sources.item_id import ItemId, parse
from zaehlwerk_bridge.store import Committed, Store
from zaehlwerk_bridge.store_thread import StoreThread

_P = ParamSpec("_P")
_T = TypeVar("_T")

NS = 1_000_000_000
DRAIN_S = 1.5
"""So long a stopping bridge goes on to store what it has read; the rest is read again after the next start."""
PUBLISHER_S = 2.5
"""So long the publisher may take to stop: what is in flight, the goodbye, or a connection attempt that hangs."""


@dataclass(slots=True)
class BridgeCounts:
    """What came in since the start."""

    events: int = 0
    repeated: int = 0
    rejected: int = 0
    transactions: int = 0


@dataclass(frozen=True, slots=True)
class _Folded:
    done: Committed
    deadline_ns: int | None


class Bridge:
    """One bridge from start to end.

    `clock` is the time of the server and the ledger, virtual in a simulation. `wall` is the time of the machine, in
    which the broker lives and the disk fails. `seed` makes the jitter repeatable.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        wall: Clock | None = None,
        log: FilteringBoundLogger | None = None,
        redactor: Redactor | None = None,
        seed: int | None = None,
        source: Source | None = None,
    ) -> None:
        self.settings = settings
        redactor = redactor if redactor is not None else Redactor()
        self._wall: Clock = wall if wall is not None else SystemClock()
        self._clock: Clock = clock if clock is not None else self._wall
        self._log = log if log is not None else make_logger(redactor, settings.log.level)
        self._rng = random.Random(seed)  # noqa: S311 - jitter
        self._store = StoreThread(
            lambda: Store(settings.database, prefix=settings.prefix, bridge_id=settings.id),
            self._wall,
            self._rng,
            self._log,
        )
        key = SecretFile(settings.chirpstack.api_key_file, "chirpstack.api_key_file", redactor)
        write_key = key
        if settings.chirpstack.write_key_file is not None:
            write_key = SecretFile(settings.chirpstack.write_key_file, "chirpstack.write_key_file", redactor)
        self.source: Source = source or GrpcSource(
            Connection(settings.chirpstack, key), self._clock, self._wall, self._rng, self._log
        )
        self.healer = Healer(Connection(settings.chirpstack, write_key), self._asked, self._log)
        password = None
        if settings.mqtt.password_file is not None:
            password = SecretFile(settings.mqtt.password_file, "mqtt.password_file", redactor)
        self.publisher = Publisher(
            settings.mqtt,
            settings.client_id,
            f"{settings.prefix}/{VERSION}/bridge/{settings.id}/status",
            password,
            self._store,
            self._clock,
            self._wall,
            self._rng,
            self._log,
            self.changed,
        )
        self.counts = BridgeCounts()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(settings.ledger.queue)
        self._storing = 0
        self._stored: dict[str, ItemId] = {}
        self._overrides = {dev_eui: station.tags() for dev_eui, station in settings.stations.items()}
        self._settling = Alarm(self._clock, self._settle, self._fail)
        self._pause_until_ns = 0
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._ended = False
        self._change: asyncio.Future[None] | None = None

    @property
    def disk_trouble(self) -> str:
        """What keeps the database from being written, empty if nothing does."""
        return self._store.trouble

    # What others wait for.

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Wait until all streams are open and the broker is connected, at most `timeout_s` of real time.

        Raises NotReady, saying which side is not and why.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._until(lambda: self.source.ready and self.publisher.connected)
        except TimeoutError:
            reasons = [] if self.source.ready else [f"source: {self.source.trouble}"]
            reasons += [] if self.publisher.connected else [f"broker: {self.publisher.trouble}"]
            raise NotReady(f"not ready in {timeout_s:g} s: {'; '.join(reasons)}") from None

    async def committed(self, dev_eui: str, item_id: str) -> None:
        """Wait until the item `item_id` of `dev_eui`'s stream, and all before it, are durable."""
        wanted = parse(item_id)
        if wanted is None:
            raise ValueError(f"{item_id!r} is not an item id")
        dev_eui = dev_eui.lower()
        await self._until(lambda: self._stored.get(dev_eui, (-1, 0)) >= wanted)

    async def quiet(self) -> None:
        """Wait until nothing is left to do at the clock's present time: all that was read is stored, all that is due
        is settled, nodes are asked for what is missing. Publishing is another matter: see `published`."""
        await self._until(
            lambda: (
                self._queue.empty() and not self._storing and not self._settling.due and not self.source.busy
            )
        )

    async def published(self) -> None:
        """Wait until the outbox is empty: everything that is stored has been acknowledged by the broker."""
        await self._until(
            lambda: (
                self._queue.empty() and not self._storing and not self._settling.due and self.publisher.idle
            )
        )

    async def ask(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return `function(store, *args)`, between two transactions: `await bridge.ask(Store.dump)`."""
        return await self._store.call(function, *args, **kwargs)

    def stop(self) -> None:
        """End `run` in good order: within 5 s, and nothing in flight is lost."""
        self._stop.set()

    # The run.

    async def run(self) -> None:
        """Work until `stop()`. Raises BridgeError for what trying again cannot mend, and what breaks unexpectedly."""
        await self._store.open()
        source = asyncio.create_task(self.source.run(self), name="source")
        store = asyncio.create_task(self._ingest(), name="store")
        publisher = asyncio.create_task(self.publisher.run(), name="publisher")
        tasks = (source, store, publisher)
        for task in tasks:
            task.add_done_callback(self._task_ended)
        try:
            self._settling.ring()
            await self._stop.wait()
            if self._failure is not None:
                raise self._failure
            await self._wind_up(source, publisher)
        finally:
            self._stop.set()
            await self._settling.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.healer.close()
            await self._store.close()
            self._ended = True
            self.changed()

    async def _wind_up(self, source: asyncio.Task[None], publisher: asyncio.Task[None]) -> None:
        source.cancel()
        await asyncio.gather(source, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._until(lambda: self._queue.empty() and not self._storing)
        self.publisher.stop()
        await asyncio.wait((publisher,), timeout=PUBLISHER_S)
        self._log.info(
            "bridge stopped", events=self.counts.events, acknowledged=self.publisher.counts.acknowledged
        )

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._stop.is_set():
            return
        self._fail(task.exception() or RuntimeError(f"{task.get_name()} ended by itself"))

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()
        self.changed()

    # What a source sees.

    async def take(self, event: Event) -> None:
        """Take an event of the source; waits while the store is behind."""
        overrides = self._overrides.get(event.dev_eui)
        if overrides:
            event = _with_tags(event, overrides)
        await self._queue.put(event)

    async def cursor(self, source: str, stream: str) -> str | None:
        """Return how far `stream` was stored."""
        cursor = await self._store.call(Store.cursor, source, stream)
        at = parse(cursor) if cursor is not None else None
        if at is not None:
            self._stored[stream] = max(at, self._stored.get(stream, at))
        return cursor

    def changed(self) -> None:
        """Let everybody who waits for something look again."""
        change, self._change = self._change, None
        if change is not None and not change.done():
            change.set_result(None)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._failure is not None:
                raise BridgeStopped(f"the bridge failed: {self._failure}") from self._failure
            if self._ended:
                raise BridgeStopped("the bridge has stopped")
            if self._change is None:
                self._change = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._change)

    # Storing.

    async def _ingest(self) -> None:
        while True:
            events = [await self._queue.get()]
            self._storing = 1
            while len(events) < self.settings.ledger.batch and not self._queue.empty():
                events.append(self._queue.get_nowait())
            await self._commit(events)
            self._storing = 0
            self.changed()

    async def _commit(self, events: list[Event]) -> None:
        try:
            folded = await self._store.durably(_commit, events, self._clock.now_ns())
        except (BridgeError, sqlite3.DatabaseError):
            raise
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            if len(events) > 1:
                # One of them brings the ledger down: the others shall not wait for it.
                for event in events:
                    await self._commit([event])
                return
            self._log.error(
                "event breaks the ledger", dev_eui=events[0].dev_eui, cursor=events[0].cursor, exc_info=True
            )
            problem = f"internal error: {type(error).__name__}: {error}"
            events = [dataclasses.replace(events[0], problem=problem)]
            folded = await self._store.durably(_commit, events, self._clock.now_ns())
        self.counts.transactions += 1
        self.counts.events += folded.done.events
        self.counts.repeated += folded.done.repeated
        self.counts.rejected += len(folded.done.rejected)
        for event in events:
            at = parse(event.cursor)
            if at is not None:
                self._stored[event.dev_eui] = max(at, self._stored.get(event.dev_eui, at))
        for reason in folded.done.rejected:
            self._log.warning("event is rejected", reason=reason)
        self._after(folded)
        await self.source.acknowledge(events)

    async def _settle(self) -> None:
        """Do everything that time makes due: gaps become spans, nodes are asked for what is missing."""
        folded = await self._store.durably(_settle, self._clock.now_ns())
        self._after(folded)
        now_ns = self._clock.now_ns()
        wants = await self._store.call(Store.wanted_backfill, now_ns)
        if wants and self.settings.healing.enabled:
            await self.healer.heal(wants, now_ns)
        elif wants:
            for want in wants:
                await self._asked(want, now_ns)
        deadline_ns = await self._store.call(Store.next_deadline_ns)
        if deadline_ns is not None and deadline_ns <= now_ns:
            # The server could not be reached: what could not be asked for stays due.
            deadline_ns = self._pause_until_ns = now_ns + int(self.settings.healing.check_s * NS)
        self._settling.set(deadline_ns)
        self.changed()

    async def _asked(self, want: Want, now_ns: int) -> None:
        await self._store.durably(Store.asked, want, now_ns)

    def _after(self, folded: _Folded) -> None:
        """What a transaction has changed for the others."""
        if folded.done.seqs:
            self.publisher.more()
        if folded.deadline_ns is not None:
            self._settling.set(max(folded.deadline_ns, self._pause_until_ns))
        self.changed()


def _commit(store: Store, events: Sequence[Event], now_ns: int) -> _Folded:
    return _Folded(store.commit(events, now_ns), store.next_deadline_ns())


def _settle(store: Store, now_ns: int) -> _Folded:
    return _Folded(store.settle(now_ns), store.next_deadline_ns())


def _with_tags(event: Event, overrides: dict[str, str]) -> Event:
    return dataclasses.replace(event, tags={**event.tags, **overrides})
