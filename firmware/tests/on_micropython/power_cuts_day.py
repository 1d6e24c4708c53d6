"""A day of a whole node whose power goes at random moments, and what each of them took: `make power-cuts`.

`power_cuts_day.py SEED CUTS PATH...` prints a line per cut and the sums of the day as JSON. The node counts a vehicle
every two seconds, also while it has no power, so that what is missing tells for how long nothing was kept.
"""

import json
import sys

if __name__ == "__main__":
    sys.path[:0] = sys.argv[3:]

import fake_machine
from world import install, world

install()

from managed_rig import Managed  # noqa: E402
from node_rig import MIDNIGHT, PowerCut  # noqa: E402
from test_node_power import HOUR, LOSS_S, check_air, check_totals, flagged  # noqa: E402

DAY = 24 * HOUR
# Cuts begin when the node knows the time; after the last one it reports what is left.
LEAD = HOUR // 2
CALM = 2 * HOUR
SLOT = 900
MINUTE = 60
# A transmission with its windows can hold up the writing of what was read.
HELD_UP_S = LOSS_S - MINUTE
# Seconds from vehicle to vehicle per pin: coprime with minutes, and a day has fewer than the totals of a frame hold.
EVERY = {4: 2, 5: 7}
# A vehicle at a border belongs to either side, and a boundary's reading may come a second late.
AT_BORDERS = 2
# Until the first reading after a start, and what it restored is seen.
LOOK_S = 5
# The power goes in the middle of one of so many writings that follow a moment: a total's writing alone takes several.
WRITINGS = 12
OFF_MOST_S = 600


