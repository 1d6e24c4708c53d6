"""Before anything of a station is published: what did another store, or this one before it was put back, publish of it?

The broker's retained checkpoints say so. Whoever is in doubt waits, and nobody else.
"""

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.checkpoint import KIND, CheckpointError, is_epoch, read_checkpoint
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.holds import Holds
from zaehlwerk_bridge.messages import Topics
from zaehlwerk_bridge.mqtt_session import MqttSession
from zaehlwerk_bridge.reconciling import Reconciled
from zaehlwerk_bridge.station_queues import StationQueues
from zaehlwerk_bridge.verification import MOST, Question


class Reconciler(Protocol):
    """What is asked of the store."""

    async def unverified(self, stations: Collection[str]) -> list[set[str]]:
        """Return those of `stations`, with their company in groups, of which nothing may be published yet."""
        ...

    async def reconcile(self, checkpoints: Mapping[str, bytes | None], now_ns: int) -> Reconciled:
        """Make the outbox hold nothing that could be counted twice. Raises CheckpointError."""
        ...


class Asking:
    """Which stations may be published, and the questions about the others. `patience_s`: for the broker's answers.

    `clock` stamps what is made, `wall` is real time. `moved` is called when something can be sent, or asked, that could
    not before; `held` when a station is held.
    """

    def __init__(
        self,
        topics: Topics,
        client_id: str,
        store: Reconciler,
        holds: Holds,
        clock: Clock,
        wall: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
        patience_s: float,
        moved: Callable[[], None],
        held: Callable[[], None],
    ) -> None:
        self._topics = topics
        self._client_id = client_id
        self._store = store
        self._holds = holds
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._log = log
        self._patience_s = patience_s
        self._moved = moved
        self._held = held
        self._verified: set[str] = set()
        self._doubtful: set[str] = set()
        self._begun: dict[str, set[str]] = {}  # epochs that doubtful stations begin to tell of
        self._question: Question | None = None
        self._queues = StationQueues(0)

    def begin(self, queues: StationQueues) -> None:
        """A connection has begun, with `queues`: what was asked on the one before is not answered any more."""
        self._queues = queues
        self._doubtful.clear()
        self._begun.clear()
        self._question = None

    def allows(self, station: str, topic: str = "") -> bool:
        """Whether the next message of `station`, on `topic`, may be published; if not, it is asked for from now on.

        Before the first record of an epoch there stands the epoch's checkpoint. Another station may have had its node
        before, and that nobody could ask while the epoch was not known.
        """
        epoch = self._epoch(topic)
        if not station or (station in self._verified and (not epoch or epoch in self._verified)):
            return True
        self._doubtful.add(station)
        if epoch:
            self._begun.setdefault(station, set()).add(epoch)
        return False

    def _epoch(self, topic: str) -> str:
        """The name of the epoch whose checkpoint is at `topic`; empty: it is no such topic."""
        if not topic.endswith(KIND):
            return ""
        name = self._topics.station(topic) or ""
        return name if is_epoch(name) else ""

    @property
    def due(self) -> bool:
        """Whether there is something to go on with."""
        return bool(self._doubtful) or self._question is not None

    async def go_on(self, session: MqttSession, busy: Callable[[], Collection[str]]) -> float | None:
        """Go on with asking; return the seconds until that is late, if it may be.

        Of a station that this store has always been alone with, the store knows that nothing has to be asked. `busy`
        gives the stations of which something is on its way to the broker.
        """
        question = self._question or await self._begin_to_ask()
        if question is None:
            return None
        # Who was found to be in doubtful company waits as well, from here on.
        self._verified -= question.stations
        for checkpoints in question.answers(busy()):
            await self._reconcile(checkpoints)
        for station in question.to_ask():
            session.ask(self._topics.checkpoint(station), question.mark)
        session.flush()
        now_ns = self._wall.now_ns()
        if question.silent and now_ns < question.deadline_ns:
            return (question.deadline_ns - now_ns) / 1e9
        for stations, silent in question.give_up():
            topics = self._checkpoints(silent)
            for station in stations:
                self._hold(
                    station, f"the bridge does not get back what it publishes on {topics}; may it read there?"
                )
        if not question.over:
            return None
        for station in question.asked:
            session.forget(self._topics.checkpoint(station))
        session.flush()
        self._question = None
        self._moved()  # others may have turned up meanwhile
        return None

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """A message came on a topic that was asked for."""
        station = self._topics.station(topic)
        if self._question is not None and station is not None:
            self._question.take(station, payload, retained=retained)
            self._moved()

    async def _begin_to_ask(self) -> Question | None:
        doubtful = set(sorted(self._doubtful)[:MOST])
        self._doubtful -= doubtful
        if not doubtful:
            return None
        groups = await self._store.unverified(doubtful)
        for station in doubtful.difference(*groups):
            self._verified |= {station} | self._begun.pop(station, set())
            self._queues.retry(station)
            self._moved()
        if not groups:
            return None
        mark = json.dumps({"asked": f"{self._client_id}.{self._rng.getrandbits(64):016x}"})
        deadline_ns = self._wall.now_ns() + int(self._patience_s * 1e9)
        self._question = Question(groups, mark, _company_of, deadline_ns)
        return self._question

    async def _reconcile(self, checkpoints: Mapping[str, bytes | None]) -> None:
        try:
            done = await self._store.reconcile(checkpoints, self._clock.now_ns())
        except CheckpointError as error:
            held = self._checkpoints([station for station, payload in checkpoints.items() if payload])
            for station in checkpoints:
                self._hold(station, f"the checkpoint at {held} cannot be read: {error}")
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
        self._moved()

    def _hold(self, station: str, reason: str) -> None:
        row = self._queues.first(station)
        if row is not None:
            self._holds.hold(row, reason, self._wall.now_ns())
            self._held()

    def _checkpoints(self, stations: Collection[str]) -> str:
        """The topics of some stations, for people."""
        topics = [self._topics.checkpoint(station) for station in sorted(stations)]
        more = f" and {len(topics) - 3} others" if len(topics) > 3 else ""
        return ", ".join(topics[:3]) + more


def _company_of(station: str, payload: bytes) -> Sequence[str]:
    try:
        return read_checkpoint(payload, station).company
    except CheckpointError:
        return ()  # who takes it says so
