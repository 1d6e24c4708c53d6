"""What stands in for a sensor that is not started: the node is in safe mode. It has counted and observed nothing."""

from counting import NO_SIGNAL
from counting.sensor import Sensor

# As many as any kind has.
_OUTPUTS = 5


class AbsentSensor(Sensor):
    """Somebody has to look at it, and its channels are told to be silent."""

    outputs = _OUTPUTS
    health = NO_SIGNAL

    def start(self):
        """Touch no pin."""

    def take(self):
        """Nothing."""
        return (0,) * _OUTPUTS

    def observed(self):
        """Nothing."""
        return 0
