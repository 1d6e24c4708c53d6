"""The bridge: source, store and publisher wired together. Run by the command line and, with another clock, by a simulator."""

import asyncio
import contextlib
import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Concatenate, ParamSpec, TypeVar

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.alarm import Alarm
from zaehlwerk_bridge.claims import ClaimWatch
from zaehlwerk_bridge.clock import Clock, SteadyClock, machine_clock
from zaehlwerk_bridge.commands.dispatcher import Dispatcher, Surroundings
from zaehlwerk_bridge.commands.listener import CommandListener
from zaehlwerk_bridge.database import FAULTS, Server
from zaehlwerk_bridge.disk_watch import DiskWatch
from zaehlwerk_bridge.distribution import Distribution
from zaehlwerk_bridge.errors import BridgeError, BridgeStopped, NotReady
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.heartbeat import Heartbeat
from zaehlwerk_bridge.housekeeping import Housekeeping
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.messages import Topics
from zaehlwerk_bridge.publisher import Publisher
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.rejected import broken
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.sources.connection import Connection
from zaehlwerk_bridge.sources.grpc import GrpcSource
from zaehlwerk_bridge.sources.interface import Source
from zaehlwerk_bridge.sources.item_id import ItemId, parse
from zaehlwerk_bridge.store import Committed, Store
from zaehlwerk_bridge.store_access import StoreAccess
from zaehlwerk_bridge.store_place import store_place
from zaehlwerk_bridge.store_process import StoreGone, StoreProcess
from zaehlwerk_bridge.store_thread import StoreThread
from zaehlwerk_bridge.transactions import Folded, NotBegun, commit, settle

_P = ParamSpec("_P")
_T = TypeVar("_T")

NS = 1_000_000_000
DRAIN_S = 1.0
"""So long a stopping bridge goes on to store what it has read; the rest is read again after the next start."""
PUBLISHER_S = 2.5
"""So long the publisher may take to stop: what is in flight, the goodbye, or a connection attempt that hangs."""
OTHERS_S = 1.0
"""Between two looks whether another program has written to the store."""
TURNS_S = 0.05
"""Between two looks whether messages that wait for other bridges' have got their turn."""
ROOM_S = 0.05
"""So long the next transaction waits at most until the publisher has room: then what it makes need not be read again."""
DELAY_BOUNDS_S = (0.1, 0.5, 1, 2, 5, 15, 60, 300, 900, 3600, 14400, 86400)
COMMIT_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(slots=True)
class BridgeCounts:
    """What came in since the start."""

    events: int = 0
    repeated: int = 0
    rejected: int = 0
    transactions: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    """Events, by Fate."""
    frames: Counter[str] = field(default_factory=Counter)
    """Decoded frames, by kind."""
    causes: Counter[str] = field(default_factory=Counter)
    """Rejected events and late frames, by Cause."""
    told: Counter[str] = field(default_factory=Counter)
    """Records put into the outbox, by resolution."""
    superseded: int = 0
    """Records that others took the place of: what was healed."""
    newest_ns: int = 0
    """When the server received the newest event, nanoseconds UTC; 0: none came."""
    delay: Distribution = field(default_factory=lambda: Distribution(DELAY_BOUNDS_S))
    """Seconds from the server's reception of a new uplink to its commit."""
    commit: Distribution = field(default_factory=lambda: Distribution(COMMIT_BOUNDS_S))
    """Seconds that a transaction took."""

    def note(self, done: Committed) -> None:
        """Count what a transaction did."""
        self.events += done.events
        self.repeated += done.repeated
        self.rejected += len(done.rejected)
        self.fates.update(done.fates)
        self.frames.update(done.frames)
        self.causes.update(done.causes)
        self.told.update(done.told)
        self.superseded += done.superseded


