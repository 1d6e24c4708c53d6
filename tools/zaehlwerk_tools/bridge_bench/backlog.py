"""`zaehlwerk bench backlog`: the broker is gone while messages come; then it is there. What the bridge's memory does."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from zaehlwerk_tools.bridge_bench.bench import WRITTEN_AT_ONCE, write
from zaehlwerk_tools.bridge_bench.bridge_process import HOST, PREFIX, bridge_contestant
from zaehlwerk_tools.bridge_bench.contestant import Contestant
from zaehlwerk_tools.bridge_bench.offered import Entry, Offer
from zaehlwerk_tools.bridge_bench.redis_server import STREAM, RedisProcess, find_redis
from zaehlwerk_tools.bridge_bench.tally import Tally, TallyTaker
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.free_port import free_port
from zaehlwerk_tools.plan import Broker

FIRST = 100_000
"""After so many messages (a tenth, where that is less) all caches are full: what memory takes then it may take."""
FLAT_MB = 32.0
"""So much more at most, however many come: the heap's own unevenness."""
AHEAD = 20_000
"""Messages that Redis holds for the bridge, about; more are made when it has stored some."""
HISTORY = 5 * AHEAD
"""Entries that Redis keeps: the bench must not need more memory for more messages either."""
SAMPLES = 40
STILL_S = 120.0
_LOOK_S = 0.1

Tell = Callable[[str, int, int], None]
"""(what is being done, done of it, all of it)"""


def bench_backlog(checkout: Path, messages: int, tell: Tell) -> dict[str, object]:
    """A backlog of `messages` on the bridge's disk, and its end. Raises ZaehlwerkError for what cannot be run."""
    redis = find_redis(checkout)
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
        return asyncio.run(_Backlog(redis, Path(name), messages, tell).run())


class _Backlog:
    def __init__(self, redis_program: Path, folder: Path, messages: int, tell: Tell) -> None:
        self._redis_program = redis_program
        self._folder = folder
        self._messages = messages
        self._tell = tell
        self._offer = Offer(messages, int(time.time()))
        self._tally = Tally(messages, self._offer.stations, self._offer.first)
        self._series: list[tuple[int, float]] = []
        self._first_mb = 0.0

    async def run(self) -> dict[str, object]:
        port = free_port()  # where the broker is not, yet
        with (
            RedisProcess(self._redis_program, self._folder / "redis", free_port()) as redis,
            bridge_contestant(self._folder, Broker(HOST, port), redis_port=redis.port) as bridge,
        ):
            began = time.monotonic()
            self._store(redis, bridge)
            stored_s = time.monotonic() - began
            rss_mb, database_mb = bridge.rss_mb, self._database_mb()
            began = time.monotonic()
            async with await BrokerProcess.start(self._folder, port) as broker:
                taker = TallyTaker(broker.address, PREFIX, self._tally)
                try:
                    self._drain(bridge, taker)
                finally:
                    taker.close()
            drained_s = time.monotonic() - began
            drained_mb, cpu_s = bridge.rss_mb, bridge.cpu_s
        messages = self._messages
        return {
            "messages": messages,
            "rss_mb_first": self._first_mb,
            "rss_mb": rss_mb,
            "rss_mb_drained": drained_mb,
            "flat": max(rss_mb, drained_mb) - self._first_mb <= FLAT_MB,
            "database_mb": database_mb,
            "stored_per_s": round(messages / stored_s),
            "drained_per_s": round(messages / drained_s),
            "cpu_s_per_1000": round(1000 * cpu_s / messages, 3),
            "seconds": round(stored_s + drained_s),
            "lost": self._tally.lost() + self._tally.strange,
            "rss_mb_series": self._series,
        }

    def _store(self, redis: RedisProcess, bridge: Contestant) -> None:
        """Offer everything, never far ahead of what the bridge has stored."""
        greetings = list(self._offer.greetings())
        write(redis, greetings)
        before = len(greetings)
        written, first = before, min(FIRST, self._messages // 10)
        waiting = iter(self._chunks())
        most, moved = -1, time.monotonic()
        while (stored := _stored(redis) - before) < self._messages:
            if not self._first_mb and stored >= first:
                self._first_mb = bridge.rss_mb
            self._sample(bridge, max(0, stored), "storing")
            if stored > most:
                most, moved = stored, time.monotonic()
            elif time.monotonic() - moved > STILL_S:
                raise ZaehlwerkError(f"the bridge stores nothing more after {stored} messages")
            chunk = next(waiting, None) if written - before - stored < AHEAD else None
            if chunk is None:
                time.sleep(_LOOK_S)
                continue
            write(redis, chunk, history=HISTORY)
            written += len(chunk)
        self._first_mb = self._first_mb or bridge.rss_mb  # few messages are all stored at one look

    def _chunks(self) -> Iterator[list[Entry]]:
        counts = self._offer.counts()
        while chunk := list(islice(counts, WRITTEN_AT_ONCE)):
            for entry in chunk:
                assert entry.place is not None
                self._tally.offer(entry.place, entry.counts)
            yield chunk

    def _drain(self, bridge: Contestant, taker: TallyTaker) -> None:
        most, moved = -1, time.monotonic()
        while (taken := self._tally.intervals) < self._messages:
            self._sample(bridge, self._messages + taken, "draining")
            if taken > most:
                most, moved = taken, time.monotonic()
            elif time.monotonic() - moved > STILL_S:
                return  # what is missing by now is lost
            taker.check()
            time.sleep(_LOOK_S)

    def _sample(self, bridge: Contestant, at: int, what: str) -> None:
        bridge.check()
        self._tell(what, at if what == "storing" else at - self._messages, self._messages)
        if not self._series or at - self._series[-1][0] >= 2 * self._messages / SAMPLES:
            self._series.append((at, bridge.rss_now_mb))

    def _database_mb(self) -> float:
        return round(sum(file.stat().st_size for file in self._folder.glob("bridge.sqlite*")) / 1e6, 1)


def _stored(redis: RedisProcess) -> int:
    """Entries that the bridge has acknowledged: they are on its disk."""
    if not redis.client.exists(STREAM):
        return 0
    groups: Any = redis.client.xinfo_groups(STREAM)
    return sum((group["entries-read"] or 0) - group["pending"] for group in groups)
