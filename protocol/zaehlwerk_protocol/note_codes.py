"""What a sensor can note, as the notes of a status frame say it: bits, added up per channel.

A node knows them by the names of its own `counting` package; this is for those who read. Bits that are not assigned
are kept by a reader and passed on as their number.
"""

MISSED = 1
"""Edges of which no interrupt told, or a line that cannot be read, may have been a passage; not observed around edges."""
SHORT = 2
"""Signals too short for a passage, not counted."""
MERGED = 4
"""Passages closer together than the sensor can tell apart, counted as one."""
AMBIGUOUS = 8
"""Passages whose direction, class or number cannot be told: counted as unknown, without speed."""
OVERFLOW = 16
"""More passages between two readings than there is room for; that time is not observed."""
UNVERIFIED = 32
"""No hardware counter watches over the interrupts: a loss may leave no trace."""
CHATTER = 128
"""A contact that does not come to rest, or pulses too fast for traffic: a fault."""
STUCK = 256
"""Active for longer than set: said by an alarm, not in notes."""
SILENT = 512
"""No passage for longer than plausible: said by an alarm, not in notes."""
RESTARTED = 1024
"""The hardware counter was restarted behind the program's back: a fault."""
GARBAGE = 2048
"""Most of what the sensor sends cannot be read: a fault; that time is not observed."""
NO_SIGNAL = 4096
"""The sensor sends nothing, or one of two gives nothing while the other does: a fault; that time is not observed."""
