"""The source `redis`: ChirpStack's stream of all events in its Redis, read as a member of a consumer group.

An entry is acknowledged when it is stored, and is pending until then: what was read and not stored is read again after a
restart, and taken over from a reader that is dead. What ChirpStack trimmed before it was stored is counted and told.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.progress import PATIENCE_S, Progress
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import RedisSettings
from zaehlwerk_bridge.sources.device_stream import StreamState
from zaehlwerk_bridge.sources.interface import Sink, SourceCounts
from zaehlwerk_bridge.sources.item_id import parse
from zaehlwerk_bridge.sources.redis_stream import (
    FAILURES,
    Entry,
    GroupMissing,
    Read,
    RedisStream,
    describe,
)
from zaehlwerk_bridge.sources.stream_entry import to_event
from zaehlwerk_bridge.sources.stream_history import too_short

NS = 1_000_000_000
READ_MOST = 500
"""Entries asked for at once."""
READ_BYTES = 4_000_000
"""So much should come at once: after large entries fewer are asked for, for Redis knows no limit of an answer's size."""
HANDED_ON_AT_ONCE = 20
"""Events between two signs of progress: each may wait for the store."""
ACKNOWLEDGE_MOST = 1000
"""Entries acknowledged at once."""
HELD_MOST = 200_000
"""Entries read and not acknowledged, at most: more than a bridge ever holds, unless Redis takes no acknowledgement."""
WAIT_MS = 5000
"""So long Redis may wait with an answer until there is something to tell."""
BEAT_S = 5.0
"""Between two signs of life of a reader that has nothing to do, or cannot hand on what it has."""
SLOW_S = 60.0
"""Entries that a reader holds for so long are taken over although it is alive."""
ALIVE_MS = 3 * int(BEAT_S * 1000)
"""A reader that has asked for entries within this time is alive."""
HISTORY_EVERY_S = 3600.0
STEADY_NS = 60 * NS
"""A connection that was open for this long works: the next wait is the shortest again."""
_START = "0-0"

Work = Callable[[RedisStream], Awaitable[None]]
"""What is done on a connection until it fails."""


class AnotherReader(Exception):
    """A living reader is in the group already; the text says which, and what to do."""


