"""Carries commands from the store to the server's downlink queue: the one owner of what stands there for nodes.

Before an Enqueue the store says that it begins. Whatever happens then, a restart included, it is never repeated before
it is known that it had no effect: the frame is looked for in the queue, and among what the server says of its items.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.alarm import Alarm
from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.commands import store_calls
from zaehlwerk_bridge.commands.counts import CommandCounts
from zaehlwerk_bridge.commands.life import Stage
from zaehlwerk_bridge.commands.queue_calls import CallFailed, Failure, Item, QueueCalls
from zaehlwerk_bridge.commands.store_calls import Due
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.settings import HealingSettings
from zaehlwerk_bridge.sources.connection import Connection
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_access import StoreAccess
from zaehlwerk_protocol.command import Command

NS = 1_000_000_000
LOOK_NS = 5 * NS
"""Between two looks for a frame of which it is not known whether the server has it."""
DOUBT_NS = 30 * NS
"""A frame that is not in the queue, and of which the server said nothing for so long, was not put there: the server
works on no request for so long, and what it says is heard within seconds while the source's streams are open."""
DOUBT_MOST_NS = 900 * NS
"""After so long a frame is sent again also while streams are closed; its token keeps the node from doing it twice."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a dispatcher asks and tells the rest of the bridge."""

    source_ready: Callable[[], bool]
    """Whether all of the source's streams are open."""
    told: Callable[[], None]
    """There is something new in the outbox."""
    moved: Callable[[], None]
    """`due` may have another value."""
    failed: Callable[[BaseException], None]
    """It broke unexpectedly."""


