"""The node's program: settings, intervals, storage, schedule of uplinks, commands, supervision."""

VERSION = (0, 1, 0)