class Traffic:
    """`fake_machine.pulses` as a law instead of events: what never wakes the node costs no time."""

    def get(self, pin, default=0):
        return passed(pin, world.now_us // 1000000) if pin in EVERY else default

    def clear(self):
        pass


def passed(pin, second):
    """Vehicles at `pin` until `second`."""
    return second // EVERY[pin]


class Day:
    """Power goes `cuts` times at moments that follow from `seed`, every other time in the middle of a writing.

    lost: seconds per cut that were counted and not kept. epochs: of the totals. unflagged: losses that nothing tells of.
    misplaced: quarter-hours with more than passed. unread: whole quarter-hours that the ring does not give back as they were.
    """

    def __init__(self, seed, cuts):
        self._law, fake_machine.pulses = fake_machine.pulses, Traffic()
        self.site = Managed(unix=MIDNIGHT - 600, seed=seed)
        self._dice = seed * 7919 + 1
        self._left = cuts
        self._gone = 0
        self._pending = 0
        self._spans = []
        self.lost, self.unflagged, self.misplaced, self.unread = [], 0, 0, 0

    def _roll(self, below):
        """0..below-1, of a generator that nothing else takes from; the high bits of two steps, the low ones repeat soon."""
        rolled = 0
        for _ in range(2):
            self._dice = (self._dice * 1103515245 + 12345) & 0x3FFFFFFF
            rolled = rolled << 15 | self._dice >> 15
        return rolled % below

    def run(self, told=lambda lost: None):
        """Live through it; told(seconds lost) is called for each cut."""
        try:
            moments = sorted([LEAD * 1000 + self._roll(1000 * (DAY - LEAD)) for _ in range(self._left)])
            for moment in moments:
                self._live(max(moment * 1000, world.now_us + LOOK_S * 1000000 + 1))
                self._spans.append((self.cut_us, world.now_us))
            self._live(None)
            self._judge(told)
        finally:
            fake_machine.pulses = self._law

    def _live(self, moment_us):
        """From power-on to the cut at `moment_us` or in a writing after it; None: to the end of all."""
        site = self.site
        world.at(world.now_us + LOOK_S * 1000000, self._look)
        if moment_us is None:
            site.run(DAY + CALM + OFF_MOST_S)
            return
        if self._roll(2):
            after = 1 + self._roll(WRITINGS)

            def fail():
                site.flash.cut_at = site.flash.operations + after

            world.at(moment_us, fail)
        else:

            def fail():
                raise PowerCut

            world.at(moment_us, fail)
        site.run(2 * DAY)
        self.cut_us = world.now_us
        pause = self._roll(4)
        world.move_to(world.now_us + (2 + self._roll((8, 60, 300, OFF_MOST_S)[pause] - 2)) * 1000000)

    def _look(self):
        """What this start restored, against what had passed: the last cut took the difference."""
        pin = min(EVERY)
        now = passed(pin, world.now_us // 1000000 - LOOK_S)
        gone = now - self.site.node.intervals.pulses[0]
        if self._spans:
            cut, on = self._spans[-1]
            off = passed(pin, on // 1000000) - passed(pin, cut // 1000000)
            self.lost.append((gone - self._gone - off) * EVERY[pin])
        self._gone = gone

    def _judge(self, told):
        site = self.site
        check_air(site)
        reported = check_totals(site)
        last = max([frame.index for frame in site.counts()])
        end = ((site.unix // SLOT & ~0xFFFF | last) + 1) * SLOT - site.unix
        # From outside the same is missing as from inside.
        missing = passed(min(EVERY), end) - reported[0]
        assert abs(missing - self._gone) <= AT_BORDERS, (missing, self._gone)
        self._judge_ring()
        told_of = {frame.index - back & 0xFFFF for frame in site.counts() for back in range(len(frame.cover))}
        for cut, on in self._spans:
            begin, end = cut // 1000000 - LOSS_S, on // 1000000 + 1
            slots = range((site.unix + begin) // SLOT, (site.unix + end) // SLOT + 1)
            # What no frame had room for is asked for by the platform, and the ring answers.
            if told_of & {slot & 0xFFFF for slot in slots} and not flagged(site, begin, end):
                self.unflagged += 1
        for lost in self.lost:
            told(lost)

    def _judge_ring(self):
        """Each quarter-hour of the day as the flash gives it back after all, against what passed."""
        site = self.site
        first = site.unix // SLOT + 1
        kept = site.node.ring.rows(False, site.node.epoch.generation, first, first + 2 * DAY // SLOT)
        for slot in range(first + LEAD // SLOT, max(kept) + 1):
            begin = slot * SLOT - site.unix
            counts, covers = kept.get(slot, ((0,) * len(EVERY), bytes(len(EVERY))))
            for channel, pin in enumerate(sorted(EVERY)):
                count, cover = counts[channel], covers[channel]
                there = passed(pin, begin + SLOT) - passed(pin, begin)
                if cover == 255 and there - count > AT_BORDERS:
                    self.unflagged += 1
                # Where the time was not known, a minute across a border goes to one side, and both sides are marked.
                if count - there > (AT_BORDERS if cover == 255 else MINUTE // EVERY[pin]):
                    self.misplaced += 1
                if cover < 255 and not self._cut_about(begin):
                    self.unread += 1

    def _cut_about(self, begin):
        """Whether a cut, or the start after it, touches the quarter-hour from second `begin` or its writing."""
        for cut, on in self._spans:
            if cut // 1000000 - HELD_UP_S <= begin + SLOT and begin <= on // 1000000 + MINUTE:
                return True
        return False


if __name__ == "__main__":
    day = Day(int(sys.argv[1]), int(sys.argv[2]))
    day.run(lambda lost: print("cut", lost))
    print(
        json.dumps(
            {
                "cuts": len(day.lost),
                "lost_most_s": max(day.lost),
                "lost_least_s": min(day.lost),
                "unflagged": day.unflagged,
                "misplaced": day.misplaced,
                "unread": day.unread,
                "loss_bound_s": LOSS_S,
                "border_s": AT_BORDERS * min(EVERY.values()),
            }
        )
    )
