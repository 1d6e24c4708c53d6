"""`zaehlwerk bench bridge`: a backlog at the source, let go; then single messages at an easy pace, for their latency."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.bridge_bench.bridge_process import PREFIX, bridge_contestant
from zaehlwerk_tools.bridge_bench.contestant import READY_S, Contestant
from zaehlwerk_tools.bridge_bench.offered import Entry, Offer
from zaehlwerk_tools.bridge_bench.peers.peer import Fields, Peer, unread
from zaehlwerk_tools.bridge_bench.redis_server import STREAM, RedisProcess, find_redis
from zaehlwerk_tools.bridge_bench.stream_process import StreamProcess
from zaehlwerk_tools.bridge_bench.taker import Taker, lost, place_of
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.free_port import free_port

PACED_PER_S = 100
"""Single messages are offered at this rate for their latency: a city of 30,000 counters has it."""
PACED_MOST = 1000
"""Messages whose latency is measured, at most; a tenth of the backlog where that is less, and one at least."""
HISTORY = 1_000_000
"""ChirpStack's `device_event_log_max_history`: it holds the backlog."""
WRITTEN_AT_ONCE = 1000

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
    paced_per_s: float
    """At which rate single messages were offered."""


def bench_bridge(
    checkout: Path, source: str, messages: int, runs: int, peers: Sequence[Peer], tell: Tell
) -> dict[str, object]:
    """The medians of `runs` runs, the bridge's and its peers' by turns. Raises ZaehlwerkError for what cannot be run.

    `source`: redis or grpc; peers read Redis in any case. `lost` is the sum over all runs, and latencies are quantiles
    of all runs' messages together.
    """
    redis = find_redis(checkout)
    load_before = round(os.getloadavg()[0], 1)  # work of others, which takes from all figures
    now_s = int(time.time())  # of all runs: peers are offered the same bytes
    bridge: list[Run] = []
    others: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    for number in range(1, runs + 1):
        with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
            told = _labelled(tell, "bridge", number, runs)
            bridge.append(asyncio.run(_bridge(redis, source, Path(name), _offered(messages, now_s), told)))
        for peer in peers:
            with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
                told = _labelled(tell, peer.name, number, runs)
                offered = _offered(messages, now_s)
                others[peer.name].append(
                    asyncio.run(_peer(peer, redis, Path(name), offered, bridge[-1].answers, told))
                )
    latencies = sorted(one for run in bridge for one in run.latencies_ms)
    of_peers = {name: _medians(of_one) for name, of_one in others.items()}
    return {
        "source": source,
        "messages": messages,
        **_medians(bridge),
        "latency_ms_p50": _quantile(latencies, 0.50),
        "latency_ms_p99": _quantile(latencies, 0.99),
        "latency_at_per_s": round(statistics.median(run.paced_per_s for run in bridge), 1),
        "load_before": load_before,
        "peers": {name: of_one["messages_per_s"] for name, of_one in of_peers.items()},
        "peers_also": {
            name: {what: value for what, value in of_one.items() if what != "messages_per_s"}
            for name, of_one in of_peers.items()
        },
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


async def _bridge(redis_program: Path, source: str, folder: Path, offered: _Offered, tell: Tell) -> Run:
    greetings, backlog, single = offered.greetings, offered.backlog, offered.single
    async with await BrokerProcess.start(folder) as broker:
        with contextlib.ExitStack() as stack:
            upstream: RedisProcess | StreamProcess
            redis_port = grpc_port = None
            if source == "grpc":
                stations = len(greetings)
                upstream = stack.enter_context(StreamProcess(stations, folder))
                grpc_port = upstream.port
            else:
                upstream = stack.enter_context(RedisProcess(redis_program, folder / "redis", free_port()))
                redis_port = upstream.port
            taker = Taker(broker.address, PREFIX)
            stack.callback(taker.close)
            bridge = stack.enter_context(
                bridge_contestant(folder, broker.address, redis_port=redis_port, grpc_port=grpc_port)
            )
            write(upstream, greetings)
            taker.wait(len(greetings), lambda done: tell("starting", done, len(greetings)), bridge.check)
            if len(taker.messages) < len(greetings):
                raise ZaehlwerkError("the bridge did not take all status frames")
            bridge.settled()
            taker.messages.clear()  # what was counted before the first totals
            per_s, cpu_s = _drain(upstream, bridge, taker, backlog, tell)
            written, paced_per_s = _pace(upstream, single, tell)
            taker.wait(len(backlog) + len(single), lambda _: None, bridge.check)
            rss_mb = bridge.rss_mb
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
        paced_per_s,
    )


