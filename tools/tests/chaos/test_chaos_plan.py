"""What a run of chaos offers and which faults it brings about: drawn from a seed, and complete."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from chirpstack_api import integration

from zaehlwerk_bridge.failpoints import FAILPOINTS
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.frames import decode
from zaehlwerk_tools.chaos.offered import HEADROOM, MODULUS, NAMES, STATIONS, Offer, clock_stepped, offer
from zaehlwerk_tools.chaos.schedule import (
    CLOCK,
    CRASH_POINTS,
    OF_REDIS,
    SERVER,
    SERVER_STEPS_S,
    Fault,
    possible,
    schedule,
    server_steps,
)

NOW_S = 1_782_000_450
KINDS = possible(["bridge-1"], postgresql=True, disk=True)
PARTS = {"broker", "redis", "postgresql", SERVER}
NETWORK = {"cut", "delay", "half-open", "refuse", "stall"}


@pytest.fixture(scope="module")
def offered() -> Offer:
    return offer(7, 120, NOW_S)


def _uplinks(offered: Offer) -> list[integration.UplinkEvent]:
    return [integration.UplinkEvent.FromString(entry.value) for entry in offered.entries]


def test_the_same_seed_offers_the_same_and_another_one_something_else(offered: Offer) -> None:
    assert offer(7, 120, NOW_S) == offered
    assert offer(8, 120, NOW_S).totals != offered.totals


def test_ids_rise_moments_do_not_fall_and_nothing_is_of_the_future(offered: Offer) -> None:
    ids = [tuple(map(int, entry.id.split("-"))) for entry in offered.entries]
    moments = [entry.at_s for entry in offered.entries]
    assert ids == sorted(set(ids))
    assert moments == sorted(moments)
    assert ids[-1][0] < NOW_S * 1000
    assert moments[-1] <= 120


def test_some_frames_are_missing_some_come_twice_some_later_and_some_by_another_way(offered: Offer) -> None:
    uplinks = _uplinks(offered)
    heard = Counter((up.device_info.dev_eui, up.f_cnt) for up in uplinks)
    words = Counter((up.deduplication_id, up.data) for up in uplinks)
    assert max(words.values()) == 2
    assert any(
        words[up.deduplication_id, up.data] == 1 < heard[up.device_info.dev_eui, up.f_cnt] for up in uplinks
    )
    last: Counter[str] = Counter()
    late = 0
    for up in uplinks:
        late += up.f_cnt < last[up.device_info.dev_eui]
        last[up.device_info.dev_eui] = max(last[up.device_info.dev_eui], up.f_cnt)
    assert late > 10
    assert sum(last.values()) > len(heard), "the air lost none"
    assert (
        offered.uplinks == len(offered.entries) - sum(entry.copy for entry in offered.entries) < len(uplinks)
    )


def test_the_last_frame_of_each_station_tells_what_has_to_be_known_in_the_end(offered: Offer) -> None:
    told: dict[str, tuple[int, ...]] = {}
    for entry, up in zip(offered.entries, _uplinks(offered), strict=True):
        frame = decode(up.f_port, up.data)
        if isinstance(frame, Counts) and not entry.copy:
            told[entry.station] = max(told.get(entry.station, (0,)), tuple(entry.totals))
            assert tuple(frame.totals) == tuple(total % MODULUS for total in entry.totals)
    assert len(told) == STATIONS
    assert offered.totals == {
        (station, name): total
        for station, totals in told.items()
        for name, total in zip(NAMES, totals, strict=True)
    }


def test_the_same_seed_has_the_same_faults_and_another_one_others() -> None:
    assert schedule(3, 300, KINDS) == schedule(3, 300, KINDS)
    assert schedule(3, 300, KINDS) != schedule(4, 300, KINDS)


def test_every_kind_comes_before_the_run_is_over_and_no_part_fails_twice_at_once() -> None:
    faults = schedule(3, 600, KINDS)
    assert {(fault.kind, fault.target) for fault in faults} == set(KINDS)
    for target in {fault.target for fault in faults}:
        times = [(fault.at_s, fault.at_s + fault.lasting_s) for fault in faults if fault.target == target]
        assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(times))
    assert max(fault.at_s + fault.lasting_s for fault in faults) <= 600.01


def test_what_a_machine_cannot_do_is_not_in_the_schedule() -> None:
    kinds = possible(["bridge-1"], postgresql=False, disk=False)
    assert not [kind for kind in kinds if kind[1] in ("postgresql", "disk") or kind[0] == "fill"]


@pytest.mark.parametrize("grpc", [False, True])
@pytest.mark.parametrize("postgresql", [False, True])
def test_each_server_that_the_bridge_speaks_to_dies_stands_still_and_is_badly_reached(
    grpc: bool, postgresql: bool
) -> None:
    kinds = possible(["bridge-1", "bridge-2"], postgresql=postgresql, disk=True, grpc=grpc)
    by_target = {target: {kind for kind, of in kinds if of == target} for _, target in kinds}
    spoken_to = {"broker", SERVER if grpc else "redis"} | ({"postgresql"} if postgresql else set())
    for target in spoken_to:
        assert by_target[target] >= {"kill", "stop"} | NETWORK
    for target in PARTS - spoken_to:
        assert not by_target.get(target, set()) & NETWORK
    assert by_target["redis"] >= {"kill", "stop"}
    assert by_target["bridge-1"] == by_target["bridge-2"] == {"kill", "stop", "crash", CLOCK}
    assert CLOCK in by_target[SERVER]
    assert ("fill", "postgresql" if postgresql else "disk") in kinds
    assert ("acl", "broker") in kinds


def test_a_bridge_that_reads_from_grpc_crashes_where_it_comes_to() -> None:
    points = [point for point in CRASH_POINTS if point not in OF_REDIS]
    faults = schedule(3, 3000, [("crash", "bridge-1")], points=points)
    assert {fault.how.partition(":")[0] for fault in faults} == set(points)


def test_steps_of_the_servers_clock_make_ids_as_redis_does_and_times_as_the_server_does(
    offered: Offer,
) -> None:
    stepped = clock_stepped(offered, [(20.0, 30.0, 3600.0), (60.0, 70.0, -3600.0)])
    ids = [tuple(map(int, entry.id.split("-"))) for entry in stepped.entries]
    assert ids == sorted(set(ids))
    for before, after in zip(offered.entries, stepped.entries, strict=True):
        off_ms = 3_600_000 * ((20 <= after.at_s < 30) - (60 <= after.at_s < 70))
        as_it_was = integration.UplinkEvent.FromString(before.value)
        told = integration.UplinkEvent.FromString(after.value)
        assert told.time.ToMilliseconds() - as_it_was.time.ToMilliseconds() == off_ms
        assert told.rx_info[0].ns_time == told.time
        assert (told.data, told.deduplication_id) == (as_it_was.data, as_it_was.deduplication_id)
    began = next(entry for entry in stepped.entries if entry.at_s >= 20)
    assert began.id != offered.entries[stepped.entries.index(began)].id
    assert any(number for _, number in ids), "after a step back ids stay in their millisecond"
    assert (stepped.totals, stepped.by_interval) == (offered.totals, offered.by_interval)


def test_a_server_whose_clock_is_right_offers_what_was_drawn(offered: Offer) -> None:
    assert clock_stepped(offered, []) == offered


def test_no_step_of_the_servers_clock_makes_events_of_the_future() -> None:
    assert max(SERVER_STEPS_S) < HEADROOM * 900


def test_the_servers_clock_is_off_for_as_long_as_its_fault_lasts() -> None:
    faults = [
        Fault(2.0, CLOCK, SERVER, 3.0, "-30"),
        Fault(4.0, CLOCK, "bridge-1", 9.0, "60"),
        Fault(8.0, "kill", SERVER, 1.0),
    ]
    assert server_steps(faults) == [(2.0, 5.0, -30.0)]


def test_the_bridge_knows_the_points_at_which_it_is_crashed() -> None:
    assert set(CRASH_POINTS) <= set(FAILPOINTS)


def test_what_is_known_by_interval_is_less_than_all_where_the_air_loses_frames(offered: Offer) -> None:
    with_history = [place for place in offered.totals if int(place[0].rpartition("-")[2]) % 2 == 0]
    without = [place for place in offered.totals if place not in with_history]
    assert all(0 < offered.by_interval[place] < total for place, total in offered.totals.items())
    assert sum(offered.by_interval[place] for place in without) < sum(
        offered.by_interval[place] for place in with_history
    )
