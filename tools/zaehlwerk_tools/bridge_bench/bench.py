"""`zaehlwerk bench bridge`: a backlog in Redis, let go; then single messages at an easy pace, for their latency."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.bridge_bench.contestant import READY_S, Contestant
from zaehlwerk_tools.bridge_bench.offered import Entry, Offer
from zaehlwerk_tools.bridge_bench.redis_server import HOST, STREAM, RedisProcess, find_redis
from zaehlwerk_tools.bridge_bench.taker import Taker, lost, place_of
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.plan import Broker

PREFIX = "bench"
PACED_MOST = 200
"""Messages whose latency is measured, at most; a tenth of the backlog where that is less, and one at least."""
PACE_S = 0.02
"""Between two of them: fifty in a second, which no station of a city's thousand would notice."""
HISTORY = 1_000_000
"""ChirpStack's `device_event_log_max_history`: it holds the backlog."""
WRITTEN_AT_ONCE = 1000

_BRIDGE_TOML = """\
id = "bench"
prefix = "{prefix}"
source = "redis"
database = "bridge.sqlite"
[chirpstack]
server = "{host}:1"
tenants = ["52f14cd4-c6f1-4fbd-8f87-4025e1d49242"]
api_key_file = "api.key"
insecure = true
[redis]
server = "{host}:{redis}"
insecure = true
[mqtt]
host = "{host}"
port = {broker}
insecure = true
[healing]
enabled = false
[http]
port = 0
[log]
level = "warning"
"""

Tell = Callable[[str, int, int], None]
"""(what is being done, done of it, all of it)"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run's figures. `answers`: by an entry's key, topic and payload that came of it."""

    messages_per_s: float
    lost: int
    cpu_s_per_1000: float
    rss_mb: float
    latencies_ms: Sequence[float]
    answers: dict[str, tuple[str, str]]


def bench_bridge(
    checkout: Path, messages: int, runs: int, peers: Sequence[str], tell: Tell
) -> dict[str, object]:
    """The medians of `runs` runs, the bridge's and its peers' by turns. Raises ZaehlwerkError for what cannot be run.

    `lost` is the sum over all runs, and latencies are quantiles of all runs' messages together.
    """
    redis = find_redis(checkout)
    now_s = int(time.time())  # of all runs: peers are offered the same bytes
    bridge: list[Run] = []
    naive: list[Run] = []
    for number in range(1, runs + 1):
        with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
            bridge.append(
                asyncio.run(
                    _bridge(
                        redis, Path(name), _offered(messages, now_s), _labelled(tell, "bridge", number, runs)
                    )
                )
            )
        if "naive" in peers:
            with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
                told = _labelled(tell, "naive", number, runs)
                naive.append(
                    asyncio.run(
                        _naive(redis, Path(name), _offered(messages, now_s), bridge[-1].answers, told)
                    )
                )
    latencies = sorted(one for run in bridge for one in run.latencies_ms)
    return {
        "messages": messages,
        **_medians(bridge),
        "latency_ms_p50": _quantile(latencies, 0.50),
        "latency_ms_p99": _quantile(latencies, 0.99),
        "peers": {"naive": _medians(naive)} if naive else {},
    }


@dataclass(frozen=True, slots=True)
class _Offered:
    """What one run is given, in the order of the stream: status frames, then the backlog, then single ones."""

    greetings: Sequence[Entry]
    backlog: Sequence[Entry]
    single: Sequence[Entry]


