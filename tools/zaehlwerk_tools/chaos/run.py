"""One run: load and faults, everything mended, the rest drained, and what the platform holds against what was offered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from redis.exceptions import RedisError

from zaehlwerk_tools.chaos.consumer import Sums
from zaehlwerk_tools.chaos.offered import NAMES, Entry, Offer
from zaehlwerk_tools.chaos.schedule import Fault
from zaehlwerk_tools.chaos.world import World

AGAIN_S = 0.2
LOOK_S = 0.2
CHECK_S = 0.4
SILENCE_S = 90.0
"""Nothing changed for so long after everything was mended: what is missing by then is lost."""
QUIET_S = 3.0
"""After the last change: something that is counted twice would come now."""

Tell = Callable[[str, int, int], None]
"""(what is being done, done of it, all of it)"""


@dataclass(slots=True)
class Outcome:
    """What a run has shown."""

    offered: int = 0
    """Uplinks, copies not counted."""
    acknowledged: int = 0
    """Those of them that the bridge acknowledged to Redis, or stored from gRPC: from then on it alone answers for them."""
    lost: int = 0
    """Passages that were counted and that the platform does not hold, or not in their interval although it was told.

    Totals heal what is missing: an event that vanishes takes nothing from a sum but only the interval from its passages.
    """
    unexpected: int = 0
    """Passages that the platform held at some moment before anybody had told them, at most, and messages of rejected events."""
    duplicates_visible: int = 0
    """Messages that came again, word for word."""
    order_violations: int = 0
    """Messages that came first after one of the same station with a higher revision."""
    messages: int = 0
    """Different messages that came."""
    faults: Counter[str] = field(default_factory=Counter)
    broke: list[str] = field(default_factory=list)
    """Bridges that ended although nobody had killed them."""

    @property
    def good(self) -> bool:
        """Whether what is promised was kept."""
        return self.acknowledged == self.offered and not (
            self.lost or self.unexpected or self.order_violations or self.broke
        )


class Run:
    """The load of `offer` and `faults` in `world`."""

    def __init__(self, world: World, offer: Offer, faults: Sequence[Fault], *, tell: Tell) -> None:
        self._world = world
        self._offer = offer
        self._faults = faults
        self._tell = tell
        self._told: Sums = {}
        self._outcome = Outcome(offered=offer.uplinks)
        self._too_much = 0
        self._began = time.monotonic()

    async def run(self) -> Outcome:
        """Do it all. Raises ZaehlwerkError if a part of the world gives up."""
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch())
            await self._load_and_faults()
            await self._drain()
            watching.cancel()
        await self._judge()
        return self._outcome

    async def _load_and_faults(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._load())
            for fault in self._faults:
                tasks.create_task(self._fault(fault))

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, self._began + at_s - time.monotonic()))

    async def _fault(self, fault: Fault) -> None:
        await self._until(fault.at_s)
        await self._world.happen(fault)
        if fault.kind != "crash":  # those are counted when they died
            self._outcome.faults[f"{fault.kind} {fault.target.partition('-')[0]}"] += 1

    async def _load(self) -> None:
        entries = self._offer.entries
        for done, entry in enumerate(entries, 1):
            await self._until(entry.at_s)
            await self._add(entry)
            if not done % 10 or done == len(entries):
                self._tell(f"load, {self._outcome.faults.total()} faults", done, len(entries))

    async def _add(self, entry: Entry) -> None:
        """Write it until it is certain that it is there: Redis may be away, or its answer may be lost with it."""
        for name, total in zip(NAMES, entry.totals, strict=True):
            place = (entry.station, name)
            self._told[place] = max(total, self._told.get(place, 0))
        while True:
            if await asyncio.to_thread(self._added, entry):
                return
            await asyncio.sleep(AGAIN_S)

    def _added(self, entry: Entry) -> bool:
        try:
            return self._world.add(entry)
        except RedisError:
            return False

    async def _watch(self) -> None:
        for looks in itertools.count():
            self._world.look()
            if not looks % round(CHECK_S / LOOK_S):
                await self._check()
            await asyncio.sleep(LOOK_S)

    async def _check(self) -> None:
        """Note whether the platform holds more than somebody has told."""
        counted, by_interval = await asyncio.to_thread(self._world.consumer.sums)
        too_much = _above(counted, self._told) + _above(by_interval, self._offer.by_interval)
        self._too_much = max(self._too_much, too_much)

    async def _drain(self) -> None:
        changed, before = time.monotonic(), (-1, False)
        while True:
            settled = await asyncio.to_thread(self._settled)
            arrivals = self._world.consumer.arrivals
            now = (arrivals.messages + arrivals.duplicates, settled)
            if now != before:
                changed, before = time.monotonic(), now
            quiet_s = time.monotonic() - changed
            sums, by_interval = await asyncio.to_thread(self._world.consumer.sums)
            whole = (sums, by_interval) == (self._offer.totals, self._offer.by_interval)
            if quiet_s > (QUIET_S if settled and whole else SILENCE_S):
                return
            self._tell(
                "draining",
                sum(min(sums.get(place, 0), total) for place, total in self._offer.totals.items()),
                sum(self._offer.totals.values()),
            )
            await asyncio.sleep(LOOK_S)

    def _settled(self) -> bool:
        try:
            return self._world.settled(self._offer.entries)
        except RedisError:
            return False

    async def _judge(self) -> None:
        outcome, world = self._outcome, self._world
        await self._check()
        counted, by_interval = world.consumer.sums()
        outcome.lost = _above(self._offer.totals, counted) + _above(self._offer.by_interval, by_interval)
        outcome.unexpected = len(world.consumer.rejected) + self._too_much
        outcome.acknowledged = world.acknowledged([entry for entry in self._offer.entries if not entry.copy])
        arrivals = world.consumer.arrivals
        outcome.duplicates_visible, outcome.messages = arrivals.duplicates, arrivals.messages
        outcome.order_violations = arrivals.order_violations
        for bridge in world.bridges.values():
            outcome.faults["crash bridge"] += bridge.crashes
            outcome.broke += bridge.broke


def _above(some: Sums, others: Sums) -> int:
    """By how much, all in all, `some` are more than `others`."""
    return sum(max(0, total - others.get(place, 0)) for place, total in some.items())


async def run_chaos(
    checkout: Path,
    directory: Path,
    offer: Offer,
    faults: Sequence[Fault],
    bridges: int,
    *,
    postgresql: bool,
    disk: bool,
    grpc: bool,
    seed: int,
    tell: Tell,
) -> Outcome:
    """A run with everything that it needs in `directory`. Raises ZaehlwerkError for what cannot be run here."""
    tell("starting", 0, 1)
    async with World(
        checkout, directory, bridges, postgresql=postgresql, disk=disk, grpc=grpc, seed=seed
    ) as world:
        return await Run(world, offer, faults, tell=tell).run()
