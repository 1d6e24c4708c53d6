"""Whether a run of chaos sees what goes wrong: what is lost, told twice, out of order, or refused; and one short real run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_tools.chaos import command
from zaehlwerk_tools.chaos.bridge_program import Bridge
from zaehlwerk_tools.chaos.consumer import Arrivals, Documented, Sums
from zaehlwerk_tools.chaos.offered import Entry, Offer
from zaehlwerk_tools.chaos.run import Outcome, Run
from zaehlwerk_tools.chaos.world import World
from zaehlwerk_tools.errors import ZaehlwerkError

STATION = "chaos-1"
BY_INTERVAL = {(STATION, "in"): 4, (STATION, "out"): 5}
TOTALS = {(STATION, "in"): 7, (STATION, "out"): 9}
OFFER = Offer(
    [Entry(0.0, "1-0", b"", False, STATION, (7, 9)), Entry(0.0, "2-0", b"", True, STATION, (7, 9))],
    TOTALS,
    BY_INTERVAL,
)


@dataclass
class StandInConsumer:
    held: Sums
    by_interval: Sums = field(default_factory=lambda: dict(BY_INTERVAL))
    arrivals: Arrivals = field(default_factory=Arrivals)
    rejected: list[str] = field(default_factory=list)

    def sums(self) -> tuple[Sums, Sums]:
        return self.held, self.by_interval


@dataclass
class StandInWorld:
    """Where nothing runs: what was acknowledged and what the platform holds is as the test says."""

    consumer: StandInConsumer
    taken: int = 1
    bridges: dict[str, Bridge] = field(default_factory=dict)

    def acknowledged(self, entries: Sequence[Entry]) -> int:
        return min(self.taken, len(entries))


async def judged(world: StandInWorld) -> Outcome:
    run = Run(cast(World, world), OFFER, [], tell=lambda *_: None)
    run._told = dict(TOTALS)
    await run._judge()
    return run._outcome


def message(revision: int, count: int, *supersedes: str, name: str = "a") -> bytes:
    channel = {
        "name": "in",
        "class": "bicycle",
        "direction": "in",
        "count": count,
        "coverage": 1.0,
        "quality": "ok",
    }
    record = {
        "id": name,
        "revision": revision,
        "start": None,
        "end": None,
        "resolution": "interval",
        "channels": [channel],
    }
    return json.dumps({"station": STATION, "records": [record], "supersedes": supersedes}).encode()


async def test_what_was_told_and_is_held_is_good() -> None:
    outcome = await judged(StandInWorld(StandInConsumer(dict(TOTALS))))
    assert outcome.good
    assert (outcome.offered, outcome.acknowledged, outcome.lost, outcome.unexpected) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("held", "lost", "unexpected"),
    [
        ({(STATION, "in"): 7}, 9, 0),
        ({**TOTALS, (STATION, "in"): 6}, 1, 0),
        ({**TOTALS, (STATION, "in"): 10}, 0, 3),
        ({**TOTALS, ("elsewhere", "in"): 2}, 0, 2),
        ({(STATION, "in"): 8, (STATION, "out"): 8}, 1, 1),
    ],
)
async def test_what_is_missing_is_lost_and_what_is_too_much_is_unexpected(
    held: Sums, lost: int, unexpected: int
) -> None:
    outcome = await judged(StandInWorld(StandInConsumer(held)))
    assert (outcome.lost, outcome.unexpected) == (lost, unexpected)
    assert not outcome.good


async def test_an_interval_that_was_told_and_is_in_a_span_only_is_lost_and_one_that_nobody_told_is_unexpected() -> (
    None
):
    """The sums are right in both cases."""
    lost = await judged(StandInWorld(StandInConsumer(dict(TOTALS), {**BY_INTERVAL, (STATION, "in"): 1})))
    assert (lost.lost, lost.unexpected) == (3, 0)
    more = await judged(StandInWorld(StandInConsumer(dict(TOTALS), {**BY_INTERVAL, (STATION, "in"): 6})))
    assert (more.lost, more.unexpected) == (0, 2)


async def test_what_the_platform_held_too_early_is_unexpected_although_it_is_right_in_the_end() -> None:
    world = StandInWorld(StandInConsumer(dict(TOTALS)))
    run = Run(cast(World, world), OFFER, [], tell=lambda *_: None)
    await run._check()
    run._told = dict(TOTALS)
    await run._judge()
    assert (run._outcome.lost, run._outcome.unexpected) == (0, sum(TOTALS.values()))
    assert not run._outcome.good


async def test_an_event_that_is_not_acknowledged_rejected_or_ends_a_bridge_is_not_good(
    tmp_path: Path,
) -> None:
    assert not (await judged(StandInWorld(StandInConsumer(dict(TOTALS)), taken=0))).good
    assert not (await judged(StandInWorld(StandInConsumer(dict(TOTALS), rejected=["{}"])))).good
    bridge = Bridge("bridge-1", ["false"], tmp_path / "bridge-1.log")
    bridge.broke.append("bridge-1 ended with 1")
    assert not (await judged(StandInWorld(StandInConsumer(dict(TOTALS)), bridges={"bridge-1": bridge}))).good


async def test_order_is_of_first_occurrences_by_revision() -> None:
    arrivals = Arrivals()
    for revision in (1, 2, 1, 4, 2, 3, 3):
        arrivals.note("t", message(revision, 5))
    assert (arrivals.messages, arrivals.duplicates, arrivals.order_violations) == (4, 3, 1)
    world = StandInWorld(StandInConsumer(dict(TOTALS), arrivals=arrivals))
    assert not (await judged(world)).good


def test_the_documents_sql_counts_what_comes_twice_once_and_takes_what_supersedes() -> None:
    documented = Documented(ROOT)
    for payload in (message(1, 5), message(1, 5), message(3, 6, "a", name="b"), message(2, 9)):
        documented.take(payload)
    assert documented.sums() == ({(STATION, "in"): 6}, {(STATION, "in"): 6})
    documented.close()


def test_a_checkout_without_the_document_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ZaehlwerkError, match="has not the SQL of a consumer"):
        Documented(tmp_path)


@pytest.mark.parametrize(
    ("minutes", "bridges", "store", "source", "says"),
    [
        (0.01, 1, None, "redis", "0.1 at least"),
        (1, 0, None, "redis", "1 to 9"),
        (1, 3, "sqlite", "redis", "need --store postgresql"),
        (1, 1, "paper", "redis", "known are sqlite, postgresql"),
        (1, 1, None, "mqtt", "known are redis, grpc"),
        (1, 3, None, "grpc", "several bridges need --source redis"),
    ],
)
def test_what_cannot_be_run_is_refused(
    minutes: float, bridges: int, store: str | None, source: str, says: str
) -> None:
    with pytest.raises(ZaehlwerkError, match=says):
        command.run(1, minutes, bridges, store, source=source, only_schedule=False, keep=False, as_json=True)


def test_the_schedule_can_be_told_beforehand(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        command.run(5, 1.0, 1, "postgresql", only_schedule=True, keep=False, as_json=True)
    told = capsys.readouterr().out.splitlines()
    assert told[: len(told) // 2] == told[len(told) // 2 :]
    assert set(json.loads(told[0])) == {"at_s", "kind", "target", "lasting_s", "how"}


@pytest.mark.long
@pytest.mark.timeout(280)
@pytest.mark.parametrize("source", command.SOURCES)
def test_a_short_run_loses_and_doubles_nothing(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = command.run(2, 0.3, 1, None, source=source, only_schedule=False, keep=False, as_json=True)
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: figures[name] for name in ("lost", "unexpected", "order_violations", "broke")} == {
        "lost": 0,
        "unexpected": 0,
        "order_violations": 0,
        "broke": [],
    }
    assert figures["offered"] == figures["acknowledged"] > 100
    assert sum(figures["faults"].values()) >= 3
    assert status == command.EXIT_KEPT
