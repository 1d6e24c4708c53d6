"""Whatever does not go on any more, the watchdog starts the node anew: the counting, the sending, or all of it."""

import fake_machine
from world import install

install()

import asyncio  # noqa: E402 - the virtual one

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from app.alarms import Alarms  # noqa: E402
from app.recorder import Recorder  # noqa: E402
from lorawan.device import Device  # noqa: E402

HOUR = 3600
WATCHED = (fake_machine.WDT_RESET,)


class Broken:
    """While in it `name` of `kind` is `instead`, from second `since` of the site on."""

    def __init__(self, site, kind, name, instead, since=0):
        self._kind, self._name, self._original = kind, name, getattr(kind, name)
        original = self._original

        def either(*arguments):
            return (instead if site.now() >= since and not site.resets else original)(*arguments)

        self._either = either

    def __enter__(self):
        fake_machine.WDT.bites = True
        setattr(self._kind, self._name, self._either)

    def __exit__(self, *_):
        fake_machine.WDT.bites = False
        setattr(self._kind, self._name, self._original)


async def forever(*_):
    while True:  # noqa: ASYNC110 - what hangs, hangs
        await asyncio.sleep(HOUR)


def broken(*_):
    raise ValueError("broken")


def site_with_traffic():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, 5, 6 * HOUR)
    return site


def check_one_reset(site, begin, end):
    """One bite between the two seconds, after which it counts and sends."""
    assert tuple(site.causes) == WATCHED
    assert begin <= site.resets[0] <= end, site.resets
    assert site.node.intervals.live
    assert [at for at, _ in site.frames() if at > site.resets[0] + 900]


def test_a_node_that_works_is_never_bitten():
    site = site_with_traffic()
    fake_machine.WDT.bites = True
    try:
        site.run(6 * HOUR)
    finally:
        fake_machine.WDT.bites = False
    assert site.resets == []
    assert fake_machine.WDT.fed is not None


def test_a_network_that_is_not_there_is_no_reason_to_bite():
    site = site_with_traffic()
    site.network.lose_joins = lambda *_: True
    fake_machine.WDT.bites = True
    try:
        site.run(12 * HOUR)
    finally:
        fake_machine.WDT.bites = False
    assert site.resets == []


def test_a_radio_that_hangs_in_the_first_frame_is_bitten_as_soon_as_the_watchdog_runs():
    site = site_with_traffic()
    with Broken(site, site.network, "transmit", forever):
        site.run(2 * HOUR)
    check_one_reset(site, 200, 260)


def test_a_node_that_hangs_in_the_technicians_time_is_bitten_three_minutes_after_it():
    for grace_s in (0, 20, 600):
        site = Managed(unix=MIDNIGHT - 600, grace_s=grace_s)
        site.pulses(4, 5, 6 * HOUR)
        with Broken(site, Recorder, "_sleep", forever):
            site.run(2 * HOUR)
        check_one_reset(site, grace_s + 179, grace_s + 185)


def test_a_node_that_hangs_in_its_first_join_is_bitten_after_two_hours_however_long_the_technician_has():
    site = Managed(unix=MIDNIGHT - 600, grace_s=600)
    site.pulses(4, 5, 6 * HOUR)
    with Broken(site, Device, "join_once", forever):
        site.run(4 * HOUR)
    check_one_reset(site, 2 * HOUR, 2 * HOUR + 240)


def test_a_recorder_that_crashes_from_its_first_round_on_is_bitten():
    site = site_with_traffic()
    with Broken(site, Alarms, "check", broken):
        site.run(2 * HOUR)
    check_one_reset(site, 200, 260)


def test_a_node_that_can_send_nothing_is_bitten_after_two_hours():
    for instead in (forever, broken):
        site = site_with_traffic()
        with Broken(site, Device, "send", instead, HOUR):
            site.run(6 * HOUR)
        check_one_reset(site, 3 * HOUR - 900, 3 * HOUR + 300)


def test_a_crash_that_nothing_is_left_to_describe_ends_no_other_task():
    site = site_with_traffic()
    from app import crash

    describe = crash.describe

    def no_room(_):
        raise MemoryError("no room")

    crash.describe = no_room
    try:
        with Broken(site, Device, "start", broken, 0):
            site.run(300)
        assert site.resets == []
        assert site.node.intervals.pulses[0] > 40
    finally:
        crash.describe = describe
