"""Inputs that feed monotonic counts. A sensor is one module, named after its kind, with one class of this interface:

class Sensor:
    outputs                 how many kinds of passages it tells apart: the names in OUTPUTS, or 1
    def start(self)         begin to count; raises SensorError
    def stop(self)          release the hardware
    def take(self)          [pulses per output since the last take], never negative
    def observed(self)      ms since the last call in which the sensor really watched
    def flow(self)          per output: (mean speed, v85, occupancy) since the last call, None where there is none;
                            speeds in 0.1 km/h, occupancy in per mille of that time
    def lately(self)        per output: (mean speed, occupancy) since the last call of this, as of the last take: what
                            congestion is told from, in between
    health                  codes of this module, added up: what was noted up to the last take
    faulty                  True when something about it cannot be trusted: a code of FAULTS

A sensor is made from the settings of the channel that describes it and the numbers of the hardware counters that it
may use. What decides is in modules of its own, which know neither pins nor clocks: times are handed in as ticks,
which wrap at 2^30, and all arithmetic is in whole numbers.

Interrupt handlers allocate nothing. What they write is written by nobody else, and what is to be taken from them is
taken from the half that they do not write at that moment.
"""

# Differences of ticks are modulo this period (MicroPython on 32 bit).
TICKS = 0x3FFFFFFF
# What a handler adds up is modulo half of it: then the sum of two is still a number that needs no memory.
SUMS = 0x1FFFFFFF

# Notes: the count is what was surely seen, and this is what is known about the rest.
MISSED = 1  # edges that no interrupt told of, or a line that cannot be read, may have been a passage; not observed around edges
SHORT = 2  # signals too short for a passage, not counted
MERGED = 4  # passages closer together than the gap or the dead time, counted as one
AMBIGUOUS = 8  # passages whose direction or class cannot be told: they are in the output "unknown"
OVERFLOW = 16  # more passages since the last take than there is room for; that time is not observed
UNVERIFIED = 32  # no hardware counter was free to watch over the interrupts: a loss may leave no trace
# Faults: somebody has to look at it.
CHATTER = 128  # a contact that does not come to rest
STUCK = 256  # active for longer than set
SILENT = 512  # no passage for longer than set
RESTARTED = 1024  # the hardware counter was restarted behind our back
GARBAGE = 2048  # most of what a sensor sends cannot be read
NO_SIGNAL = 4096  # a sensor sends nothing, or one of two gives nothing while the other does
FAULTS = CHATTER | STUCK | SILENT | RESTARTED | GARBAGE | NO_SIGNAL


class SensorError(Exception):
    """A sensor that cannot be started as the settings say; the text says which and what to change."""
