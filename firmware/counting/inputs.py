"""All sensors of a node, as one: pulses and observed time per channel since the last reading."""

from counting import SensorError


def _make(kind, settings, unit):
    """The sensor of a kind; its module is loaded only here."""
    if kind == "pulse":
        from counting.pulse import PulseSensor

        return PulseSensor(settings, unit)
    raise SensorError("channel sensor %r is unknown; known: pulse" % kind)


class Inputs:
    """channels: the settings' entries, in channel order; units: how many hardware counters the board has."""

    def __init__(self, channels, units):
        if len(channels) > units:
            raise SensorError(
                "%d channels need %d hardware counters, this board has %d"
                % (len(channels), len(channels), units)
            )
        self._sensors = [_make(entry["sensor"], entry, i) for i, entry in enumerate(channels)]

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
        counts, observed = [], []
        for sensor in self._sensors:
            counts.extend(sensor.take())
            observed.extend([sensor.observed()] * sensor.outputs)
        return counts, observed

    @property
    def faulty(self):
        """Whether any sensor reports something that cannot be trusted."""
        return any(sensor.faulty for sensor in self._sensors)
