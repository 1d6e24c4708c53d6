"""All sensors of a node, as one: pulses, observed time, health and flow per channel."""

import sys

import counting
from counting import FAULTS, SILENT


class Inputs:
    """channels: the settings' entries, in channel order; units: how many hardware counters the board has.

    health: per channel the codes of its sensor, as of the last reading.
    """

    def __init__(self, channels, units):
        from counting.assembly import assemble

        # Sensors; per channel the number of its sensor, and of its output there, None being all of them.
        self._sensors, self._sources, self._silent_s = assemble(channels, units)
        del sys.modules["counting.assembly"], counting.assembly
        self._silence_ms = [0] * len(self._sensors)
        self.health = [0] * len(channels)

    def start(self):
        """Start every sensor; SensorError names the one that cannot."""
        for sensor in self._sensors:
            sensor.start()

    def stop(self):
        """Stop every sensor."""
        for sensor in self._sensors:
            sensor.stop()

    def read(self):
        """(pulses per channel, observed ms per channel) since the last reading."""
        taken, seen, codes = [], [], []
        for i, sensor in enumerate(self._sensors):
            taken.append(sensor.take())
            seen.append(sensor.observed())
            codes.append(sensor.health)
            self._silence_ms[i] = 0 if sum(taken[i]) else self._silence_ms[i] + seen[i]
            silent_s = self._silent_s[i]
            if silent_s is not None and self._silence_ms[i] >= silent_s * 1000:
                codes[i] |= SILENT
        self.health = [codes[i] for i, _ in self._sources]
        counts = [sum(taken[i]) if output is None else taken[i][output] for i, output in self._sources]
        return counts, [seen[i] for i, _ in self._sources]

    def flow(self):
        """Per channel (mean speed, v85, occupancy) since the last call, each None where there is none.

        Speeds in 0.1 km/h, occupancy in per mille. Call it after `read`, where an interval ends.
        """
        flows = [sensor.flow() for sensor in self._sensors]
        return [flows[i][output or 0] for i, output in self._sources]

    @property
    def faulty(self):
        """Whether any sensor reports something that cannot be trusted."""
        return any([codes & FAULTS for codes in self.health])
