"""All sensors of a node, as one: pulses, observed time, health and flow per channel."""

import sys

from micropython import const

import counting
from counting import FAULTS, SILENT, STUCK
from counting.silence import Silence

# In `noted`: one reading, above all codes.
_READING = const(8192)
# Codes that alarms tell of: STUCK and SILENT; and those that are news, without UNVERIFIED, which is for ever.
_ALARMS = const(256 | 512)
_NEWS = const(8191 - 256 - 512 - 32)
# From so many passages between two readings on, 533 a second in a minute, it is no traffic that is counted, but a fault:
# CHATTER. No kind but `pulse` has room for as many.
_TOO_MANY = const(32000)
_CHATTER = const(128)


class Inputs:
    """channels: the settings' entries, in channel order; units: how many hardware counters the board has.

    health: per channel the codes of its sensor, as of the last reading. jams: what looks for congestion, or None if
    no channel asks for it. silences: per sensor. noted: per channel the codes since the network was told of them, but for
    those of alarms, and above them in how many readings there were some; told: the codes that it was told of;
    news: whether it should be told.
    """

    def __init__(self, channels, units):
        from counting.assembly import assemble, jams

        # Sensors; per channel the number of its sensor, and of its output there, None being all of them.
        self._sensors, self._sources, silent_s = assemble(channels, units)
        self.jams = jams(self, channels)
        del sys.modules["counting.assembly"], counting.assembly
        self.silences = [Silence(None if s is None else s * 1000) for s in silent_s]
        self._taken = [None] * len(self._sensors)
        self.health = [0] * len(channels)
        self.noted = list(self.health)
        self.told = list(self.health)
        # Uptime in ms at which `noted` began anew, None before the network was told once.
        self.noted_at = None
        self.news = False

    def start(self):
        """Start every sensor; SensorError names the one that cannot."""
        for sensor in self._sensors:
            sensor.start()

    def stop(self):
        """Stop every sensor."""
        for sensor in self._sensors:
            sensor.stop()

    def read(self):
        """(pulses per channel, observed ms per channel) since the last reading.

        A sensor that is stuck, or silent for longer than an empty street could be, has observed nothing; neither has one
        that never told of a passage: nobody knows yet whether it can.
        """
        taken, seen, codes = [], [], []
        for i in range(len(self._sensors)):
            counts, ms, noted = self._gather(i)
            self._taken[i] = None
            passed = sum(counts)
            if passed >= _TOO_MANY:
                ms, noted = 0, noted | _CHATTER
            silence = self.silences[i]
            if silence.passed(ms, passed):
                noted |= SILENT
            taken.append(counts)
            seen.append(ms if silence.proven and not noted & (STUCK | SILENT) else 0)
            codes.append(noted)
        self.health = [codes[i] for i, _ in self._sources]
        for i in range(len(self.health)):
            noted = self.health[i] & ~_ALARMS
            if noted:
                self.noted[i] = (self.noted[i] | noted) + _READING
                if noted & ~self.told[i] & _NEWS:
                    self.news = True
        return self._per_channel(taken), [seen[i] for i, _ in self._sources]

    def _gather(self, i):
        """(counts per output, observed ms, codes) of a sensor since the last reading, with what `look` took before."""
        sensor = self._sensors[i]
        counts, ms, noted = sensor.take(), sensor.observed(), sensor.health
        before = self._taken[i]
        if before is not None:
            counts = [counts[n] + before[0][n] for n in range(len(counts))]
            ms, noted = ms + before[1], noted | before[2]
        return counts, ms, noted

    def so_far(self):
        """Pulses per channel since the last reading, which will give them too."""
        taken = [self._gather(i) for i in range(len(self._sensors))]
        self._taken = taken
        return self._per_channel([counts for counts, _, _ in taken])

    def _per_channel(self, counts):
        return [sum(counts[i]) if output is None else counts[i][output] for i, output in self._sources]

    def lately(self, channel, taken):
        """(mean speed, occupancy) of a channel since the last call; taken: the sensors that were asked before, by number."""
        i, output = self._sources[channel]
        if i not in taken:
            self._taken[i] = self._gather(i)
            taken[i] = self._sensors[i].lately()
        return taken[i][output or 0]

    def flow(self):
        """Per channel (mean speed, v85, occupancy) since the last call, each None where there is none.

        Speeds in 0.1 km/h, occupancy in per mille. Call it after `read`, where an interval ends.
        """
        flows = [sensor.flow() for sensor in self._sensors]
        return [flows[i][output or 0] for i, output in self._sources]

    def silence(self, channel):
        """The Silence of a channel's sensor."""
        return self.silences[self._sources[channel][0]]

    @property
    def faulty(self):
        """Whether any sensor reports something that cannot be trusted."""
        return any([codes & FAULTS for codes in self.health])
