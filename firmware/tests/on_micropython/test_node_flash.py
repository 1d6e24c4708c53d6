"""A flash that takes nothing any more: the node counts and sends all the same, and says so."""

from world import install

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from lorawan import records  # noqa: E402
from zaehlwerk_protocol import ports, state  # noqa: E402

HOUR = 3600
EVERY_S = 5


class Full:
    """While in it nothing can be written."""

    def __enter__(self):
        self._open, records.open = getattr(records, "open", open), self._refusing

    def _refusing(self, path, mode="r"):
        if mode[0] in "wa":
            raise OSError(28)
        return open(path, mode)

    def __exit__(self, *_):
        records.open = self._open


def test_a_flash_that_fills_up_costs_no_count_and_is_told():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, EVERY_S, 6 * HOUR)
    full = Full()
    site.at(1800, full.__enter__)
    site.at(2 * HOUR, full.__exit__)
    site.run(3 * HOUR)
    assert site.resets == []
    frames = [(at, frame) for at, frame in site.frames(ports.COUNTS)]
    assert [bool(frame.state & state.FAULT) for at, frame in frames if 2000 < at < 2 * HOUR] == [True] * 6
    assert not frames[-1][1].state & state.FAULT
    assert sum([at > 1800 for at, _ in frames]) == 10
    assert b"OSError" in site.node.crash
    assert 0 <= HOUR * 3 // EVERY_S - site.node.intervals.pulses[0] <= 72 // EVERY_S + 1


def test_a_node_that_starts_on_a_full_flash_counts_under_a_new_epoch_with_the_fault_bit():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, EVERY_S, 6 * HOUR)
    site.run(HOUR)
    epoch = site.node.epoch.number
    with Full():
        site.run(2 * HOUR)
    assert site.resets == []
    assert site.node.faulty
    # What the flash has may be older than what was sent.
    assert site.node.epoch.number != epoch
    assert 0 <= HOUR // EVERY_S - site.node.intervals.pulses[0] <= 12


def test_a_node_whose_flash_dies_goes_on_for_days_with_its_clock_and_its_status_heard():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, EVERY_S, 60 * HOUR)
    full = Full()
    site.at(1800, full.__enter__)
    try:
        site.run(50 * HOUR)
    finally:
        full.__exit__()
    assert site.resets == []
    assert site.node.clock.known
    assert not site.node.clock.doubtful
    # A frame for each quarter-hour, and no status more than those of two days.
    assert len({frame.index for _, frame in site.frames(ports.COUNTS)}) >= 50 * 4 - 2
    told = [at for at, frame in site.frames(ports.STATUS) if at > 1800]
    assert 2 <= len(told) <= 8
    assert 0 <= 50 * HOUR // EVERY_S - site.node.intervals.pulses[0] <= 72 // EVERY_S + 1


def test_when_the_reserved_counters_are_spent_it_counts_on_and_tells_all_when_the_flash_is_well():
    site = Managed(unix=MIDNIGHT - 600)
    site.pulses(4, EVERY_S, 6 * HOUR)
    full = Full()

    def die():
        full.__enter__()
        mac = site.node.device.mac
        mac.session.fcnt_up = mac.store._reserved - 2

    site.at(1800, die)
    site.at(1800 + 5400, full.__exit__)
    site.run(4 * HOUR)
    assert site.resets == []
    frames = site.frames(ports.COUNTS)
    spent, well = 1800 + 2 * 900, 1800 + 5400
    assert not [at for at, _ in site.frames() if spent < at < well]
    # Whatever the silence kept back is in the totals of the first one after it.
    (_, before), (_, after) = frames[3], frames[4]
    assert after.totals[0] - before.totals[0] == (after.index - before.index & 0xFFFF) * 900 // EVERY_S
    counters = [counter for _, counter, _, _ in site.network.uplinks]
    assert counters == sorted(set(counters))
