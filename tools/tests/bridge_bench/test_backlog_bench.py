"""The bench of a backlog: what its platform holds against the offer, and a small run with real programs."""

from __future__ import annotations

import json

import pytest

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_tools.bridge_bench import command
from zaehlwerk_tools.bridge_bench.backlog import bench_backlog
from zaehlwerk_tools.bridge_bench.offered import Offer
from zaehlwerk_tools.bridge_bench.tally import Tally

NOW_S = 1_782_000_450


def message(
    number: int, counts: tuple[int, ...], *, station: int = 0, revision: int = 1, resolution: str = "interval"
) -> bytes:
    record = {
        "id": f"station-{station}.5de00000.{number}",
        "revision": revision,
        "resolution": resolution,
        "channels": [{"count": count} for count in counts],
    }
    return json.dumps({"records": [record]}).encode()


def tally() -> Tally:
    """Two stations, two intervals from number 100 on."""
    made = Tally(4, 2, 100)
    for number in (100, 101):
        for station in (0, 1):
            made.offer((f"station-{station}", number), (number, station))
    return made


def test_nothing_is_lost_when_each_interval_came_once_or_twice() -> None:
    held = tally()
    for number in (101, 100, 100):
        for station in (0, 1):
            held.take(message(number, (number, station), station=station))
    assert (held.intervals, held.lost(), held.strange) == (4, 0, 0)


def test_what_did_not_come_or_says_something_else_in_its_highest_revision_is_lost() -> None:
    held = tally()
    held.take(message(100, (100, 0)))
    held.take(message(100, (100, 1), station=1, revision=2))
    held.take(message(100, (7, 7), station=1, revision=1))
    held.take(message(101, (101, 9), revision=3))
    assert (held.intervals, held.lost()) == (3, 2)


def test_a_span_over_what_was_offered_is_strange_and_one_before_it_is_not() -> None:
    held = tally()
    held.take(message(99, (5000, 6000), resolution="span"))
    held.take(message(102, (1, 1)))
    assert held.strange == 0
    held.take(message(100, (100, 0), resolution="span"))
    assert (held.strange, held.lost()) == (1, 4)


def test_an_offer_begins_with_the_interval_that_it_names() -> None:
    offer = Offer(40, NOW_S)
    places = [entry.place for entry in offer.counts()]
    assert places[0] == ("station-0", offer.first)


@pytest.mark.timeout(180)
def test_a_backlog_piles_up_without_a_broker_and_is_whole_when_it_comes_back() -> None:
    told: set[str] = set()
    figures = bench_backlog(ROOT, 300, lambda what, _done, _all: told.add(what))
    assert (figures["messages"], figures["lost"]) == (300, 0)
    assert told == {"storing", "draining"}
    assert figures["rss_mb_first"] > 0  # type: ignore[operator]
    assert figures["database_mb"] > 0  # type: ignore[operator]
    series = figures["rss_mb_series"]
    assert [at for at, _ in series] == sorted(at for at, _ in series)  # type: ignore[attr-defined]
    assert all(mb > 0 for _, mb in series)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("flat", "lost", "status"),
    [(True, 0, command.EXIT_NOTHING_LOST), (False, 0, command.EXIT_LOST), (True, 1, command.EXIT_LOST)],
)
def test_memory_that_grows_and_messages_that_are_lost_are_told_by_the_exit_status(
    flat: bool, lost: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "bench_backlog", lambda *_: {"flat": flat, "lost": lost})
    assert command.run_backlog(10, as_json=True) == status


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_memory_stays_flat_over_a_backlog_of_two_hundred_thousand() -> None:
    figures = bench_backlog(ROOT, 200_000, lambda *_: None)
    assert figures["lost"] == 0
    assert figures["flat"], figures["rss_mb_series"]
