"""Inputs that feed monotonic counts. A sensor is one module with one class of this interface:

class Sensor:
    outputs                 how many channels it feeds
    def start(self)         begin to count; raises SensorError
    def stop(self)          release the hardware
    def take(self)          [pulses per output since the last take], never negative
    def observed(self)      ms since the last call in which the sensor really watched
    faulty                  True when something about it cannot be trusted

A sensor is made from one entry of the settings' channels and the number of a free hardware counter.
"""


class SensorError(Exception):
    """A sensor that cannot be started as the settings say; the text says which and what to change."""
