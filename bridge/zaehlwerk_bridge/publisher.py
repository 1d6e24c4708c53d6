"""From the outbox to the city's broker: MQTT 5, QoS 1, a window in flight, every reason code read.

A row leaves the outbox on a PUBACK without an error, and on nothing else. A message that the broker refuses holds
its station, and no other; one that no broker can take is put aside with its reason.

Some brokers answer a message that they cannot take by ending the connection. So what was in flight at an end is sent
one by one the next time, until it is known which message it was.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.checkpoint import CheckpointError, read_checkpoint
from zaehlwerk_bridge.clock import Clock, sleep_until_set
from zaehlwerk_bridge.distribution import Distribution
from zaehlwerk_bridge.errors import ClientTakenOver, SettingsError
from zaehlwerk_bridge.holds import Holds
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
    Will,
    reason_name,
)
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.progress import PATIENCE_S, Progress
from zaehlwerk_bridge.reconciling import Reconciled
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import MqttSettings
from zaehlwerk_bridge.station_queues import StationQueues
from zaehlwerk_bridge.suspects import Suspects
from zaehlwerk_bridge.verification import MOST, Question

_BLAMES_THE_MESSAGE = frozenset(
    {MALFORMED_PACKET, TOPIC_NAME_INVALID, PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID}
)
"""Reasons to end a connection that say: this message, and it will be the same next time (MQTT 5.0, 3.14.2.1)."""
HELD_KINDS = frozenset({"count", "span"})
"""Last parts of the topics whose messages are worth keeping until somebody has subscribed."""
ROWS_IN_MEMORY = 1000
STEADY_S = 10.0
"""A connection that lasted this long works: the next wait is the shortest again."""
STOP_S = 1.5
"""So long a stopping bridge waits for what is in flight."""
WAIT_BOUNDS_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 900, 3600, 14400, 86400)


class OutboxReader(Protocol):
    """What the publisher asks of the store."""

    async def rows(self, after_seq: int, limit: int) -> list[OutboxRow]:
        """Return at most `limit` rows behind `after_seq`, oldest first."""
        ...

    async def acknowledged(self, rows: Sequence[OutboxRow]) -> None:
        """Delete rows that the broker took."""
        ...

    async def quarantine(self, row: OutboxRow, reason: str, now_ns: int) -> None:
        """Move a row that the broker can never take to the rejected ones."""
        ...

    async def unverified(self, stations: Collection[str]) -> list[set[str]]:
        """Return those of `stations`, with their company in groups, of which nothing may be published yet."""
        ...

    async def reconcile(self, checkpoints: Mapping[str, bytes | None], now_ns: int) -> Reconciled:
        """Make the outbox hold nothing that could be counted twice. Raises CheckpointError."""
        ...


@dataclass(slots=True)
class PublisherCounts:
    """What became of messages since the start."""

    acknowledged: int = 0
    without_subscriber: int = 0
    """PUBACKs that said that nobody has subscribed, each retry counted."""
    refused: int = 0
    """PUBACKs with an error, each retry counted."""
    quarantined: int = 0
    connections: int = 0
    results: Counter[int] = field(default_factory=Counter)
    """PUBACKs of stored messages, by reason code, each retry counted."""
    wait: Distribution = field(default_factory=lambda: Distribution(WAIT_BOUNDS_S))
    """Seconds from a message's making to its acknowledgement."""


@dataclass(slots=True)
class _Connection:
    session: MqttSession
    window: int
    limits: Limits
    question: Question | None = None
    in_flight: dict[int, OutboxRow] = field(default_factory=dict)
    status_mid: int = 0


