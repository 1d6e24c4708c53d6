"""A whole city in one run: boards, air, network server, bridge, broker and subscriber, wired together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import zaehlwerk_protocol
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store import Store
from zaehlwerk_tools import memory
from zaehlwerk_tools.air_audit import broken_rules
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.broker_report import dropped_messages
from zaehlwerk_tools.city_bridge import bridge_settings, running_bridge
from zaehlwerk_tools.city_frames import count_frames
from zaehlwerk_tools.city_network import CityNetwork, EmbeddedNetwork
from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.errors import BrokerError, ZaehlwerkError
from zaehlwerk_tools.gateway_backend.chirpstack_network import ChirpStackNetwork
from zaehlwerk_tools.local_time import NS, SLOT_S
from zaehlwerk_tools.micropython_program import MicroPython, find_micropython
from zaehlwerk_tools.plan import OutageKind, Plan
from zaehlwerk_tools.result import CityResult, Progress
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.firmware_tree import build_tree
from zaehlwerk_tools.subscriber import Subscriber

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
"""Real seconds that bridge and broker may take for a thing that takes them milliseconds."""


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
        network = ChirpStackNetwork(plan) if plan.server else EmbeddedNetwork(plan, PATIENCE_S)
        server = await stack.enter_async_context(network.opened())
        log = plan.workdir / "bridge.log"
        bridge, task = await stack.enter_async_context(
            running_bridge(
                bridge_settings(plan.workdir, server, broker, plan.topic_prefix),
                network.clock,
                plan.seed,
                log,
            )
        )
        await network.begin()
        city = _City(plan, micropython, network)
        network.follow(bridge, log)
        task.add_done_callback(
            lambda _: network.scheduler.fail(BrokerError(_ended(task))) if not task.cancelled() else None
        )
        with city.boards():
            settled = await _while_alive(own, _play(plan, city, bridge, subscriber, progress))
            board_memory = max(board.memory_peak_kib for board in city.started) * 1024
            run_memory = memory.whole_run()
        dump = await bridge.ask(Store.dump)
        records = subscriber.records()
        frames, size = count_frames(city.air.log)
        broker_dropped = await dropped_messages(broker)
        await network.leave()
        return CityResult(
            records=records,
            messages=subscriber.messages,
            redelivered=subscriber.redelivered,
            uplinks_sent=city.air.uplinks_sent,
            uplinks_lost=city.air.uplinks_lost,
            count_frames=frames,
            count_payload_bytes=size,
            broker_dropped=broker_dropped,
            wall_s=time.monotonic() - begun,
            virtual_s=(network.scheduler.now_ns - network.begin_ns) / NS,
            board_memory=board_memory,
            run_memory=run_memory,
            settled=settled,
            broken_rules=broken_rules(city.air.log, city.air.duty_cycle, city.started),
            alarms=(alarms := tuple(dict.fromkeys(subscriber.alarms))),
            artifacts={
                "ledger.txt": dump,
                "frames.jsonl": city.air.log_text(),
                "alarms.jsonl": "".join(f"{alarm}\n" for alarm in alarms),
                **network.artifacts(),
            },
            fallbacks=[
                note
                for note in (
                    *plan.notes,
                    micropython.fallback,
                    own.program.fallback if own else None,
                    *network.notes(),
                )
                if note
            ],
        )


def _ended(task: asyncio.Task[None]) -> str:
    error = task.exception()
    return f"the bridge ended in the middle of the run: {error or 'nobody had stopped it'}"


async def _play(
    plan: Plan,
    city: _City,
    bridge: Bridge,
    subscriber: Subscriber,
    progress: Callable[[Progress], None],
) -> bool:
    """Run to the end of the table and on until the ledger has settled; whether it has."""
    network = city.network
    moment = network.begin_ns
    while moment < plan.end_ns:
        moment = min(moment + round(network.step_s * NS), plan.end_ns)
        await network.scheduler.run(moment)
        subscriber.check()
        network.check()
        progress(city.progress(bridge, "run"))
    until = plan.end_ns + plan.settle_intervals * SLOT_S * NS
    while moment < until:
        moment = min(moment + round(network.settle_step_s * NS), until)
        await network.scheduler.run(moment)
        network.check()
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
    return all(told.get(node.station.slug, 0) >= plan.end_ns // NS for node in city.network.nodes)


class _City:
    """What is in front of the network server: air and boards."""

    def __init__(self, plan: Plan, micropython: MicroPython, network: CityNetwork) -> None:
        outages = [
            (outage.start_ns, outage.end_ns) for outage in plan.outages if outage.kind is OutageKind.GATEWAY
        ]
        self.network = network
        self.air = Air(
            network.scheduler,
            seed=plan.seed,
            gateways=[Gateway(eui, place, outages) for eui, place in network.gateways.items()],
            on_uplink=network.heard,
            uplink_loss=plan.loss,
            downlink_loss=plan.loss,
            silences=_silences(plan, network.nodes),
        )
        network.attach(self.air)
        self.started: list[Board] = []
        self._plan = plan
        self._micropython = micropython

    def boards(self) -> _Boards:
        """All boards, running inside a `with`."""
        protocol = Path(zaehlwerk_protocol.__file__).parent
        firmware = CHECKOUT / "firmware"
        if not firmware.is_dir():
            raise ZaehlwerkError(f"{firmware} is missing: a city in software runs from a checkout")
        tree = build_tree(firmware, protocol, CHECKOUT / ".runtime" / "node")
        self.started = [
            Board(
                self.network.board(node),
                scheduler=self.network.scheduler,
                air=self.air,
                tree=tree,
                micropython=self._micropython.path,
                folder=self._plan.workdir,
            )
            for node in self.network.nodes
        ]
        return _Boards(self.started)

    def progress(self, bridge: Bridge, phase: str) -> Progress:
        """Where the run stands."""
        now = self.network.scheduler.now_ns
        slots = max(0, min(now, self._plan.end_ns) - self._plan.start_ns) // (SLOT_S * NS)
        return Progress(
            now,
            slots * self._plan.channels,
            self.air.uplinks_sent,
            self.air.uplinks_lost,
            bridge.publisher.counts.acknowledged,
            phase,
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