async def _peer(
    peer: Peer,
    redis_program: Path,
    folder: Path,
    offered: _Offered,
    answers: dict[str, tuple[str, str]],
    tell: Tell,
) -> Run:
    backlog = offered.backlog
    async with await BrokerProcess.start(folder) as broker:
        with RedisProcess(redis_program, folder / "redis", free_port()) as redis:
            taker = Taker(broker.address, PREFIX)
            try:
                words = peer.words(folder, redis.port, broker.address, answers)
                with Contestant(f"the peer {peer.name}", words, folder / "log") as contestant:
                    _wait_for_group(redis, contestant)
                    per_s, cpu_s = _drain(redis, contestant, taker, backlog, tell, _laid_out(peer, answers))
                    rss_mb = contestant.rss_mb
            finally:
                taker.close()
    return Run(per_s, lost(backlog, taker.messages), cpu_s * 1000 / len(backlog), rss_mb, (), {}, 0.0)


def _drain(
    upstream: RedisProcess | StreamProcess,
    contestant: Contestant,
    taker: Taker,
    backlog: Sequence[Entry],
    tell: Tell,
    fields: Callable[[Entry], Fields] = unread,
) -> tuple[float, float]:
    """Lay out the backlog before a contestant that is held, let it go; messages a second, and seconds of processor."""
    contestant.hold()
    write(upstream, backlog, fields)
    before_s = contestant.cpu_s
    began = time.monotonic()
    contestant.go()
    taker.wait(len(backlog), lambda done: tell("draining", done, len(backlog)), contestant.check)
    if not taker.messages:
        raise ZaehlwerkError(f"nothing came of {len(backlog)} messages")
    took_s = taker.messages[-1].at - began
    contestant.settled()
    return len(taker.messages) / took_s, contestant.cpu_s - before_s


def _pace(
    upstream: RedisProcess | StreamProcess, entries: Sequence[Entry], tell: Tell
) -> tuple[dict[tuple[str, int], float], float]:
    """Write entries one by one, each at its moment of a fixed pace: when each was written, by its place, on the
    monotonic clock, and how many a second it were."""
    written = {}
    began = time.monotonic()
    for done, entry in enumerate(entries):
        assert entry.place is not None
        time.sleep(max(0.0, began + done / PACED_PER_S - time.monotonic()))
        written[entry.place] = time.monotonic()
        write(upstream, [entry])
        tell("pacing", done + 1, len(entries))
    took_s = max(written.values()) - began + 1 / PACED_PER_S
    return written, len(entries) / took_s


def write(
    upstream: RedisProcess | StreamProcess,
    entries: Sequence[Entry],
    fields: Callable[[Entry], Fields] = unread,
    *,
    history: int = HISTORY,
) -> None:
    """Lay entries out. Of Redis: `fields` is what stands in each, `history` how many it keeps."""
    if isinstance(upstream, StreamProcess):
        upstream.write(entries)
        return
    for at in range(0, len(entries), WRITTEN_AT_ONCE):
        pipeline = upstream.client.pipeline(transaction=False)
        for entry in entries[at : at + WRITTEN_AT_ONCE]:
            pipeline.xadd(STREAM, fields(entry), id=entry.id, maxlen=history, approximate=False)
        pipeline.execute()


def _laid_out(peer: Peer, answers: Mapping[str, tuple[str, str]]) -> Callable[[Entry], Fields]:
    """What a peer finds in the stream; of what the bridge lost it is told nothing."""
    return lambda entry: peer.fields(entry, *answers[entry.key]) if entry.key in answers else unread(entry)


def _wait_for_group(redis: RedisProcess, peer: Contestant) -> None:
    deadline = time.monotonic() + READY_S
    while not redis.client.exists(STREAM):
        peer.check()
        if time.monotonic() > deadline:
            raise ZaehlwerkError(f"{peer.name} made no consumer group in {READY_S:.0f} s")
        time.sleep(0.05)


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
