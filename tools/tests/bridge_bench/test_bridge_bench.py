"""What the bridge's bench offers, checks, measures and refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from chirpstack_api import integration

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_tools.bridge_bench.bench import bench_bridge
from zaehlwerk_tools.bridge_bench.command import run
from zaehlwerk_tools.bridge_bench.offered import Entry, Offer
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
        (10, "grpc", None, [], "cannot measure it yet"),
        (10, "pigeon", None, [], "--source pigeon: known is redis"),
        (10, "redis", None, ["benthos"], "--peer benthos: this bench cannot start it"),
        (10, "redis", None, ["node-red"], "--peer node-red: this bench cannot start it"),
        (10, "redis", None, ["toaster"], "--peer toaster: known are naive"),
        (10, "redis", 0, [], "--runs 0: 1 at least"),
        (10, "redis", 4, ["naive"], "--runs 4: 5 at least where a peer is compared"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    messages: int, source: str, runs: int | None, peers: list[str], told: str
) -> None:
    with pytest.raises(ZaehlwerkError, match=told):
        run(messages, source, runs, peers, as_json=True)


@pytest.mark.timeout(120)
def test_bridge_and_peer_drain_a_small_backlog_and_lose_nothing() -> None:
    told: list[tuple[str, int, int]] = []
    figures = bench_bridge(ROOT, 30, 1, ["naive"], lambda what, done, total: told.append((what, done, total)))
    naive = figures["peers"]["naive"]  # type: ignore[index]
    assert set(figures) == {"messages", *FIGURES, "latency_ms_p50", "latency_ms_p99", "peers"}
    assert set(naive) == FIGURES
    assert (figures["messages"], figures["lost"], naive["lost"]) == (30, 0, 0)
    assert figures["messages_per_s"] > 0  # type: ignore[operator]
    assert ("bridge 1/1: draining", 30, 30) in told
    assert ("naive 1/1: draining", 30, 30) in told