def _offered(messages: int, now_s: int) -> _Offered:
    offer = Offer(messages + max(1, min(PACED_MOST, messages // 10)), now_s)
    greetings, counts = list(offer.greetings()), list(offer.counts())
    return _Offered(greetings, counts[:messages], counts[messages:])


async def _bridge(redis_program: Path, folder: Path, offered: _Offered, tell: Tell) -> Run:
    greetings, backlog, single = offered.greetings, offered.backlog, offered.single
    async with await BrokerProcess.start(folder) as broker:
        with RedisProcess(redis_program, folder / "redis", _free_port()) as redis:
            taker = Taker(broker.address, PREFIX)
            try:
                with Contestant(
                    "the bridge", _bridge_words(folder, redis, broker.address), folder / "log"
                ) as bridge:
                    _write(redis, greetings)
                    taker.wait(
                        len(greetings), lambda done: tell("starting", done, len(greetings)), bridge.check
                    )
                    if len(taker.messages) < len(greetings):
                        raise ZaehlwerkError(f"the bridge took no status frames in {READY_S:.0f} s")
                    bridge.settled()
                    taker.messages.clear()  # what was counted before the first totals
                    per_s, cpu_s = _drain(redis, bridge, taker, backlog, tell)
                    written = _pace(redis, single, tell)
                    taker.wait(len(backlog) + len(single), lambda _: None, bridge.check)
                    rss_mb = bridge.rss_mb
            finally:
                taker.close()
    took = taker.messages
    arrived = {place_of(record): one for one in took for record in json.loads(one.payload)["records"]}
    return Run(
        per_s,
        lost([*backlog, *single], took),
        cpu_s * 1000 / len(backlog),
        rss_mb,
        [1000 * (arrived[place].at - at) for place, at in written.items() if place in arrived],
        {
            entry.key: (arrived[entry.place].topic, arrived[entry.place].payload.decode())
            for entry in backlog
            if entry.place is not None and entry.place in arrived
        },
    )


async def _naive(
    redis_program: Path, folder: Path, offered: _Offered, answers: dict[str, tuple[str, str]], tell: Tell
) -> Run:
    backlog = offered.backlog
    known = folder / "answers.json"
    known.write_text(json.dumps(answers), encoding="utf-8")
    async with await BrokerProcess.start(folder) as broker:
        with RedisProcess(redis_program, folder / "redis", _free_port()) as redis:
            taker = Taker(broker.address, PREFIX)
            words = [sys.executable, "-m", "zaehlwerk_tools.bridge_bench.naive", str(redis.port)]
            words += [str(broker.address.port), str(known), str(folder / "naive.sqlite")]
            try:
                with Contestant("the peer naive", words, folder / "log") as peer:
                    _wait_for_group(redis, peer)
                    per_s, cpu_s = _drain(redis, peer, taker, backlog, tell)
                    rss_mb = peer.rss_mb
            finally:
                taker.close()
    return Run(per_s, lost(backlog, taker.messages), cpu_s * 1000 / len(backlog), rss_mb, (), {})


def _drain(
    redis: RedisProcess, contestant: Contestant, taker: Taker, backlog: Sequence[Entry], tell: Tell
) -> tuple[float, float]:
    """Lay out the backlog before a contestant that is held, let it go; messages a second, and seconds of processor."""
    contestant.hold()
    _write(redis, backlog)
    before_s = contestant.cpu_s
    began = time.monotonic()
    contestant.go()
    taker.wait(len(backlog), lambda done: tell("draining", done, len(backlog)), contestant.check)
    if not taker.messages:
        raise ZaehlwerkError(f"nothing came of {len(backlog)} messages")
    took_s = taker.messages[-1].at - began
    contestant.settled()
    return len(taker.messages) / took_s, contestant.cpu_s - before_s


def _pace(redis: RedisProcess, entries: Sequence[Entry], tell: Tell) -> dict[tuple[str, int], float]:
    """Write entries one by one; returns when each was written, by its place, on the monotonic clock."""
    written = {}
    for done, entry in enumerate(entries, 1):
        assert entry.place is not None
        written[entry.place] = time.monotonic()
        _write(redis, [entry])
        tell("pacing", done, len(entries))
        time.sleep(PACE_S)
    return written


def _write(redis: RedisProcess, entries: Sequence[Entry]) -> None:
    for at in range(0, len(entries), WRITTEN_AT_ONCE):
        pipeline = redis.client.pipeline(transaction=False)
        for entry in entries[at : at + WRITTEN_AT_ONCE]:
            pipeline.xadd(STREAM, {"up": entry.value}, id=entry.id, maxlen=HISTORY, approximate=False)
        pipeline.execute()


def _wait_for_group(redis: RedisProcess, peer: Contestant) -> None:
    deadline = time.monotonic() + READY_S
    while not redis.client.exists(STREAM):
        peer.check()
        if time.monotonic() > deadline:
            raise ZaehlwerkError(f"{peer.name} made no consumer group in {READY_S:.0f} s")
        time.sleep(0.05)


def _bridge_words(folder: Path, redis: RedisProcess, broker: Broker) -> list[str]:
    (folder / "api.key").write_text("none is needed: nothing is sent to nodes\n", encoding="utf-8")
    config = folder / "bridge.toml"
    config.write_text(
        _BRIDGE_TOML.format(prefix=PREFIX, host=HOST, redis=redis.port, broker=broker.port), encoding="utf-8"
    )
    return [sys.executable, "-m", "zaehlwerk_bridge", "run", "--config", str(config)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _labelled(tell: Tell, who: str, number: int, runs: int) -> Tell:
    return lambda what, done, all_of_it: tell(f"{who} {number}/{runs}: {what}", done, all_of_it)


def _medians(runs: Sequence[Run]) -> dict[str, object]:
    return {
        "messages_per_s": round(statistics.median(run.messages_per_s for run in runs)),
        "lost": sum(run.lost for run in runs),
        "cpu_s_per_1000": round(statistics.median(run.cpu_s_per_1000 for run in runs), 3),
        "rss_mb": round(statistics.median(run.rss_mb for run in runs), 1),
    }


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that `share` of them do not exceed; None where there are none."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None