class Bridge:
    """One bridge from start to end.

    `clock` is the time of the server and the ledger, virtual in a simulation. `wall` is the time of the machine, in
    which the broker lives and the disk fails. `seed` makes the jitter repeatable. `store_apart`: a SQLite store works in a
    process of its own.
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
        store_apart: bool = False,
    ) -> None:
        self.settings = settings
        redactor = redactor if redactor is not None else Redactor()
        self._wall: Clock = wall if wall is not None else SteadyClock()
        self._clock: Clock = clock or wall or machine_clock()
        self._log = log if log is not None else make_logger(redactor, settings.log.level)
        self._rng = random.Random(seed)  # noqa: S311 - jitter
        self.store_place = store_place(settings, redactor)
        """Where the store is."""
        open_store = partial(Store, self.store_place, prefix=settings.prefix, bridge_id=settings.id)
        self._store = StoreAccess(
            settings.database_file,
            # What a server computes it computes elsewhere anyway.
            StoreProcess(open_store)
            if store_apart and settings.database_file is not None
            else StoreThread(open_store),
            self._wall,
            self._rng,
            self._log,
            self._store_changed,
        )
        self._disk = DiskWatch(
            settings.database_file, settings.store.low_water_mb, self._wall, self._log, self._store_changed
        )
        self.heartbeat = Heartbeat(self._wall, self._store.touch)
        self._housekeeping = Housekeeping(settings.store, self._store, self._clock, self._wall, self._log)
        self.claims = ClaimWatch(self.store_place, self._clock, self._wall, self._log)
        key = SecretFile(settings.chirpstack.api_key_file, "chirpstack.api_key_file", redactor)
        write_key = key
        if settings.chirpstack.write_key_file is not None:
            write_key = SecretFile(settings.chirpstack.write_key_file, "chirpstack.write_key_file", redactor)
        self.source: Source = source or self._make_source(key, redactor)
        password = None
        if settings.mqtt.password_file is not None:
            password = SecretFile(settings.mqtt.password_file, "mqtt.password_file", redactor)
        self.publisher = Publisher(
            settings.mqtt,
            settings.client_id,
            Topics(settings.prefix, settings.id),
            password,
            self._store,
            self._clock,
            self._wall,
            self._rng,
            self._log,
            self.changed,
            shared=settings.shared,
        )
        self.commands = Dispatcher(
            Connection(settings.chirpstack, write_key),
            settings.healing,
            self._store,
            self._clock,
            self._log,
            Surroundings(lambda: self.source.ready, self.publisher.more, self.changed, self._fail),
        )
        self.listener: CommandListener | None = None
        if settings.commands.enabled:
            self.listener = CommandListener(
                settings,
                password,
                self._store,
                self._clock,
                self._wall,
                self._rng,
                self._log,
                self._command_taken,
            )
        self.counts = BridgeCounts()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(settings.ledger.queue)
        self._storing = 0  # transactions with events
        self._taking_along = False  # one of them deletes what is acknowledged
        self._stored: dict[str, ItemId] = {}
        self._overrides = {dev_eui: station.tags() for dev_eui, station in settings.stations.items()}
        self._settling = Alarm(self._clock, self._settle, self._fail)
        self._pause_until_ns = 0
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._started = False
        self._ended = False
        self._tasks: list[asyncio.Task[None]] = []
        self._change: asyncio.Future[None] | None = None

    def _make_source(self, key: SecretFile, redactor: Redactor) -> Source:
        redis = self.settings.redis
        if self.settings.source == "redis":
            # Redis' client takes 15 MB, which a bridge with thousands of gRPC streams has better use for.
            from zaehlwerk_bridge.sources.redis import RedisSource  # noqa: PLC0415

            password = None
            if redis.password_file is not None:
                password = SecretFile(redis.password_file, "redis.password_file", redactor)
            return RedisSource(
                redis,
                password,
                self.settings.id,
                self._wall,
                self._rng,
                self._log,
                shared=self.settings.shared,
            )
        return GrpcSource(
            Connection(self.settings.chirpstack, key), self._clock, self._wall, self._rng, self._log
        )

    @property
    def disk_trouble(self) -> str:
        """What keeps the database from being written, or the bridge from reading more; empty if nothing does."""
        return self._store.trouble or self._disk.trouble

    def troubles(self) -> dict[str, str]:
        """Which sides are not ready, and why; empty: all streams open, broker connected, store committing.

        May be asked from any thread.
        """
        sides = {
            "source": "" if self.source.ready else self.source.trouble,
            "broker": "" if self.publisher.connected else self.publisher.trouble,
            "store": self.disk_trouble or ("" if self._started else "not open yet"),
        }
        return {side: trouble for side, trouble in sides.items() if trouble}

    @property
    def queued(self) -> int:
        """Events read and not yet stored."""
        return self._queue.qsize()

    @property
    def left_alone(self) -> bool:
        """Whether a thread hangs in the database after the end: the program has to leave without it."""
        return self._store.left_alone

    def now_ns(self) -> int:
        """The bridge's time, nanoseconds UTC."""
        return self._clock.now_ns()

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
        """Wait until the item `item_id` of `dev_eui`'s stream, and all before it, are durable, and what they ask of the
        server's queues is done."""
        wanted = parse(item_id)
        if wanted is None:
            raise ValueError(f"{item_id!r} is not an item id")
        dev_eui = dev_eui.lower()
        await self._until(lambda: self._stored.get(dev_eui, (-1, 0)) >= wanted and not self.commands.due)

    async def quiet(self) -> None:
        """Wait until nothing is left to do at the clock's present time: all that was read is stored, all that is due
        is settled, nodes are asked for what is missing. Publishing is another matter: see `published`."""
        await self._until(
            lambda: (
                self._queue.empty()
                and not self._storing
                and not self._settling.due
                and not self.commands.due
                and not self.source.busy
            )
        )

    async def published(self) -> None:
        """Wait until the outbox is empty: everything that is stored has been acknowledged by the broker."""
        await self._until(
            lambda: (
                self._queue.empty()
                and not self._storing
                and not self._settling.due
                and not self.commands.due
                and self.publisher.idle
                and not self._store.holds_back
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
        publisher = self._begin(self.publisher.run(), "publisher")
        source: asyncio.Task[None] | None = None
        listener: asyncio.Task[None] | None = None
        self._begin(self.heartbeat.run(), "heartbeat")
        self._begin(self._disk.run(), "disk watch")
        if isinstance(self.store_place, Server):
            from zaehlwerk_bridge.sharing import Membership  # noqa: PLC0415 - few have a server

            membership = Membership(self.store_place, self.settings.id, self._wall, self._log)
            self._begin(membership.run(), "membership")
        try:
            if await self._opened():
                self._started = True
                source = self._begin(self.source.run(self), "source")
                self._begin(self._ingest(), "store")
                self._begin(self._look_for_others(), "others")
                if self.settings.shared:
                    self._begin(self._look_for_turns(), "turns")
                self._begin(self._housekeeping.run(), "housekeeping")
                self._begin(self.claims.run(), "claims")
                self._settling.ring()
                await self.commands.start()
                if self.listener is not None:
                    listener = self._begin(self.listener.run(), "commands")
                self.changed()
                await self._stop.wait()
            if self._failure is not None:
                raise self._failure
            if listener is not None:
                listener.cancel()
            await self._wind_up(source, publisher)
        finally:
            self._stop.set()
            self._started = False
            await self._settling.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.commands.close()
            await self._store.close()
            self._ended = True
            self.changed()

    def _begin(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._task_ended)
        return task

    async def _opened(self) -> bool:
        """Open the store, however long its disk is full; whether it is open, for the bridge may be stopped before."""
        opening = asyncio.create_task(self._store.open())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not opening.done():
                opening.cancel()
            await asyncio.gather(stopping, opening, return_exceptions=True)
        if opening.cancelled():
            return False
        opening.result()
        if await self._store.call(attrgetter("put_back")):
            self._log.warning(
                "the database was put back from a copy, the broker is asked what was published since"
            )
        return True

    async def _wind_up(self, source: asyncio.Task[None] | None, publisher: asyncio.Task[None]) -> None:
        if source is not None:
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
        """Take an event of the source; waits while the store is behind or its disk nearly full."""
        await self.take_all((event,))

    async def take_all(self, events: Sequence[Event]) -> None:
        """Take events of the source, in order; waits likewise."""
        for event in events:
            overrides = self._overrides.get(event.dev_eui)
            if not self._disk.reading.is_set():
                await self._disk.reading.wait()
            await self._queue.put(_with_tags(event, overrides) if overrides else event)

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
        before: asyncio.Task[None] | None = None
        committing: asyncio.Task[None] | None = None
        try:
            while True:
                if before is not None and self._queue.qsize() < self.settings.ledger.batch:
                    await before  # what comes meanwhile goes together
                    before = None
                events = [await self._queue.get()]
                self._storing += 1
                if not self._disk.reading.is_set():
                    self.publisher.behind(False)
                    await self._disk.reading.wait()
                await self.publisher.room(ROOM_S)
                while len(events) < self.settings.ledger.batch and not self._queue.empty():
                    events.append(self._queue.get_nowait())
                # In a shared store others wait for what is acknowledged to be gone.
                self.publisher.behind(not self._queue.empty() and not self.settings.shared)
                committing = asyncio.create_task(self._commit_after(before, events))
                if before is not None:
                    await before
                before = committing
        finally:
            under_way = [task for task in (before, committing) if task is not None]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _commit_after(self, before: asyncio.Task[None] | None, events: list[Event]) -> None:
        """Commit `events`. `before`: what commits those before them, and may not have come to its end yet."""
        await self._commit(events, before)
        self._storing -= 1
        if self._queue.empty() and not self._storing:
            self.publisher.behind(False)
        self.changed()

    async def _commit(self, events: list[Event], before: asyncio.Task[None] | None = None) -> None:
        try:
            folded = await self._store_events(events, before)
        except (BridgeError, StoreGone, *FAULTS):
            raise
        except Exception as error:  # noqa: BLE001 - one event must not stop the others
            if before is not None:
                await before
            if len(events) > 1:
                # One of them brings the ledger down: the others shall not wait for it.
                for event in events:
                    await self._commit([event])
                return
            self._log.error(
                "event breaks the ledger", dev_eui=events[0].dev_eui, cursor=events[0].cursor, exc_info=True
            )
            problem = f"internal error: {type(error).__name__}: {error}"
            events = [broken(events[0], problem)]
            folded = await self._store_events(events)
        if before is not None:
            await before  # and all that follows from it
        self.counts.transactions += 1
        self.counts.commit.observe(folded.took_s)
        self.counts.note(folded.done)
        self._note_delays(events)
        if folded.commands:
            await self.commands.changed()
        for event in events:
            at = parse(event.cursor)
            if at is not None:
                self._stored[event.dev_eui] = max(at, self._stored.get(event.dev_eui, at))
        for reason in folded.done.rejected:
            self._log.warning("event is rejected", reason=reason)
        self._after(folded)
        failpoint("commit.before-acknowledge")
        await self.source.acknowledge(events)

    async def _store_events(
        self, events: Sequence[Event], before: asyncio.Task[None] | None = None
    ) -> Folded:
        """The transaction itself, in line behind that of `before`, so that the store need not wait for its next work."""
        # Of a shared store, deleting is not all that follows an acknowledgement: see `StoreAccess.acknowledged`.
        takes_along = not self.settings.shared and not self._taking_along
        acknowledged = self.publisher.take_along() if takes_along else ()
        self._taking_along |= takes_along
        done = False
        try:
            try:
                folded = await self._store.durably(
                    commit, events, self._clock.now_ns(), acknowledged, follows=before is not None
                )
            except NotBegun:
                if before is not None:
                    await before
                folded = await self._store.durably(commit, events, self._clock.now_ns(), acknowledged)
            done = True
        finally:
            if takes_along:
                self._taking_along = False
                self.publisher.took_along(done=done)
        return folded

    def _note_delays(self, events: Sequence[Event]) -> None:
        now_ns = self._clock.now_ns()
        for event in events:
            if event.received_ns > self.counts.newest_ns:
                # What is older came by another way, late or replayed, and says nothing of the bridge.
                self.counts.newest_ns = event.received_ns
                self.counts.delay.observe(max(0, now_ns - event.received_ns) / NS)

    async def _look_for_others(self) -> None:
        """The command line works on the same store: what it changed has to be published, and may be due."""
        while True:
            await self._wall.sleep(OTHERS_S)
            if await self._store.durably(Store.written_by_others):
                self.publisher.reload()
                self._settling.ring()
                await self.commands.look_again()
            elif await self._store.durably(Store.serves_commands_of_others):
                await self.commands.look_again()

    async def _look_for_turns(self) -> None:
        """What other bridges have published may be what messages of ours wait for."""
        while True:
            await self._wall.sleep(TURNS_S)
            if self.publisher.connected and self._store.holds_back:
                after_seq = await self._store.durably(Store.turns_came)
                if after_seq is not None:
                    self.publisher.reload(after_seq)
                self.changed()

    def _store_changed(self) -> None:
        """Tell everybody whether the store can be written."""
        trouble = self.disk_trouble
        if not self._stop.is_set():
            self.publisher.say("stalled" if trouble else "online", trouble)
        self.changed()

    async def _settle(self) -> None:
        """Do everything that time makes due: gaps become spans, nodes are asked for what is missing."""
        folded = await self._store.durably(settle, self._clock.now_ns())
        self.counts.commit.observe(folded.took_s)
        self.counts.note(folded.done)
        self._after(folded)
        now_ns = self._clock.now_ns()
        wants = await self._store.call(Store.wanted_backfill, now_ns)
        if wants:
            enabled = self.settings.healing.enabled
            await self._store.durably(Store.ask_for_backfill, wants, now_ns, enabled=enabled)
            await self.commands.changed()
        deadline_ns = await self._store.call(Store.next_deadline_ns)
        if deadline_ns is not None and deadline_ns <= now_ns:
            # One question at a time for a node: what could not be asked for stays due.
            deadline_ns = self._pause_until_ns = now_ns + int(self.settings.healing.check_s * NS)
        self._settling.set(deadline_ns)
        self.changed()

    async def _command_taken(self) -> None:
        self.publisher.more()
        await self.commands.changed()

    def _after(self, folded: Folded) -> None:
        """What a transaction has changed for the others."""
        self.publisher.offer([row for row in folded.done.rows if not row.waits])
        if folded.deadline_ns is not None:
            self._settling.set(max(folded.deadline_ns, self._pause_until_ns))
        self.changed()


def _with_tags(event: Event, overrides: dict[str, str]) -> Event:
    return dataclasses.replace(event, tags={**event.tags, **overrides})
