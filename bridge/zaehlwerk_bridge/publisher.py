"""From the outbox to the city's broker: MQTT 5, QoS 1, a window in flight, every reason code read.

A row leaves the outbox on a PUBACK without an error, and on nothing else. A message that the broker refuses holds
its station, and no other; one that no broker can take is put aside with its reason.

Some brokers answer a message that they cannot take by ending the connection. So what was in flight at an end is sent
one by one the next time, until it is known which message it was.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.asking import Asking, Reconciler
from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.bridge_status import OFFLINE, BridgeStatus
from zaehlwerk_bridge.clock import Clock, sleep_until_set
from zaehlwerk_bridge.errors import ClientTakenOver, SettingsError
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.holds import Holds
from zaehlwerk_bridge.last_messages import LastMessages, NewestReader
from zaehlwerk_bridge.leaving import Leaving, OutboxEnds
from zaehlwerk_bridge.messages import CONTENT_TYPE, Topics
from zaehlwerk_bridge.mqtt_packet import PublishProperties, publish_bytes
from zaehlwerk_bridge.mqtt_session import (
    FIRST_ERROR,
    MALFORMED_PACKET,
    NO_MATCHING_SUBSCRIBERS,
    PACKET_TOO_LARGE,
    PAYLOAD_FORMAT_INVALID,
    SESSION_TAKEN_OVER,
    TOPIC_NAME_INVALID,
    ConnectFailed,
    Limits,
    MqttSession,
    SessionEnd,
    reason_name,
)
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.progress import PATIENCE_S, Progress
from zaehlwerk_bridge.publisher_counts import PublisherCounts
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import MqttSettings
from zaehlwerk_bridge.station_queues import StationQueues
from zaehlwerk_bridge.suspects import Suspects

_BLAMES_THE_MESSAGE = frozenset(
    {MALFORMED_PACKET, TOPIC_NAME_INVALID, PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID}
)
"""Reasons to end a connection that say: this message, and it will be the same next time (MQTT 5.0, 3.14.2.1)."""
HELD_KINDS = frozenset({"count", "span"})
"""Last parts of the topics whose messages are worth keeping until somebody has subscribed."""
ROWS_IN_MEMORY = 4000
ROOM_BELOW = 0.25
"""Share of them that wait: with fewer there is room for what one transaction makes."""
LAST_EVERY_NS = 1_000_000_000
"""While there is a backlog the newest intervals of stations are told this often."""
STEADY_S = 10.0
"""A connection that lasted this long works: the next wait is the shortest again."""
STOP_S = 1.5
"""So long a stopping bridge waits for what is in flight."""


class OutboxReader(Reconciler, NewestReader, OutboxEnds, Protocol):
    """What the publisher asks of the store."""

    async def rows(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """Return at most `limit` rows behind `after_seq`, oldest first."""
        ...


@dataclass(slots=True)
class _Connection:
    session: MqttSession
    window: int
    limits: Limits
    in_flight: dict[int, OutboxRow] = field(default_factory=dict)


class Publisher:
    """Publishes until `stop()`; survives the broker.

    `clock` stamps what is put aside; `wall` is real time, in which the broker lives. `changed` is called when `idle`, `connected` or `trouble` may have changed.
    `shared`: other bridges publish from the same store.
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        topics: Topics,
        password: SecretFile | None,
        outbox: OutboxReader,
        clock: Clock,
        wall: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
        changed: Callable[[], None],
        *,
        shared: bool = False,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._password = password
        self._outbox = outbox
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._log = log
        self._changed = changed
        self._wake = asyncio.Event()
        self._room: asyncio.Event | None = None
        self._stopping = asyncio.Event()
        self._queues = StationQueues(ROWS_IN_MEMORY)
        self._leaving = Leaving(outbox, clock)
        self._lasts = LastMessages(outbox, shared=shared)
        self._aside: dict[str, asyncio.Task[None]] = {}  # work for which nobody waits, by name
        self._holds = Holds(rng, log, settings.backoff_first_s, settings.backoff_most_s)
        self._suspects = Suspects()
        self._behind_ns: int | None = None  # since when; None: not behind
        self._connection: _Connection | None = None
        self._asking = Asking(
            topics,
            client_id,
            outbox,
            self._holds,
            clock,
            wall,
            rng,
            log,
            settings.connect_timeout_s,
            self._wake.set,
            changed,
        )
        self._last_refused = 0
        self._status = BridgeStatus(topics.status, log)
        self.counts = PublisherCounts()
        self.progress = Progress()
        self.trouble = "not connected yet"

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._connection is not None

    @property
    def idle(self) -> bool:
        """Whether everything that was in the outbox has been acknowledged and deleted."""
        return self._connection is not None and self._queues.empty

    @property
    def in_flight(self) -> int:
        """Messages that were sent and are not answered."""
        return 0 if self._connection is None else len(self._connection.in_flight)

    @property
    def window(self) -> int:
        """How many may be in flight, 0 without a connection."""
        return 0 if self._connection is None else self._connection.window

    @property
    def held(self) -> dict[str, str]:
        """Stations whose messages are held, with the reason."""
        return self._holds.reasons

    def more(self) -> None:
        """Say that the outbox has new messages behind those that it had."""
        self._queues.more()
        self._wake.set()

    def reload(self, after_seq: int = 0) -> None:
        """Say that the outbox has new messages, and not only behind those that it had: anywhere behind `after_seq`."""
        self._queues.reload(after_seq)
        self._wake.set()

    def offer(self, rows: Sequence[OutboxRow]) -> None:
        """Take messages that one transaction has just put into the outbox: they need not be read."""
        if not rows:
            return
        if self._connection is None or not self._queues.offer(rows):
            self.more()
        else:
            self._go_on(self._connection)

    async def room(self, at_most_s: float) -> None:
        """Return when there is room for more messages in memory, at the latest after `at_most_s`."""
        if self._connection is not None and self._queues.filled > ROOM_BELOW:
            self._room = asyncio.Event()
            await sleep_until_set(self._wall, at_most_s, self._room)
            self._room = None

    def behind(self, behind: bool) -> None:
        """Say whether more transactions follow at once: so long they delete what is acknowledged, see `take_along`, and
        the newest interval of a station, which will soon be another, is told less often."""
        if not behind:
            self._behind_ns = None
            self._go_aside()
        elif self._behind_ns is None:
            self._behind_ns = self._wall.now_ns()

    def take_along(self) -> Sequence[int]:
        """Which rows of the outbox the next transaction is to delete. `took_along` has to follow."""
        return [row.seq for row in self._leaving.take_along()]

    def took_along(self, *, done: bool) -> None:
        """Whether the transaction did it, or was undone."""
        if done:
            self._leaving.left(self._queues)
        else:
            self._leaving.stayed()
        self._wake.set()

    def say(self, state: str, reason: str) -> None:
        """From now on the retained status of the bridge is `state`, and why."""
        self._status.say(state, reason)
        self._announce()

    def stop(self) -> None:
        """Send nothing new, wait for what is in flight, say goodbye; `run` returns then."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Connect, publish, connect again. Raises ClientTakenOver, and what the store raises."""
        try:
            await self._run()
        finally:
            for work in self._aside.values():
                work.cancel()
            await asyncio.gather(*self._aside.values(), return_exceptions=True)

    async def _run(self) -> None:
        backoff = Backoff(self._rng, self._settings.backoff_first_s, self._settings.backoff_most_s)
        while not self._stopping.is_set():
            started_ns = self._wall.now_ns()
            self.progress.step(2 * self._settings.connect_timeout_s + PATIENCE_S)
            try:
                end = await self._connect_and_publish()
            except (ConnectFailed, SettingsError) as error:
                self._troubled(str(error))
            else:
                if end is None:
                    return
                if end.code == SESSION_TAKEN_OVER:
                    raise ClientTakenOver(
                        f"another client connected to {self._settings.host} as {self._client_id!r}: "
                        "give every bridge an id of its own (setting id or mqtt.client_id)"
                    )
                self._troubled(end.reason)
                if self._wall.now_ns() - started_ns >= STEADY_S * 1e9:
                    backoff.reset()
            wait_s = backoff.next()
            self.progress.step(wait_s + PATIENCE_S)
            await sleep_until_set(self._wall, wait_s, self._stopping)

    def _troubled(self, reason: str) -> None:
        if reason != self.trouble:
            self._log.error("broker is not connected", reason=reason)
        self.trouble = reason
        self._changed()

    async def _connect_and_publish(self) -> SessionEnd | None:
        """One connection; None if it was ended by `stop`."""
        settings = self._settings
        session = MqttSession(
            settings,
            self._client_id,
            self._password,
            self._status.will,
            self._on_acknowledged,
            self._on_received,
            self._on_answered,
        )
        try:
            limits = await session.connect()
            # Nothing of an earlier connection is left: what was in flight then is in the outbox, in order.
            self._queues = StationQueues(ROWS_IN_MEMORY)
            self._asking.begin(self._queues)
            window = min(settings.window, limits.receive_maximum)
            self._connection = connection = _Connection(session, window, limits)
            self.counts.connections += 1
            self.trouble = ""
            self._log.info("broker is connected", host=settings.host, window=window)
            self._status.begin()
            self._announce()
            self._changed()
            session.ended.add_done_callback(lambda _: self._wake.set())
            return await self._pump(connection)
        finally:
            self._connection = None
            session.close()
            self._changed()

    async def _pump(self, connection: _Connection) -> SessionEnd | None:
        session = connection.session
        while True:
            self.progress.step(PATIENCE_S)
            self._wake.clear()
            for work in self._aside.values():
                if work.done():
                    await work  # it failed
            if session.ended.done():
                end = session.ended.result()
                self._leaving.taken(*self._lasts.ended(len(connection.in_flight)))
                self._suspect(list(connection.in_flight.values()), end)
                await self._forget()
                return end
            if self._stopping.is_set():
                await self._finish(connection)
                return None
            reading = self._queues.reading()
            if reading is not None:
                self._queues.refill(reading, await self._outbox.rows(reading.after_seq, reading.limit))
            wait_s = self._release()
            self._send(connection)
            wait_s = _sooner(wait_s, await self._asking.go_on(session, self._busy))
            self._announce()  # what is held may have changed
            if self._leaving.to_put_aside:
                await self._forget()
                continue
            self._go_aside()
            if self._queues.empty:
                self._changed()
            if not self._queues.wants_more:
                await sleep_until_set(self._wall, wait_s, self._wake)

    @property
    def _live(self) -> _Connection | None:
        """The connection, if it has not ended."""
        connection = self._connection
        return None if connection is None or connection.session.ended.done() else connection

    def _send(self, connection: _Connection) -> None:
        now_ns = self._wall.now_ns()
        lasts = self._lasts
        while True:
            window = 1 if self._suspects.one_by_one or lasts.one_by_one else connection.window
            if len(connection.in_flight) + lasts.in_flight + self._status.in_flight >= window:
                break
            last = lasts.next
            if last is not None:
                properties = PublishProperties(CONTENT_TYPE, last.properties)
                lasts.sent(connection.session.publish(last.topic, last.payload, last.retain, properties))
                continue
            row = None if self._stopping.is_set() else self._queues.next()
            if row is None:
                break
            if self._suspects.convicts(row):
                self._holds.hold(row, "the connection ended when it was sent", now_ns, longest=True)
                self._wake.set()
            if self._holds.holds(row.station, now_ns):
                self._suspects.passed(row)
                self._queues.hold(row)
                continue
            if not self._asking.allows(row.station, row.topic):
                self._suspects.passed(row)
                self._queues.hold(row)
                continue
            properties = PublishProperties(CONTENT_TYPE, row.properties)
            most = connection.limits.maximum_packet_size
            size = 0 if most is None else publish_bytes(row.topic, len(row.payload), properties)
            if most is not None and size > most:
                # Sent, it would end the connection without a PUBACK, and do so again after every reconnect.
                self._put_aside(row, f"packet of {size} bytes; the broker takes at most {most}")
                continue
            failpoint("publish.before")
            mid = connection.session.publish(row.topic, row.payload, row.retain, properties)
            connection.in_flight[mid] = row
        connection.session.flush()
        if connection.in_flight:
            failpoint("publish.sent")

    def _busy(self) -> set[str]:
        """Stations of which something is on its way to the broker, or has arrived and is not deleted yet."""
        connection = self._connection
        in_flight = [] if connection is None else connection.in_flight.values()
        return {row.station for row in [*in_flight, *self._leaving.rows, *self._lasts.rows]}

    def _on_received(self, topic: str, payload: bytes, retained: bool) -> None:
        self._asking.take(topic, payload, retained=retained)

    def _on_answered(self) -> None:
        if self._connection is not None:
            self._go_on(self._connection)

    def _go_on(self, connection: _Connection) -> None:
        """Send and delete what can be without waiting for the pump, which may be waiting for the store."""
        stopping = self._stopping.is_set()
        if not connection.session.ended.done():
            self._send(connection)
        self._go_aside()
        if self._room is not None and self._queues.filled <= ROOM_BELOW:
            self._room.set()
        if stopping or self._leaving.to_put_aside or self._asking.due or self._queues.wants_more:
            self._wake.set()

    def _go_aside(self) -> None:
        """Begin what the store has to be asked for meanwhile; what turns up while it is under way follows together."""
        if self._behind_ns is None:
            self._delete_aside()
        if self._lasts.to_read and self._live is not None and "last" not in self._aside:
            if self._behind_ns is not None:
                now_ns = self._wall.now_ns()
                if now_ns - self._behind_ns < LAST_EVERY_NS:
                    return
                self._behind_ns = now_ns
            self._begin("last", self._read_lasts())

    def _delete_aside(self) -> None:
        if self._leaving.to_delete and "delete" not in self._aside:
            self._begin("delete", self._delete())

    def _begin(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = self._aside[name] = asyncio.create_task(work, name=name)
        task.add_done_callback(lambda _: self._wake.set())

    async def _delete(self) -> None:
        await self._leaving.delete(self._queues)
        del self._aside["delete"]

    async def _read_lasts(self) -> None:
        while self._lasts.to_read and self._live is not None:
            nothing_to_say = await self._lasts.read()
            self._leaving.taken(*nothing_to_say)
            if self._live is not None:
                self._send(self._live)
        del self._aside["last"]

    def _on_acknowledged(self, mid: int, code: int) -> None:
        connection = self._connection
        if connection is None:
            return
        if self._status.answered(mid, code):
            self._wake.set()
            self._announce()
            return
        row = connection.in_flight.pop(mid, None)
        if row is None:
            self._on_last_answered(mid, code)
        else:
            self._on_row_answered(row, code)

    def _on_row_answered(self, row: OutboxRow, code: int) -> None:
        self._suspects.cleared(row)
        self.counts.results[code] += 1
        if code == NO_MATCHING_SUBSCRIBERS:
            self.counts.without_subscriber += 1
            if self._settings.hold_without_subscriber and _is_counts(row):
                self._hold(row, code)
                return
        elif code == PACKET_TOO_LARGE:
            self._put_aside(row, f"{len(row.payload)} bytes of payload: {reason_name(code)}")
            return
        elif code >= FIRST_ERROR:
            self.counts.refused += 1
            self._hold(row, code)
            return
        failpoint("puback.received")
        self.counts.acknowledged += 1
        if row.made_ns:
            self.counts.wait.observe(max(0, self._clock.now_ns() - row.made_ns) / 1e9)
        self._holds.taken(row.station)
        others = self._queues.done(row)
        if others or not _is_counts(row):
            self._leaving.taken(row)
            return
        before = self._lasts.follows(row)
        if before is not None:
            self._leaving.taken(before)

    def _on_last_answered(self, mid: int, code: int) -> None:
        sent = self._lasts.answered(mid)
        if sent is None:
            return
        failpoint("last.received")
        if code >= FIRST_ERROR:
            self.counts.results[code] += 1
            self.counts.refused += 1
            if code != self._last_refused:
                self._log.warning(
                    "newest intervals are refused", for_example=sent.station, reason=reason_name(code)
                )
        self._last_refused = code
        if sent.row is not None:
            self._leaving.taken(sent.row)

    def _hold(self, row: OutboxRow, code: int) -> None:
        self._holds.hold(row, reason_name(code), self._wall.now_ns())
        self._queues.hold(row)
        self._wake.set()
        self._changed()

    def _suspect(self, in_flight: list[OutboxRow], end: SessionEnd) -> None:
        """One of the messages in flight may be why the connection ended."""
        alone = self._suspects.ended(in_flight)
        if alone is not None and (end.unreadable or end.code in _BLAMES_THE_MESSAGE):
            self._put_aside(alone, f"{len(alone.payload)} bytes of payload: {end.reason}")

    def _release(self) -> float | None:
        """Retry what was held long enough; return the seconds until the next is, None if nothing is held."""
        now_ns = self._wall.now_ns()
        for station in self._holds.due(now_ns):
            self._queues.retry(station)
        return self._holds.next_s(now_ns)

    def _put_aside(self, row: OutboxRow, reason: str) -> None:
        self._log.error("message is put aside", topic=row.topic, reason=reason)
        self.counts.quarantined += 1
        self._suspects.cleared(row)
        self._holds.taken(row.station)
        self._queues.done(row)
        if row.topic.endswith("/rejected"):
            # To reject a rejection would never end; the table of rejected ones has it.
            self._leaving.taken(row)
        else:
            self._leaving.too_large(row, reason)

    async def _forget(self) -> None:
        """Delete from the outbox what has been dealt with."""
        await self._leaving.alone()
        self._delete_aside()
        deletion = self._aside.get("delete")
        if deletion is not None:
            await deletion
        await self._leaving.put_aside(self._queues)

    async def _finish(self, connection: _Connection) -> None:
        """Wait for what is in flight, then leave."""
        deadline_ns = self._wall.now_ns() + int(STOP_S * 1e9)
        self.say(OFFLINE, "stopped")
        self._go_aside()
        while not connection.session.ended.done() and (
            connection.in_flight or self._status.in_flight or len(self._lasts)
        ):
            left_s = (deadline_ns - self._wall.now_ns()) / 1e9
            if left_s <= 0:
                break
            self._wake.clear()
            await sleep_until_set(self._wall, left_s, self._wake)
        # What the broker has taken must not come twice, rather its station's `last` comes after the next interval.
        self._leaving.taken(*self._lasts.ended(len(connection.in_flight)))
        await self._forget()
        await connection.session.disconnect()

    def _announce(self) -> None:
        if self._live is not None:
            self._status.announce(self._live.session, self._holds.reasons)


def _is_counts(row: OutboxRow) -> bool:
    return row.topic.rpartition("/")[2] in HELD_KINDS


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((wait for wait in (one, other) if wait is not None), default=None)
