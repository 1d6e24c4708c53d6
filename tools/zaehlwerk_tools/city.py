"""A whole city in one run: boards, air, network server, bridge, broker and subscriber, wired together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from grpc import aio

import zaehlwerk_protocol
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store
from zaehlwerk_tools import memory
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.broker_report import dropped_messages
from zaehlwerk_tools.city_bridge import bridge_settings, running_bridge
from zaehlwerk_tools.city_frames import count_frames
from zaehlwerk_tools.city_node import CityNode, first_boot_ns
from zaehlwerk_tools.errors import BrokerError, ZaehlwerkError
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.micropython_program import MicroPython, find_micropython
from zaehlwerk_tools.network_server import reception
from zaehlwerk_tools.network_server.server import NetworkServer
from zaehlwerk_tools.network_server.settings import Settings as NetworkSettings
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.provisioning import Plan as Registration
from zaehlwerk_tools.provisioning import provision
from zaehlwerk_tools.result import CityResult, Progress
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.clock import VirtualClock
from zaehlwerk_tools.simulator.firmware_tree import build_tree
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import Scheduler
from zaehlwerk_tools.subscriber import Subscriber

CHECKOUT = Path(__file__).resolve().parents[2]
GATEWAYS = {
    "0102030405060708": Place(0.0, 0.0),
    "0102030405060709": Place(900.0, -500.0),
    "010203040506070a": Place(-700.0, 800.0),
}
"""EUI and place in metres: three gateways, so that most frames are heard more than once."""
HISTORY = 100
"""Events that the network server keeps per device, as operators are told to set it."""
PATIENCE_S = 60.0
"""Real seconds that bridge and broker may take for a thing that takes them milliseconds."""
STEP_S = SLOT_S // 3
"""Virtual seconds between two looks at how far the run is."""


async def run_city(plan: Plan, progress: Callable[[Progress], None]) -> CityResult:
    """Run the city of `plan` to its end.

    Raises ZaehlwerkError for what a person can do something about; a board that crashes raises BoardError.
    """
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        micropython = find_micropython(CHECKOUT, plan.bits)
        own = None
        if plan.broker is None:
            own = await stack.enter_async_context(await BrokerProcess.start(plan.workdir, plan.broker_port))
        broker = plan.broker or (own.address if own else None)
        assert broker is not None
        subscriber = Subscriber(broker, plan.workdir / "platform.sqlite", plan.topic_prefix)
        stack.callback(subscriber.close)
        await subscriber.start()
        stack.push_async_callback(subscriber.stop)
        city = await stack.enter_async_context(_City.built(plan, micropython))
        clock = VirtualClock(city.scheduler, grace_s=PATIENCE_S)
        settings = bridge_settings(
            plan.workdir, city.port, city.tenant_id, city.server.admin_key, broker, plan.topic_prefix
        )
        bridge, task = await stack.enter_async_context(
            running_bridge(settings, clock, plan.seed, plan.workdir / "bridge.log")
        )
        city.follow(bridge, plan.workdir / "bridge.log")
        task.add_done_callback(
            lambda _: city.scheduler.fail(BrokerError(_ended(task))) if not task.cancelled() else None
        )
        with city.boards():
            settled = await _while_alive(own, _play(plan, city, bridge, subscriber, progress))
            board_memory = max(board.memory_peak_kib for board in city.started) * 1024
            run_memory = memory.whole_run()
        dump = await bridge.ask(Store.dump)
        records = subscriber.records()
        frames, size = count_frames(city.air.log)
        return CityResult(
            records=records,
            messages=subscriber.messages,
            redelivered=subscriber.redelivered,
            uplinks_sent=city.air.uplinks_sent,
            uplinks_lost=city.air.uplinks_lost,
            count_frames=frames,
            count_payload_bytes=size,
            broker_dropped=await dropped_messages(broker),
            wall_s=time.monotonic() - begun,
            virtual_s=(city.scheduler.now_ns - first_boot_ns(plan)) / NS,
            board_memory=board_memory,
            run_memory=run_memory,
            settled=settled,
            artifacts={"ledger.txt": dump, "frames.jsonl": city.air.log_text()},
            fallbacks=[
                note
                for note in (micropython.fallback, own.program.fallback if own else None, _overdue(clock))
                if note
            ],
        )


def _ended(task: asyncio.Task[None]) -> str:
    error = task.exception()
    return f"the bridge ended in the middle of the run: {error or 'nobody had stopped it'}"


def _overdue(clock: VirtualClock) -> str | None:
    if not clock.overdue:
        return None
    return f"time went on without the bridge {clock.overdue} times: this run need not repeat exactly"


async def _play(
    plan: Plan,
    city: _City,
    bridge: Bridge,
    subscriber: Subscriber,
    progress: Callable[[Progress], None],
) -> bool:
    """Run to the end of the table and on until the ledger has settled; whether it has."""
    moment = first_boot_ns(plan)
    while moment < plan.end_ns:
        moment = min(moment + STEP_S * NS, plan.end_ns)
        await city.scheduler.run(moment)
        subscriber.check()
        progress(city.progress(bridge, "run"))
    for _ in range(plan.settle_intervals):
        moment += SLOT_S * NS
        await city.scheduler.run(moment)
        await bridge.quiet()
        progress(city.progress(bridge, "settle"))
        if await _is_settled(plan, city, bridge, subscriber):
            return True
    return await _is_settled(plan, city, bridge, subscriber)


async def _while_alive(broker: BrokerProcess | None, work: Coroutine[None, None, bool]) -> bool:
    """The outcome of `work`. Raises BrokerError if the run's own broker dies meanwhile."""
    working = asyncio.ensure_future(work)
    watching = None if broker is None else asyncio.ensure_future(broker.watch())
    tasks = [task for task in (watching, working) if task is not None]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if watching is not None and watching.done():
            # Whatever went wrong in the run as well went wrong because of it.
            watching.result()
        return working.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _stored(bridge: Bridge, dev_eui: str, item: str, log: Path) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await bridge.committed(dev_eui, item)
    except TimeoutError:
        raise ZaehlwerkError(
            f"the bridge has stored nothing for {PATIENCE_S:.0f} s{_last_line(log)}"
        ) from None