class Dispatcher:
    """Works when its alarm rings: at once after `changed`, and when time makes something due."""

    def __init__(
        self,
        connection: Connection,
        healing: HealingSettings,
        store: StoreAccess,
        clock: Clock,
        log: FilteringBoundLogger,
        around: Surroundings,
    ) -> None:
        self._settings = connection.settings
        self._healing = healing
        self._calls = QueueCalls(connection)
        self._store = store
        self._clock = clock
        self._log = log
        self._around = around
        self._alarm = Alarm(clock, self._work, around.failed)
        self._devices: dict[str, int] = {}  # when to look at each again, nanoseconds UTC
        self._bridge_itself = False
        self._status_at_ns: int | None = None
        self._ready_since_ns: int | None = None
        self._failures = 0
        self._paused_until_ns = 0
        self._unreadable: set[str] = set()
        self._doubts: dict[tuple[int, int], str] = {}  # why an Enqueue failed, by command and part
        self.counts = CommandCounts()
        self.trouble = ""
        """What keeps commands from being sent, as far as that is known; empty if nothing does."""

    @property
    def due(self) -> bool:
        """Whether it is at work, or should be by the clock."""
        return self._alarm.due

    async def start(self) -> None:
        """Take up what is not at its end."""
        now_ns = self._clock.now_ns()
        if await self._store.call(attrgetter("put_back")):
            # What was done after the copy was made is not in it: nothing of it may be done a second time.
            await self._store.durably(store_calls.abandon, now_ns)
        if self._healing.enabled:
            self._status_at_ns = now_ns + int(self._healing.check_s * NS)
        await self.look_again()

    async def look_again(self) -> None:
        """Somebody else may have changed commands in the store."""
        for dev_eui in await self._store.call(store_calls.devices):
            self._devices[dev_eui] = 0
        self._bridge_itself = True
        self._alarm.ring()

    async def changed(self) -> None:
        """The store's commands were changed: take up what follows."""
        if await self._take_changes():
            self._alarm.ring()
            self._around.moved()

    async def close(self) -> None:
        """Stop; what is under way is resolved after the next start."""
        await self._alarm.close()
        await self._calls.close()

    async def _take_changes(self) -> bool:
        touched, fates = await self._store.call(store_calls.changes)
        self.counts.note(fates)
        if fates:
            self._around.told()
        for dev_eui in touched:
            if dev_eui:
                self._devices[dev_eui] = 0
            else:
                self._bridge_itself = True
        return bool(touched)

    async def _work(self) -> None:
        if not await self._store.call(attrgetter("leads")):
            # Another bridge sends them. When this one leads it is told to look again.
            await self._take_changes()
            self._alarm.set(None)
            self._around.moved()
            return
        await self._store.durably(store_calls.expire, self._clock.now_ns())
        while True:
            await self._take_changes()
            now_ns = self._clock.now_ns()
            self._notice_source(now_ns)
            if self._status_at_ns is not None and self._status_at_ns <= now_ns:
                self._status_at_ns = now_ns + int(self._healing.check_s * NS)
                await self._store.durably(Store.ask_for_status, now_ns)
            elif self._bridge_itself:
                self._bridge_itself = False
                await self._store.durably(store_calls.republish, now_ns)
            else:
                dev_eui = self._next_device(now_ns)
                if dev_eui is None:
                    break
                del self._devices[dev_eui]
                later_ns = await self._serve(dev_eui, now_ns)
                if later_ns is not None:
                    self._devices[dev_eui] = min(later_ns, self._devices.get(dev_eui, later_ns))
        served = [max(at_ns, self._paused_until_ns) for at_ns in self._devices.values()]
        others = (self._status_at_ns, await self._store.call(store_calls.next_expiry))
        self._alarm.set(min([*served, *(at_ns for at_ns in others if at_ns is not None)], default=None))
        self._around.moved()

    def _notice_source(self, now_ns: int) -> None:
        if not self._around.source_ready():
            self._ready_since_ns = None
        elif self._ready_since_ns is None:
            self._ready_since_ns = now_ns

    def _next_device(self, now_ns: int) -> str | None:
        if now_ns < self._paused_until_ns:
            return None
        return min((dev for dev, at_ns in self._devices.items() if at_ns <= now_ns), default=None)

    async def _serve(self, dev_eui: str, now_ns: int) -> int | None:
        """Do the next thing for a device; returns when to look again, None: when something has changed."""
        due = await self._store.call(store_calls.next_of, dev_eui)
        if due is None:
            return None
        try:
            items = await self._calls.items(dev_eui)
            self._unreadable.discard(dev_eui)
            if due.downlink.stage is Stage.TRYING:
                return await self._look(due, items, now_ns)
            return await self._enqueue(due, items, now_ns)
        except CallFailed as error:
            # Only the look into the queue failed: nothing was done.
            return await self._failed(due, error, now_ns)
        except SettingsError as error:
            self._pause(str(error), now_ns)
            return now_ns

    async def _enqueue(self, due: Due, items: Sequence[Item], now_ns: int) -> int | None:
        payload, seq, part = due.downlink.payload, due.seq, due.downlink.part
        item = _found(items, payload)
        others = [one.id for one in items if one.id != item]
        if not await self._store.durably(store_calls.begin_enqueue, seq, part, others, now_ns):
            return now_ns + 1  # its fate has changed meanwhile
        failpoint("enqueue.begun")
        if item is None:
            try:
                item = await self._calls.enqueue(
                    due.dev_eui, payload, due.expires_ns, confirmed=due.confirmed
                )
                failpoint("enqueue.taken")
            except CallFailed as error:
                if error.failure in (Failure.RIGHTS, Failure.IN_VAIN):
                    await self._store.durably(store_calls.absent, seq, part, now_ns)
                    return await self._failed(due, error, now_ns)
                self._doubts[seq, part] = "" if error.failure is Failure.SERVER else str(error)
                self._log.warning(
                    "whether a command was queued is not known", dev_eui=due.dev_eui, reason=str(error)
                )
                if error.failure is Failure.SERVER:
                    self._pause(str(error), now_ns)
                return now_ns + LOOK_NS
        await self._queued(due, item)
        failpoint("enqueue.noted")
        self.counts.enqueued += 1
        self._log.info("command is queued", dev_eui=due.dev_eui, command=due.kind, item=item)
        return None

    async def _look(self, due: Due, items: Sequence[Item], now_ns: int) -> int | None:
        """Find out whether an Enqueue, or what it put into the queue, is still to be expected to do anything."""
        downlink, seq = due.downlink, due.seq
        item = _found(items, downlink.payload)
        if item is None and not downlink.item:
            item = await self._store.call(store_calls.unclaimed, due.dev_eui, downlink)
        if item is not None:
            self.counts.resolved["found"] += 1
            self.counts.enqueued += not downlink.item
            self._doubts.pop((seq, downlink.part), None)
            await self._queued(due, item)
            return None
        ready_since_ns = self._ready_since_ns
        heard_ns = 0 if ready_since_ns is None else now_ns - max(downlink.since_ns, ready_since_ns)
        if heard_ns < DOUBT_NS and now_ns - downlink.since_ns < DOUBT_MOST_NS:
            return now_ns + LOOK_NS
        self.counts.resolved["absent"] += 1
        again = self._doubts.pop((seq, downlink.part), "")
        await self._store.durably(store_calls.absent, seq, downlink.part, now_ns, again)
        return None

    async def _queued(self, due: Due, item: str) -> None:
        self._failures = 0
        if self.trouble:
            self._log.info("commands can be sent again")
            self.trouble = ""
        await self._store.durably(
            store_calls.enqueued, due.seq, due.downlink.part, item, self._clock.now_ns()
        )

    async def _failed(self, due: Due, error: CallFailed, now_ns: int) -> int | None:
        """A call failed that certainly did nothing."""
        reason = str(error)
        if error.failure is Failure.SERVER:
            self._pause(reason, now_ns)
            return now_ns
        if error.failure is Failure.DOUBTFUL:
            if due.dev_eui not in self._unreadable:
                self._unreadable.add(due.dev_eui)
                self._log.warning("node's queue cannot be read", dev_eui=due.dev_eui, reason=reason)
            return now_ns + DOUBT_NS
        if error.failure is Failure.RIGHTS:
            self._troubled(
                f"downlinks are refused: {reason}; chirpstack.write_key_file names a key that may enqueue"
            )
        else:
            self._log.warning("command is refused", dev_eui=due.dev_eui, command=due.kind, reason=reason)
        await self._store.durably(
            store_calls.refuse, due.seq, f"the network server refuses it: {reason}", now_ns
        )
        return None

    def _pause(self, reason: str, now_ns: int) -> None:
        """The server takes nothing from anybody now."""
        self._troubled(f"downlinks fail: {reason}")
        wait_s = min(
            self._settings.backoff_most_s, self._settings.backoff_first_s * 2.0 ** min(self._failures, 30)
        )
        self._failures += 1
        self._paused_until_ns = now_ns + int(wait_s * NS)

    def _troubled(self, reason: str) -> None:
        if reason != self.trouble:
            self._log.error("commands cannot be sent", reason=reason)
        self.trouble = reason


def _found(items: Sequence[Item], payload: bytes) -> str | None:
    """The item that holds a command's frame: its token keeps it apart from all others."""
    return next((item.id for item in items if item.f_port == Command.PORT and item.data == payload), None)
