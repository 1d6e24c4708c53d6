"""Two pneumatic tubes across the road: hits in, vehicles out. Pure logic; time in ticks of whole us, distances in mm.

1. An axle hits both tubes. A hit belongs to the oldest hit of the other tube that has no partner; the order of the two
   is the axle's direction, their distance in time its transit.
2. Axles form a group until nothing more can belong to the last vehicle: no hit for as long as the last axle needs for
   REACH_MM, or for BICYCLE_REACH_MM when all axles so far come in pairs of bicycles, and for LEAST_US at least. While
   the transit of a first axle is not confirmed by that of a second one, UNSURE_US is waited.
3. A group is sound when no hit is left over, all axles go one way, neighbours have the same transit to an eighth, and
   no axle is alone. Nothing is made of a group that is not: it is one vehicle in "unknown", or two if both directions
   occur and all hits are exactly those of two that met. What follows within REACH_MM at its own speed, or is not sound
   either and follows within UNSURE_US, is taken for a part of it.
4. A sound group is cut into vehicles by the distances of its axles:
   - two axles up to BICYCLE_MM apart: bicycle; with a third up to BICYCLE_REACH_MM behind: bicycle with a trailer;
   - else a motor vehicle with all axles that follow within REACH_MM, but a car (CAR_MM apart) whose followers are a car
     again (and at least CAR_GAP_MM behind) is two cars;
   - a single axle that is left belongs to the vehicle before it.
5. Faster than FAST a bicycle is a motor vehicle. Two axles between BICYCLE_MM and SHORT_MM apart and not faster than
   SLOW are a motorcycle or a long bicycle: "unknown".
6. A motor vehicle of which no one could be may be two that followed closely, and is noted (MERGED): longer than
   LONGEST_MM; or a car at its end, or at its begin before something else than a trailer with two axles together.
7. Axles closer than _SHORTEST_MM may be one that was told twice: noted (AMBIGUOUS).
8. The speed is the mean over the axles.

An interrupt that came late changes one transit and leaves those of the other axles; one that was lost leaves a hit
over; all that came at once at the end of a stall have no transit. So what a stall has touched is not sound, unless it
moved a hit by so little that speed and distances are right to an eighth.

The tubes must not lie further apart than the axles of a bicycle: else the hits of two that meet can also be read as two
others.
"""

from micropython import const

from counting import AMBIGUOUS, MERGED, TICKS