def _last_line(log: Path) -> str:
    last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
    return f"; it says: {last[0]}" if last else ""


async def _published(bridge: Bridge) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await bridge.published()
    except TimeoutError:
        trouble = bridge.publisher.trouble or "no reason given"
        raise BrokerError(
            f"the broker has not taken all messages within {PATIENCE_S:.0f} s: {trouble}"
        ) from None


async def _is_settled(plan: Plan, city: _City, bridge: Bridge, subscriber: Subscriber) -> bool:
    await _published(bridge)
    await subscriber.drain()
    if await bridge.ask(Store.next_deadline_ns) is not None:
        return False
    told: dict[str, int] = {}
    for record in subscriber.records():
        if record.end_s is not None:
            told[record.station] = max(told.get(record.station, 0), record.end_s)
    return all(told.get(node.station.slug, 0) >= plan.end_ns // NS for node in city.nodes)


class _City:
    """What is around the bridge: scheduler, air, network server and boards."""

    def __init__(self, plan: Plan, micropython: MicroPython) -> None:
        self.nodes = [
            CityNode.of(number, station, plan.seed) for number, station in enumerate(plan.stations, 1)
        ]
        self.scheduler = Scheduler(first_boot_ns(plan) - NS, pace=plan.real_time)
        outages = [
            (outage.start_ns, outage.end_ns) for outage in plan.outages if outage.kind is OutageKind.GATEWAY
        ]
        self.air = Air(
            self.scheduler,
            seed=plan.seed,
            gateways=[Gateway(eui, place, outages) for eui, place in GATEWAYS.items()],
            on_uplink=self._heard,
            uplink_loss=plan.loss,
            downlink_loss=plan.loss,
            silences=_silences(plan, self.nodes),
        )
        self.server = NetworkServer(self.scheduler, self._send, plan.seed, NetworkSettings(history=HISTORY))
        self.started: list[Board] = []
        self.port = 0
        self.tenant_id = ""
        self._plan = plan
        self._micropython = micropython

    @classmethod
    @asynccontextmanager
    async def built(cls, plan: Plan, micropython: MicroPython) -> AsyncIterator[_City]:
        """The city with its network server serving and all nodes registered there."""
        city = cls(plan, micropython)
        city.port = await city.server.start()
        try:
            async with aio.insecure_channel(f"127.0.0.1:{city.port}") as channel:
                nodes = [node.registration() for node in city.nodes]
                registration = Registration("Zählstellen", nodes, tenant=plan.city.title)
                registered = await provision(channel, city.server.admin_key, registration)
            city.tenant_id = registered.tenant_id
            yield city
        finally:
            await city.server.stop()

    def follow(self, bridge: Bridge, log: Path) -> None:
        """From now on time stands until the bridge, which writes to `log`, has stored what was delivered to it."""
        self.server.on_delivered = lambda dev_eui, item: self.scheduler.hold(
            _stored(bridge, dev_eui, item, log)
        )

    def boards(self) -> _Boards:
        """All boards, running inside a `with`."""
        protocol = Path(zaehlwerk_protocol.__file__).parent
        firmware = CHECKOUT / "firmware"
        if not firmware.is_dir():
            raise ZaehlwerkError(f"{firmware} is missing: a city in software runs from a checkout")
        tree = build_tree(firmware, protocol, CHECKOUT / ".runtime" / "node")
        self.started = [
            Board(
                node.board(self._plan),
                scheduler=self.scheduler,
                air=self.air,
                tree=tree,
                micropython=self._micropython.path,
                folder=self._plan.workdir,
            )
            for node in self.nodes
        ]
        return _Boards(self.started)

    def progress(self, bridge: Bridge, phase: str) -> Progress:
        """Where the run stands."""
        slots = max(0, min(self.scheduler.now_ns, self._plan.end_ns) - self._plan.start_ns) // (SLOT_S * NS)
        return Progress(
            self.scheduler.now_ns,
            slots * self._plan.channels,
            self.air.uplinks_sent,
            self.air.uplinks_lost,
            bridge.publisher.counts.acknowledged,
            phase,
        )

    def _heard(self, end_ns: int, phy: bytes, heard: Heard) -> None:
        self.server.uplink(
            end_ns,
            phy,
            reception.Reception(
                heard.gateway_id,
                heard.frequency,
                heard.sf,
                heard.bandwidth,
                heard.rssi,
                heard.snr,
                heard.channel,
            ),
        )

    def _send(self, down: reception.Downlink) -> str | None:
        return self.air.downlink(
            down.gateway_id, down.start_ns, down.frequency, down.sf, down.bandwidth, down.power, down.phy
        )


class _Boards:
    """Started on entering, ended on leaving, whatever happened between."""

    def __init__(self, boards: Sequence[Board]) -> None:
        self._boards = boards

    def __enter__(self) -> None:
        try:
            for board in self._boards:
                board.start()
        except BaseException:
            self._stop()
            raise

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        for board in self._boards:
            board.stop()


def _silences(plan: Plan, nodes: Sequence[CityNode]) -> dict[int, list[tuple[int, int]]]:
    """Board number to the times, UTC Unix nanoseconds, in which nobody hears it."""
    return {
        node.number: [
            (outage.start_ns, outage.end_ns)
            for outage in plan.outages
            if outage.kind is OutageKind.RADIO and outage.station == node.station.slug
        ]
        for node in nodes
    }
