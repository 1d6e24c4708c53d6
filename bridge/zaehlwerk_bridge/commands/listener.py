"""Takes commands from the broker into the store; the broker is told that one was taken when it is durable there."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.backoff import Backoff
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.commands import store_calls
from zaehlwerk_bridge.commands.session import CommandSession
from zaehlwerk_bridge.errors import ClientTakenOver, SettingsError
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.messages import VERSION
from zaehlwerk_bridge.mqtt_session import FIRST_ERROR, SESSION_TAKEN_OVER, ConnectFailed, SessionEnd
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.store_access import StoreAccess

MOST_UNACKNOWLEDGED = 100
"""Messages of QoS 0 that wait for the store: the broker cannot be made to hold them."""
STEADY_S = 10.0
"""A connection that lasted this long works: the next wait is the shortest again."""


class CommandListener:
    """Listens until cancelled; survives the broker. `taken` is awaited after every message that was stored.

    `clock` stamps what is taken; `wall` is real time, in which the broker lives.
    """

    def __init__(
        self,
        settings: Settings,
        password: SecretFile | None,
        store: StoreAccess,
        clock: Clock,
        wall: Clock,
        rng: random.Random,
        log: FilteringBoundLogger,
        taken: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._client_id = settings.commands.client_id or f"{settings.client_id}-commands"
        self._password = password
        self._store = store
        self._clock = clock
        self._wall = wall
        self._rng = rng
        self._log = log
        self._taken = taken
        self._messages: asyncio.Queue[tuple[int, str, bytes]] = asyncio.Queue()
        self.topic = f"{settings.prefix}/{VERSION}/+/command"
        self.subscribed = False
        """Whether commands come in now."""
        self.trouble = ""
        """What keeps them from coming in, empty if nothing does that is known."""
        self.received = 0
        """Messages that came, again included."""
        self.dropped = 0
        """Of them those that were published with QoS 0, faster than they can be stored: nobody was promised anything."""

    async def run(self) -> None:
        """Connect, listen, connect again. Raises ClientTakenOver, and what the store raises."""
        mqtt = self._settings.mqtt
        backoff = Backoff(self._rng, mqtt.backoff_first_s, mqtt.backoff_most_s)
        while True:
            started_ns = self._wall.now_ns()
            try:
                end = await self._listen()
            except (ConnectFailed, SettingsError) as error:
                self._troubled(str(error))
            else:
                if end.code == SESSION_TAKEN_OVER:
                    raise ClientTakenOver(
                        f"another client connected to {mqtt.host} as {self._client_id!r}: "
                        "give every bridge an id of its own (setting id or commands.client_id)"
                    )
                self._troubled(end.reason)
                if self._wall.now_ns() - started_ns >= STEADY_S * 1e9:
                    backoff.reset()
            await self._wall.sleep(backoff.next())

    async def _listen(self) -> SessionEnd:
        self._messages = asyncio.Queue()  # what was not acknowledged comes again
        session = CommandSession(
            self._settings.mqtt, self._client_id, self._password, self._on_message, self._on_subscribed
        )
        try:
            await session.connect(self._settings.commands.session_expiry_s)
            session.subscribe(self.topic)
            while True:
                getting = asyncio.ensure_future(self._messages.get())
                try:
                    await asyncio.wait((getting, session.ended), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not getting.done():
                        getting.cancel()
                if not getting.done() or getting.cancelled():
                    return session.ended.result()
                mid, topic, payload = getting.result()
                await self._take(topic, payload)
                failpoint("command.before-acknowledge")
                if mid and not session.ended.done():
                    session.done(mid)
        finally:
            self.subscribed = False
            session.close()

    async def _take(self, topic: str, payload: bytes) -> None:
        # The subscription's one wildcard is the station's place, and that is one level.
        station = topic.removeprefix(f"{self._settings.prefix}/{VERSION}/").removesuffix("/command")
        await self._store.durably(
            store_calls.take, topic, station, payload, self._settings.commands, self._clock.now_ns()
        )
        await self._taken()

    def _on_message(self, mid: int, topic: str, payload: bytes) -> None:
        self.received += 1
        if not mid and self._messages.qsize() >= MOST_UNACKNOWLEDGED:
            self.dropped += 1
            return
        self._messages.put_nowait((mid, topic, payload))

    def _on_subscribed(self, code: int) -> None:
        if code >= FIRST_ERROR:
            self._troubled(
                f"the broker does not let the bridge subscribe to {self.topic} (reason code {code})"
            )
            return
        if self.trouble:
            self._log.info("commands come in again")
        self.trouble = ""
        self.subscribed = True

    def _troubled(self, reason: str) -> None:
        if reason != self.trouble:
            self._log.error("commands do not come in", reason=reason)
        self.trouble = reason
