"""What the bridge's bench offers, checks, measures and refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from chirpstack_api import api, integration

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_bridge.sources.item import to_event
from zaehlwerk_tools.bridge_bench.bench import bench_bridge
from zaehlwerk_tools.bridge_bench.command import run
from zaehlwerk_tools.bridge_bench.offered import Entry, Offer
from zaehlwerk_tools.bridge_bench.peers.naive_peer import Naive
from zaehlwerk_tools.bridge_bench.taker import Taken, lost
from zaehlwerk_tools.errors import ZaehlwerkError

NOW_S = 1_782_000_450
FIGURES = {"messages_per_s", "lost", "cpu_s_per_1000", "rss_mb"}


def message(entry: Entry, *, revision: int = 1, add: int = 0) -> Taken:
    assert entry.place is not None
    slug, number = entry.place
    record = {
        "id": f"{slug}.5de00000.{number}",
        "revision": revision,
        "resolution": "interval",
        "channels": [{"count": count + add} for count in entry.counts],
    }
    payload = json.dumps({"station": slug, "records": [record], "supersedes": []})
    return Taken(0.0, f"bench/v1/{slug}/count", payload.encode())


def offered() -> Sequence[Entry]:
    return list(Offer(40, NOW_S).counts())


def test_entries_rise_and_none_is_of_the_future() -> None:
    offer = Offer(40, NOW_S)
    entries = [*offer.greetings(), *offer.counts()]
    times = [int(entry.id.partition("-")[0]) for entry in entries]
    assert times == sorted(times)
    assert times[-1] < NOW_S * 1000
    assert len({entry.key for entry in entries}) == offer.stations + 40


def test_a_greeting_and_a_count_are_uplinks_of_their_station_with_its_tags() -> None:
    offer = Offer(40, NOW_S)
    greeting, count = next(iter(offer.greetings())), next(iter(offer.counts()))
    for entry, f_cnt in ((greeting, 1), (count, 2)):
        event = integration.UplinkEvent.FromString(entry.value)
        assert (
            entry.key
            == f"{event.device_info.dev_eui}/{f_cnt}"
            == f"{event.device_info.dev_eui}/{event.f_cnt}"
        )
        assert event.device_info.tags["station"] == "Station 0"
    assert greeting.place is None
    assert count.place is not None


def test_nothing_is_lost_when_everything_came_once_or_twice() -> None:
    entries = offered()
    assert lost(entries, [message(entry) for entry in entries] + [message(entries[0])]) == 0


def test_what_did_not_come_or_says_something_else_in_its_highest_revision_is_lost() -> None:
    entries = offered()
    came = [message(entry) for entry in entries[1:]]
    assert lost(entries, came) == 1
    assert lost(entries, [*came, message(entries[0], add=1)]) == 1
    assert lost(entries, [*came, message(entries[0], revision=2), message(entries[0], add=1)]) == 0


def test_an_interval_that_nobody_offered_is_refused() -> None:
    entries = offered()
    with pytest.raises(ZaehlwerkError, match="which nobody offered"):
        lost(entries[1:], [message(entries[0])])


@pytest.mark.parametrize(
    ("messages", "source", "runs", "peers", "told"),
    [
        (9, "redis", None, [], "--messages 9: 10 at least"),
        (10, "pigeon", None, [], "--source pigeon: known are redis, grpc"),
        (10, "redis", None, ["toaster"], "--peer toaster: known are naive, benthos, node-red"),
        (10, "redis", 0, [], "--runs 0: 1 at least"),
        (10, "redis", 4, ["naive"], "--runs 4: 5 at least where a peer is compared"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    messages: int, source: str, runs: int | None, peers: list[str], told: str
) -> None:
    with pytest.raises(ZaehlwerkError, match=told):
        run(messages, source, runs, peers, as_json=True)


def test_an_item_of_a_stream_tells_the_same_uplink_as_an_entry() -> None:
    entry = offered()[0]
    item = api.LogItem.FromString(entry.log_item())
    event = to_event("grpc", entry.dev_eui, item.id, item.description, item.body, 100_000)
    whole = integration.UplinkEvent.FromString(entry.value)
    assert event is not None
    assert (event.problem, event.cursor, event.payload) == ("", entry.id, whole.data)
    assert event.tags == dict(whole.device_info.tags)
    assert (event.f_cnt, event.f_port, event.gateways) == (whole.f_cnt, whole.f_port, len(whole.rx_info))


@pytest.mark.timeout(180)
def test_bridge_and_peer_drain_a_small_backlog_from_redis_and_lose_nothing() -> None:
    told: list[tuple[str, int, int]] = []
    figures = bench_bridge(
        ROOT, "redis", 30, 1, [Naive()], lambda what, done, total: told.append((what, done, total))
    )
    assert set(figures) == {
        "source",
        "messages",
        *FIGURES,
        "latency_ms_p50",
        "latency_ms_p99",
        "latency_at_per_s",
        "load_before",
        "peers",
        "peers_also",
    }
    assert (figures["source"], figures["messages"], figures["lost"]) == ("redis", 30, 0)
    assert figures["messages_per_s"] > 0  # type: ignore[operator]
    assert figures["peers"]["naive"] > 0  # type: ignore[index]
    also = figures["peers_also"]["naive"]  # type: ignore[index]
    assert set(also) == FIGURES - {"messages_per_s"}
    assert also["lost"] == 0
    assert ("bridge 1/1: draining", 30, 30) in told
    assert ("naive 1/1: draining", 30, 30) in told


@pytest.mark.timeout(180)
def test_the_bridge_drains_a_small_backlog_from_grpc_and_loses_nothing() -> None:
    told: list[tuple[str, int, int]] = []
    figures = bench_bridge(
        ROOT, "grpc", 30, 1, [], lambda what, done, total: told.append((what, done, total))
    )
    assert (figures["source"], figures["messages"], figures["lost"]) == ("grpc", 30, 0)
    assert figures["messages_per_s"] > 0  # type: ignore[operator]
    assert figures["peers"] == {}
    assert ("bridge 1/1: draining", 30, 30) in told