REACH_MM = const(7500)
BICYCLE_MM = const(1300)
BICYCLE_REACH_MM = const(2000)
SHORT_MM = const(1700)
# Closer than the wheels of a child's bicycle: an axle that a switch told twice looks like that, and like a vehicle more.
_SHORTEST_MM = const(700)
CAR_MM = (2000, 3400)
CAR_GAP_MM = const(3400)
# From the first axle to the last: of the 18.75 m that are allowed (StVZO section 32) some is in front and behind.
LONGEST_MM = const(17500)
# Speeds in 0.1 km/h: of a bicycle and of a motor vehicle that can be told. What would be faster than TOO_FAST is no vehicle.
SLOWEST = const(50)
SLOW_MOTOR = const(100)
SLOW = const(350)
FAST = const(450)
TOO_FAST = const(2500)
# Nobody follows more closely than this, and no two meet on the tubes without a hit for so long.
LEAST_US = const(500000)
# 1 mm per us in 0.1 km/h.
UNIT = const(36000)
# Longer than this nothing of one vehicle follows.
UNSURE_US = const(REACH_MM * UNIT // SLOW_MOTOR)
# Axles of a group, and hits that wait for a partner.
MOST = const(64)
# Hits on one tube alone, without one on the other, after which that one is taken for dead.
DEAD_AFTER = const(8)
_UNKNOWN = const(4)


class Axles:
    """distance_mm: between the tubes, A (0) and B (1).

    vehicle(output, speed) is called for each; speed in 0.1 km/h, or None. notes: codes, alone: hits on A and on B since
    the other was hit; whoever reads the notes sets them to 0.
    """

    def __init__(self, distance_mm, vehicle):
        self._distance = distance_mm
        self._vehicle = vehicle
        self.notes = 0
        self.alone = [0, 0]
        # Vehicles of groups that were not sound, and when the last of them was hit.
        self._parked = self._parked_at = 0
        self._begin()

    def _begin(self):
        """A new group."""
        # Hits per tube, and (time, transit) per axle.
        self._hits = ([], [])  # type: ignore[var-annotated]
        self._axles = []
        # Where vehicles begin for certain, and whether the group can still be sound.
        self._runs = [0]
        self._sound = True
        self._back = self._turned = False
        self._last = 0

    def hit(self, t, tube):
        """An axle on tube 0 or 1 at `t`, in the order of the hits."""
        self.settle(t)
        own, other = self._hits[tube], self._hits[1 - tube]
        own.append(t)
        self.alone[tube] += 1
        self.alone[1 - tube] = 0
        self._last = t
        if len(own) <= len(other):
            self._axle(other[len(own) - 1], t, tube == 0)
        if len(own) >= MOST:
            self._close()

    def _axle(self, t0, t, back):
        """The next axle has both its hits; back: it goes from B to A."""
        axles = self._axles
        n = len(axles)
        transit = (t - t0) & TICKS
        axles.append((t0, transit))
        self._turned |= back != self._back and n > 0
        self._back = back
        if self._turned or transit * TOO_FAST < self._distance * UNIT:
            self._sound = False
        elif n:
            before = axles[n - 1][1]
            self._sound &= abs(transit - before) * 16 <= transit + before
            if self._gap(n - 1) > REACH_MM:
                self._sound &= n - self._runs[-1] > 1
                self._runs.append(n)

    def settle(self, now):
        """Nothing was hit since the last hit, up to `now`: close what is over."""
        hits, axles = self._hits, self._axles
        quiet = (now - self._last) & TICKS
        if hits[0] or hits[1]:
            first, n = self._runs[-1], len(axles)
            reach = REACH_MM
            if len(hits[0]) != len(hits[1]):
                wait = self._distance * UNIT // SLOWEST
            elif not self._sound:
                wait = 0
            elif n - first == 1:
                wait = UNSURE_US
            else:
                if (n - first) % 2 == 0 and max([self._gap(i) for i in range(first, n, 2)]) <= BICYCLE_MM:
                    reach = BICYCLE_REACH_MM
                wait = axles[-1][1] * reach // self._distance
            if quiet <= max(LEAST_US, wait):
                return
            self._close()
        if self._parked and (now - self._parked_at) & TICKS > UNSURE_US:
            self._release()

    def _release(self):
        """What is parked was all there is to tell of it."""
        for _ in range(self._parked):
            self._vehicle(_UNKNOWN, None)
        self._parked = 0

    def _gap(self, i):
        """mm between axles i and i + 1."""
        (t0, one), (t1, other) = self._axles[i : i + 2]
        return ((t1 - t0) & TICKS) * self._distance * 2 // (one + other)

    def _close(self):
        """The group is over."""
        runs, axles = self._runs, self._axles
        n = len(axles)
        sound = self._sound and len(self._hits[0]) == len(self._hits[1]) and n - runs[-1] > 1
        if sound and self._parked:
            # At its speed, could it belong to what is parked?
            reach = axles[0][1] * (REACH_MM + REACH_MM // 8) // self._distance
            sound = (axles[0][0] - self._parked_at) & TICKS > reach
        if sound:
            self._release()
            runs.append(n)
            for i in range(len(runs) - 1):
                self._cut(runs[i], runs[i + 1])
        else:
            self.notes |= AMBIGUOUS
            if n:
                two = self._turned and (self._met(0) or self._met(1))
                self._parked = max(self._parked, 2 if two else 1)
            self._parked_at = self._last
        self._begin()

    def _cut(self, first, end):
        """Tell the vehicles that axles first..end of one direction are of."""
        axles = self._axles
        while first < end:
            n = self._vehicle_at(first, end)
            transit = sum([axle[1] for axle in axles[first : first + n]]) // n
            speed = self._distance * UNIT // transit
            wheelbase = self._gap(first)
            output = int(self._back)
            if wheelbase <= BICYCLE_MM and speed <= FAST:
                output = output + 2 if n < 4 else _UNKNOWN
            elif wheelbase <= SHORT_MM and n == 2 and speed <= SLOW:
                output = _UNKNOWN
            if output == _UNKNOWN or wheelbase < _SHORTEST_MM:
                self.notes |= AMBIGUOUS
            if output == _UNKNOWN:
                speed = None
            elif n > 3 and self._perhaps_two(first, n):
                self.notes |= MERGED
            self._vehicle(output, speed)
            first += n

    def _vehicle_at(self, first, end):
        """How many axles the vehicle has that begins with axle `first`; at least two are left."""
        left = end - first
        gaps = [self._gap(i) for i in range(first, end - 1)]
        n = 2
        if gaps[0] <= BICYCLE_MM:
            if left > 3 and gaps[1] <= BICYCLE_REACH_MM and gaps[2] > BICYCLE_MM:
                n = 3
        else:
            while n < left and gaps[n - 1] <= REACH_MM:
                if n == 2 and left > 3 and gaps[1] >= CAR_GAP_MM and _car(gaps[0]) and _car(gaps[2]):
                    break
                n += 1
        return n + 1 if left - n == 1 else n

    def _perhaps_two(self, first, n):
        """Whether the `n` axles from `first` on are none of one vehicle that there is."""
        gaps = [self._gap(i) for i in range(first, first + n - 1)]
        ends = gaps[-2] >= CAR_GAP_MM and _car(gaps[-1])
        begins = gaps[1] >= CAR_GAP_MM and _car(gaps[0]) and gaps[2] > BICYCLE_MM
        return ends or begins or sum(gaps) > LONGEST_MM

    def _met(self, tube):
        """Whether all hits are those of two that met: one that came over `tube` first, and one the other way."""
        ahead, behind = self._hits[tube], self._hits[1 - tube]
        if len(ahead) != len(behind):
            return False
        for t in behind:
            transit = (t - ahead[0]) & TICKS
            rest, others = list(behind), []
            for hit in ahead:
                for partner in rest:
                    if abs(((partner - hit) & TICKS) - transit) * 16 <= transit:
                        rest.remove(partner)
                        break
                else:
                    others.append(hit)
            if len(ahead) - len(others) > 1 and len(others) > 1:
                back = [(others[i] - rest[i]) & TICKS for i in range(len(rest))]
                if max(back) - min(back) <= min(back) // 16 and max(back) < TICKS // 2:
                    return True
        return False


def _car(wheelbase):
    return CAR_MM[0] <= wheelbase <= CAR_MM[1]
