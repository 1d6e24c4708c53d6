"""Whose records are reconciled together: those of the same epochs, found without reading all records of a station."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.tests.ledger.frames import Device, at
from bridge.tests.ledger.node import Node
from bridge.tests.ledger.test_exactness import lives
from zaehlwerk_bridge.checkpoint import is_epoch
from zaehlwerk_bridge.ledger.record import read_id
from zaehlwerk_bridge.store import Store

RESERVES = ("reserve", "reserve_line", "reserve_span")


def standing(store: Store) -> dict[str, set[str]]:
    """By station those that have records of the same epochs, itself among them: read from the records that stand."""
    rows = store._database.execute("SELECT id FROM record WHERE live = 1").fetchall()
    names = [read_id(record) for (record,) in rows]
    at_epoch: dict[int, set[str]] = {}
    for name in names:
        at_epoch.setdefault(name.epoch, set()).add(name.station)
    company: dict[str, set[str]] = {}
    for name in names:
        company.setdefault(name.station, set()).update(at_epoch[name.epoch])
    return company


def grouped(store: Store) -> dict[str, set[str]]:
    """By station those with which it would be reconciled, if none had been."""
    store._database.execute("UPDATE station SET verified = 0")
    slugs = [slug for (slug,) in store._database.execute("SELECT slug FROM station").fetchall()]
    return {slug: set().union(*store.unverified_groups([slug])) for slug in slugs}


@given(lives, st.integers(0, 1 << 32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whoever_has_standing_records_of_the_same_epoch_is_in_company_at_every_moment(
    node: Node, seed: int
) -> None:
    """Moved, renamed, healed, acknowledged or not: nothing that stands is left out."""
    dice = random.Random(seed)
    store = Store(":memory:")
    for event in node.events:
        store.settle(event.received_ns - 1)
        store.commit([event], event.received_ns)
        if dice.random() < 0.3:
            store.acknowledged([row.seq for row in store.outbox(0, 1 << 30)])
        if dice.random() < 0.2:
            groups = grouped(store)
            for station, company in standing(store).items():
                assert company <= groups[station]
    store.close()


@pytest.mark.parametrize("reserved", [True, False])
def test_stations_of_a_moved_node_are_in_company_also_where_an_earlier_version_told_of_them(
    *, reserved: bool
) -> None:
    store, device, other = Store(":memory:"), Device(), Device("0102030405060709", station="Ring")
    store.commit([device.status(0, 10), device.count(1, 12)], at(1))
    store.commit([other.status(0, 10, epoch=2), other.count(1, 12)], at(1))
    device.tags = {**device.tags, "station": "Burgstraße"}
    store.commit([device.count(2, 14)], at(2))
    if not reserved:
        for table in RESERVES:
            store._database.execute(f"DELETE FROM {table}")
    moved = {"neutor", "burgstrasse"}
    stations = {
        slug: {name for name in company if not is_epoch(name)} for slug, company in grouped(store).items()
    }
    assert stations == {"neutor": moved, "burgstrasse": moved, "ring": {"ring"}}


def steps(store: Store) -> int:
    """What SQLite does to find a station's company, in steps of its virtual machine."""
    made = 0

    def step() -> int:
        nonlocal made
        made += 1
        return 0

    store._database.execute("UPDATE station SET verified = 0")
    store._database.set_progress_handler(step, 1)
    try:
        assert store.unverified_groups(["neutor"]) != []
    finally:
        store._database.set_progress_handler(None, 1)
    return made


def test_finding_a_stations_company_takes_no_longer_the_longer_it_counts() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), *(device.count(n, 10 + n) for n in range(1, 30))], at(30))
    few = steps(store)
    store.commit([device.count(n, 10 + n) for n in range(30, 1500)], at(1500))
    assert steps(store) <= 2 * few