class Publisher:
    """Publishes until `stop()`; survives the broker.

    `clock` stamps what is put aside; `wall` is real time, in which the broker lives. `changed` is called when `idle`, `connected` or `trouble` may have changed.
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
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._status_topic = topics.status
        self._topics = topics
        self._password = password
        self._outbox = outbox
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._log = log
        self._changed = changed
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._queues = StationQueues(ROWS_IN_MEMORY)
        self._finished: list[OutboxRow] = []
        self._too_large: list[tuple[OutboxRow, str]] = []
        self._holds = Holds(rng, log, settings.backoff_first_s, settings.backoff_most_s)
        self._suspects = Suspects()
        self._verified: set[str] = set()
        self._doubtful: set[str] = set()
        self._connection: _Connection | None = None
        self._status = ("online", "")
        self._announced: bytes | None = None
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
        """Say that the outbox has new messages."""
        self._queues.more()
        self._wake.set()

    def say(self, state: str, reason: str) -> None:
        """From now on the retained status of the bridge is `state`, and why."""
        self._status = (state, reason)
        self._announce()

    def stop(self) -> None:
        """Send nothing new, wait for what is in flight, say goodbye; `run` returns then."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Connect, publish, connect again. Raises ClientTakenOver, and what the store raises."""
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
        will = Will(self._status_topic, _status("offline", "connection lost"))
        session = MqttSession(
            settings, self._client_id, self._password, will, self._on_acknowledged, self._on_received
        )
        try:
            limits = await session.connect()
            # Nothing of an earlier connection is left: what was in flight then is in the outbox, in order.
            self._queues = StationQueues(ROWS_IN_MEMORY)
            self._doubtful.clear()
            window = min(settings.window, limits.receive_maximum)
            self._connection = connection = _Connection(session, window, limits)
            self.counts.connections += 1
            self.trouble = ""
            self._log.info("broker is connected", host=settings.host, window=window)
            self._announced = None
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
            if session.ended.done():
                end = session.ended.result()
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
            wait_s = _sooner(wait_s, await self._verify(connection))
            self._announce()  # what is held may have changed
            if self._finished or self._too_large:
                await self._forget()
                continue
            if self._queues.empty:
                self._changed()
            if self._queues.reading() is None:
                await sleep_until_set(self._wall, wait_s, self._wake)

    def _send(self, connection: _Connection) -> None:
        now_ns = self._wall.now_ns()
        while True:
            window = 1 if self._suspects.one_by_one else connection.window
            if len(connection.in_flight) + (connection.status_mid > 0) >= window:
                break
            row = self._queues.next()
            if row is None:
                break
            if self._suspects.convicts(row):
                self._holds.hold(row, "the connection ended when it was sent", now_ns, longest=True)
            if self._holds.holds(row.station, now_ns):
                self._suspects.passed(row)
                self._queues.hold(row)
                continue
            if row.station and row.station not in self._verified:
                self._suspects.passed(row)
                self._queues.hold(row)
                self._doubtful.add(row.station)
                continue
            properties = PublishProperties(CONTENT_TYPE, row.properties)
            size = publish_bytes(row.topic, len(row.payload), properties)
            most = connection.limits.maximum_packet_size
            if most is not None and size > most:
                # Sent, it would end the connection without a PUBACK, and do so again after every reconnect.
                self._put_aside(row, f"packet of {size} bytes; the broker takes at most {most}")
                continue
            mid = connection.session.publish(row.topic, row.payload, row.retain, properties)
            connection.in_flight[mid] = row
        connection.session.flush()

    async def _verify(self, connection: _Connection) -> float | None:
        """Go on with asking what was published of stations before; return the seconds until that is late, if it may be.

        Of a station that this store has always been alone with, the store knows that nothing has to be asked.
        """
        question = connection.question
        if question is None:
            question = await self._begin_to_ask(connection)
            if question is None:
                return None
        # Who was found to be in doubtful company waits as well, from here on.
        self._verified -= question.stations
        busy = {row.station for row in [*connection.in_flight.values(), *self._finished]}
        busy |= {row.station for row, _ in self._too_large}
        for checkpoints in question.answers(busy):
            await self._reconcile(checkpoints)
        self._ask(connection, question)
        now_ns = self._wall.now_ns()
        if question.silent and now_ns < question.deadline_ns:
            return (question.deadline_ns - now_ns) / 1e9
        for stations, silent in question.give_up():
            topics = self._checkpoints(silent)
            for station in stations:
                self._hold_doubtful(
                    station, f"the bridge does not get back what it publishes on {topics}; may it read there?"
                )
        if not question.over:
            return None
        for station in question.asked:
            connection.session.forget(self._topics.checkpoint(station))
        connection.question = None
        self._wake.set()  # others may have turned up meanwhile
        return None

    def _checkpoints(self, stations: Collection[str]) -> str:
        """The topics of some stations, for people."""
        topics = [self._topics.checkpoint(station) for station in sorted(stations)]
        more = f" and {len(topics) - 3} others" if len(topics) > 3 else ""
        return ", ".join(topics[:3]) + more

    async def _begin_to_ask(self, connection: _Connection) -> Question | None:
        doubtful = set(sorted(self._doubtful)[:MOST])
        self._doubtful -= doubtful
        if not doubtful:
            return None
        groups = await self._outbox.unverified(doubtful)
        for station in doubtful.difference(*groups):
            self._verified.add(station)
            self._queues.retry(station)
            self._wake.set()
        if not groups:
            return None
        mark = json.dumps({"asked": f"{self._client_id}.{self._rng.getrandbits(64):016x}"})
        deadline_ns = self._wall.now_ns() + int(self._settings.connect_timeout_s * 1e9)
        connection.question = Question(groups, mark, _company_of, deadline_ns)
        return connection.question

    def _ask(self, connection: _Connection, question: Question) -> None:
        for station in question.to_ask():
            connection.session.ask(self._topics.checkpoint(station), question.mark)
        connection.session.flush()

    async def _reconcile(self, checkpoints: Mapping[str, bytes | None]) -> None:
        try:
            done = await self._outbox.reconcile(checkpoints, self._clock.now_ns())
        except CheckpointError as error:
            held = self._checkpoints([station for station, payload in checkpoints.items() if payload])
            for station in checkpoints:
                self._hold_doubtful(station, f"the checkpoint at {held} cannot be read: {error}")
            return
        if done.lost:
            self._log.error(
                "the broker has lost checkpoints; spans told since the copy was made may stand twice",
                stations=sorted(checkpoints),
            )
        if done.foreign:
            self._log.warning(
                "stations were published by another store, or by this one after it was copied; they are reconciled",
                stations=sorted(checkpoints),
                records=done.foreign,
            )
        for station in checkpoints:
            self._verified.add(station)
            self._queues.again(station)
        self._wake.set()

    def _hold_doubtful(self, station: str, reason: str) -> None:
        row = self._queues.first(station)
        if row is not None:
            self._holds.hold(row, reason, self._wall.now_ns())
            self._changed()

    def _on_received(self, topic: str, payload: bytes, retained: bool) -> None:
        connection = self._connection
        if connection is None or connection.question is None:
            return
        station = self._topics.station(topic)
        if station is not None:
            connection.question.take(station, payload, retained=retained)
            self._wake.set()

    def _on_acknowledged(self, mid: int, code: int) -> None:
        connection = self._connection
        if connection is None:
            return
        self._wake.set()
        if mid == connection.status_mid:
            connection.status_mid = 0
            if code >= FIRST_ERROR:
                self._log.error("broker refuses a topic", topic=self._status_topic, reason=reason_name(code))
            self._announce()
            return
        row = connection.in_flight.pop(mid, None)
        if row is None:
            return
        self._suspects.cleared(row)
        self.counts.results[code] += 1
        if code == NO_MATCHING_SUBSCRIBERS:
            self.counts.without_subscriber += 1
            if self._settings.hold_without_subscriber and row.topic.rpartition("/")[2] in HELD_KINDS:
                self._hold(row, code)
                return
        elif code == PACKET_TOO_LARGE:
            self._put_aside(row, f"{len(row.payload)} bytes of payload: {reason_name(code)}")
            return
        elif code >= FIRST_ERROR:
            self.counts.refused += 1
            self._hold(row, code)
            return
        self.counts.acknowledged += 1
        if row.made_ns:
            self.counts.wait.observe(max(0, self._clock.now_ns() - row.made_ns) / 1e9)
        self._holds.taken(row.station)
        self._queues.done(row)
        self._finished.append(row)

    def _hold(self, row: OutboxRow, code: int) -> None:
        self._holds.hold(row, reason_name(code), self._wall.now_ns())
        self._queues.hold(row)
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
            self._finished.append(
                row
            )  # to reject a rejection would never end; the table of rejected ones has it
        else:
            self._too_large.append((row, reason))

    async def _forget(self) -> None:
        """Delete from the outbox what has been dealt with."""
        finished, self._finished = self._finished, []
        too_large, self._too_large = self._too_large, []
        queues = self._queues
        if finished:
            await self._outbox.acknowledged(finished)
        for row, reason in too_large:
            await self._outbox.quarantine(row, reason, self._clock.now_ns())
            queues.more()  # the store says in a message of its own that this one was rejected
        for row in [*finished, *(row for row, _ in too_large)]:
            queues.forget(row)

    async def _finish(self, connection: _Connection) -> None:
        """Wait for what is in flight, then leave."""
        deadline_ns = self._wall.now_ns() + int(STOP_S * 1e9)
        self.say("offline", "stopped")
        while (connection.in_flight or connection.status_mid) and not connection.session.ended.done():
            left_s = (deadline_ns - self._wall.now_ns()) / 1e9
            if left_s <= 0:
                break
            self._wake.clear()
            await sleep_until_set(self._wall, left_s, self._wake)
        await self._forget()
        await connection.session.disconnect()

    def _announce(self) -> None:
        """Publish the status unless that was done; past the outbox, for that may be what the status is about."""
        connection = self._connection
        state, reason = self._status
        payload = _status(state, reason, {} if state == "offline" else self._holds.reasons)
        if connection is None or connection.status_mid or self._announced == payload:
            return
        self._announced = payload
        properties = PublishProperties(CONTENT_TYPE, {})
        connection.status_mid = connection.session.publish(self._status_topic, payload, True, properties)
        connection.session.flush()


def _company_of(station: str, payload: bytes) -> Sequence[str]:
    try:
        return read_checkpoint(payload, station).company
    except CheckpointError:
        return ()  # who takes it says so


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((wait for wait in (one, other) if wait is not None), default=None)


def _status(state: str, reason: str, held: Mapping[str, str] | None = None) -> bytes:
    content: dict[str, object] = {"state": state}
    if reason:
        content["reason"] = reason
    if held:
        station = min(held)
        content |= {"held": len(held), "for_example": f"{station}: {held[station]}"}
    return json.dumps(content, separators=(",", ":")).encode()
