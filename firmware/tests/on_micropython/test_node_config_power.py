"""Settings by command, and power that goes at any flash operation: one document is in force or the other."""

import fake_machine
from world import install, world

install()

from cut_steps import STEP  # noqa: E402
from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT  # noqa: E402

from zaehlwerk_protocol import answer  # noqa: E402


def reported(site):
    """What was reported of the first channel, over all epochs and both spaces."""
    totals = {}
    for frame in site.counts():
        totals[frame.state & 7] = max(totals.get(frame.state & 7, 0), frame.totals[0])
    return sum(totals.values())


def test_power_that_goes_at_every_flash_operation_of_a_change_leaves_one_document_or_the_other():
    cut_at, cut = 1, True
    while cut:
        site = Managed(unix=MIDNIGHT - 130, interval_s=60, uplink_offset_s=10)
        site.pulses(4, 1, 800)
        site.run(200)
        site.configure(200, 1, {"history_bytes": 20}, 5)
        cut = not site.run(380, cut_at)
        world.move_to(world.now_us + 3000000)
        # The platform repeats what it has no answer to, here all of it.
        site.configure(site.now() + 70, 1, {"history_bytes": 20}, 5)
        site.run(900)
        assert site.node.settings["history_bytes"] == 20, cut_at
        assert site.in_force() == dict(site.document, history_bytes=20), cut_at
        assert answer.OK in [result for _, result in site.results()], cut_at
        assert len(site.resets) <= 2, cut_at
        assert 0 <= fake_machine.pulses[4] - reported(site) <= 160, cut_at
        cut_at += STEP
    assert cut_at > 40


def test_power_that_goes_at_every_flash_operation_of_a_rollback_leaves_the_old_document():
    cut_at, cut = 1, True
    while cut:
        site = Managed(unix=MIDNIGHT - 130)
        site.configure(10, 1, {"history_bytes": 20}, 100)
        site.network.lose = lambda *_, site=site: len(site.resets) == 1

        def fail(site=site, after=cut_at):
            site.flash.cut_at = site.flash.operations + after

        # Shortly before the two hours are over; what is written every minute comes in between.
        site.at(7330, fail)
        cut = not site.run(7600)
        assert site.resets[0] < 300
        world.move_to(world.now_us + 3000000)
        site.run(site.now() + 100)
        if len(site.resets) == 1:
            # It was not to be undone yet: the trial goes on, and is over in the end.
            site.run(site.now() + 7400)
        assert site.node.settings["history_bytes"] == 28, cut_at
        assert site.in_force() == site.document, cut_at
        cut_at += STEP
    assert cut_at > 10