class RedisSource:
    """Reads as `consumer` until its task is cancelled; whatever Redis does, it is tried again. `wall` is real time.

    `shared`: all readers of the group store in one database, so there may be many.
    """

    name = "redis"

    def __init__(
        self,
        settings: RedisSettings,
        password: SecretFile | None,
        consumer: str,
        wall: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
        *,
        shared: bool = False,
    ) -> None:
        self._shared = shared
        self._settings = settings
        self._password = password
        self._consumer = consumer
        self._wall = wall
        self._rng = rng
        self._log = log
        self.counts = SourceCounts()
        self.progress = Progress()
        # An answer of Redis is waited for a few times between two steps.
        self._patience_s = PATIENCE_S + 6 * settings.request_timeout_s
        self._state = StreamState.CLOSED
        self._trouble = "not connected yet"
        # Often enough that the others never take this one for dead.
        self._beat_s = min(BEAT_S, settings.claim_idle_s / 3) if shared else BEAT_S
        self._sink: Sink | None = None
        self._held: set[str] = set()  # handed on and not acknowledged
        # What Redis says is pending, and what is held, are of the same moment while this is locked.
        self._pending = asyncio.Lock()
        self._stored: list[str] = []  # to be acknowledged
        self._something_stored = asyncio.Event()
        self._largest = 0
        self._lag: int | None = None
        self._history = ""
        self._next_look_ns = 0
        self._next_history_ns = 0
        self._others: list[str] = []
        self._not_acknowledged = ""

    def states(self) -> dict[str, int]:
        """Return 1 for the state in which the stream is."""
        return {state.name.lower(): int(state is self._state) for state in StreamState}

    @property
    def ready(self) -> bool:
        """Whether the stream is being read."""
        return self._state is StreamState.OPEN and len(self._held) <= HELD_MOST

    @property
    def busy(self) -> bool:
        """Nothing that time should wait for."""
        return False

    @property
    def lag(self) -> int | None:
        """Entries that wait in the stream; None: Redis does not know."""
        return self._lag

    @property
    def trouble(self) -> str:
        """What keeps the source from being ready, in one line."""
        if self._state is StreamState.OPEN and not self.ready:
            return f"{len(self._held)} events are stored and cannot be acknowledged: {self._not_acknowledged}"
        return "" if self.ready else self._trouble

    async def run(self, sink: Sink) -> None:
        """Read, and acknowledge what is stored; until cancelled."""
        self._sink = sink
        tasks = [asyncio.create_task(work) for work in (self._read_for_ever(), self._acknowledge_for_ever())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """Let Redis forget what is stored; it is told soon."""
        self._stored += [event.cursor for event in events]
        self._something_stored.set()

    # Connections.

    async def _read_for_ever(self) -> None:
        backoff = self._backoff()
        try:
            while True:
                began_ns = self._wall.now_ns()
                self.progress.step(self._patience_s)
                trouble = await self._once(self._read)
                self.counts.failed += 1
                self._to(StreamState.WAITING, trouble)
                if self._wall.now_ns() - began_ns >= STEADY_NS:
                    backoff.reset()
                wait_s = backoff.next()
                self.progress.step(wait_s + self._patience_s)
                await self._wall.sleep(wait_s)
        finally:
            self._to(StreamState.CLOSED, "stopped")

    async def _acknowledge_for_ever(self) -> None:
        backoff = self._backoff()
        while True:
            began_ns = self._wall.now_ns()
            trouble = await self._once(self._acknowledge)
            if trouble != self._not_acknowledged and self.ready:
                self._log.error("events cannot be acknowledged", reason=trouble)
            self._not_acknowledged = trouble
            if self._wall.now_ns() - began_ns >= STEADY_NS:
                backoff.reset()
            await self._wall.sleep(backoff.next())

    def _backoff(self) -> Backoff:
        return Backoff(self._rng, self._settings.backoff_first_s, self._settings.backoff_most_s)

    async def _once(self, work: Work) -> str:
        """One connection, from its opening to the trouble that ends it."""
        stream = None
        try:
            stream = RedisStream(self._settings, self._password, self._consumer)
            await work(stream)
        except GroupMissing:
            return f"the consumer group {self._settings.group!r} or its stream is gone; it is made anew"
        except AnotherReader as error:
            return str(error)
        except SettingsError as error:
            return str(error)
        except FAILURES as error:
            return describe(error, self._settings)
        finally:
            if stream is not None:
                await stream.close()
        return "ended"

    def _to(self, state: StreamState, trouble: str) -> None:
        if state is StreamState.WAITING and trouble != self._trouble:
            self._log.error("events cannot be read", reason=trouble)
        elif state is StreamState.OPEN:
            self._log.info("events are read", server=self._settings.server, group=self._settings.group)
        self._trouble = trouble
        if state is not self._state:
            self._state = state
            assert self._sink is not None
            self._sink.changed()

    # Reading.

    async def _read(self, stream: RedisStream) -> None:
        if self._state is not StreamState.WAITING:
            self._to(StreamState.OPENING, self._trouble)
        if await stream.make_group():
            self._log.warning("consumer group is made", group=self._settings.group, stream=stream.key)
        await stream.register()
        await self._be_alone(stream)
        # An answer may have been lost with the connection before: what it held is pending.
        await self._read_pending(stream)
        self.counts.opened += 1
        self._next_look_ns = 0
        self._to(StreamState.OPEN, "")
        while True:
            self.progress.step(self._patience_s)
            await self._look(stream)
            if not self.ready:
                await self._wall.sleep(BEAT_S)
                continue
            count = self._count()
            read = await stream.read(count)
            if read.entries:
                failpoint("source.read")
            await self._tell_loss(stream, read, drained=len(read.entries) < count)
            self._lag = None if read.before.lag is None else max(0, read.before.lag - len(read.entries))
            await self._hand_on(self._hold(read.entries))
            if len(read.entries) < count:
                last = parse(read.entries[-1].id) if read.entries else None
                await stream.wait(last or read.before.delivered, WAIT_MS)

    async def _be_alone(self, stream: RedisStream) -> None:
        """Two stores that each get a part of a station's frames would both publish of it: only one may read."""
        others = [] if self._shared else await self._living(stream)
        if others:
            await stream.withdraw()
            raise AnotherReader(
                f"bridge {others[0]!r} reads in the consumer group {self._settings.group!r} already, and the two have no"
                " database in common: give this one a group of its own (setting redis.group), or stop that one"
            )

    async def _living(self, stream: RedisStream) -> list[str]:
        return [
            one.name
            for one in await stream.consumers()
            if one.name != self._consumer and one.idle_ms < ALIVE_MS
        ]

    async def _read_pending(self, stream: RedisStream) -> None:
        after = _START
        while True:
            count = self._count()
            async with self._pending:
                entries = await stream.pending(after, count)
                new = self._hold(entries)
            if not entries:
                return
            after = entries[-1].id
            await self._hand_on(new)

    async def _look(self, stream: RedisStream) -> None:
        """Now and then: take over what dead readers left, see whether somebody else reads, and how long the stream is."""
        now_ns = self._wall.now_ns()
        if now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + int(min(BEAT_S, self._settings.claim_idle_s) * NS)
        others = [] if self._shared else await self._living(stream)
        if others and others == self._others:
            # Once may be one that looks, sees this one, and leaves.
            self._log.error("another bridge reads in the same consumer group", bridges=others)
        self._others = others
        await self._claim(stream, await self._claimed_after_s(stream))
        if now_ns >= self._next_history_ns:
            self._next_history_ns = now_ns + int(HISTORY_EVERY_S * NS)
            await self._see_history(stream)

    async def _claimed_after_s(self, stream: RedisStream) -> float:
        """How long entries may be held. Of many readers a slow one is not robbed while nobody is dead: each would take
        from the other what waits its turn."""
        idle_s = self._settings.claim_idle_s
        if not self._shared:
            return idle_s
        left = [
            one.name
            for one in await stream.consumers()
            if one.name != self._consumer and one.pending and one.idle_ms >= idle_s * 1000
        ]
        return idle_s if left else max(idle_s, SLOW_S)

    async def _claim(self, stream: RedisStream, idle_s: float) -> None:
        idle_ms, after = int(idle_s * 1000), _START
        while True:
            async with self._pending:
                after, entries = await stream.claim(idle_ms, after, self._count())
                new = self._hold(entries)
            self.counts.claimed += sum(entry.fields is not None for entry in new)
            if new:
                self._log.warning("entries that a reader had not stored are taken over", entries=len(new))
            await self._hand_on(new)
            if after == _START:
                return

    async def _see_history(self, stream: RedisStream) -> None:
        now_ms = self._wall.now_ns() // 1_000_000
        text = too_short(await stream.info(), now_ms, self._settings.outage_h * 3600)
        if text and text != self._history:
            self._log.warning("a long outage would lose events", reason=text)
        self._history = text
        self.counts.short = int(bool(text))

    async def _tell_loss(self, stream: RedisStream, read: Read, *, drained: bool) -> None:
        """Also lets Redis count again after somebody moved the group, or deleted entries in the middle."""
        before, given = read.before, len(read.entries)
        if before.perhaps_lost:
            self.counts.trimmed += 1
            self._log.error(
                "the server may have deleted events before they were stored",
                reason=f"it did not count what the group {self._settings.group!r} was given",
            )
        elif before.lost:
            self._lost(before.lost)
        elif before.read is not None:
            return
        position = before.added - given if drained else before.position
        if position is not None:
            last = parse(read.entries[-1].id) if read.entries else None
            await stream.note_read(last or before.newest, position + given)

    def _lost(self, entries: int) -> None:
        self.counts.trimmed += entries
        self._log.error(
            "the server deleted events before they were stored",
            events=entries,
            remedy="raise [monitoring] device_event_log_max_history in ChirpStack; nodes are asked for what is missing",
        )

    def _count(self) -> int:
        return max(1, min(READ_MOST, READ_BYTES // max(1, self._largest)))

    def _hold(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that are not held yet. From now on they are, all at once: a claim must not bring them a second time."""
        new = [entry for entry in entries if entry.id not in self._held]
        self._held.update(entry.id for entry in new)
        return new

    async def _hand_on(self, entries: Sequence[Entry]) -> None:
        assert self._sink is not None
        self._largest //= 2
        gone: list[str] = []
        passed: list[str] = []
        events: list[Event] = []
        for entry in entries:
            if entry.fields is None:
                gone.append(entry.id)
                continue
            self.counts.items += 1
            self._largest = max(self._largest, sum(len(value) for _, value in entry.fields))
            event = to_event(self.name, entry.id, entry.fields, self._settings.max_entry_bytes)
            if event is None:
                passed.append(entry.id)
            else:
                events.append(event)
        for at in range(0, len(events), HANDED_ON_AT_ONCE):
            self.progress.step(self._patience_s)
            await self._sink.take_all(events[at : at + HANDED_ON_AT_ONCE])
        if gone:
            self._lost(len(gone))
        if gone or passed:
            self._stored += [*gone, *passed]
            self._something_stored.set()

    # Acknowledging.

    async def _acknowledge(self, stream: RedisStream) -> None:
        """Also a sign of life while the reader cannot hand on what it has."""
        while True:
            if self.ready:
                await stream.show_life()
            self._something_stored.clear()
            while self._stored:
                ids = self._stored[:ACKNOWLEDGE_MOST]
                async with self._pending:
                    failpoint("redis.before-xack")
                    await stream.acknowledge(ids)
                    failpoint("redis.after-xack")
                    self._held.difference_update(ids)
                del self._stored[: len(ids)]
            self._not_acknowledged = ""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._beat_s):
                    await self._something_stored.wait()
