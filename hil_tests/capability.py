"""What a rig may have, and what is raised where it is at fault; known to pytest before anything else is loaded."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """What a test may need."""

    PULSE_GENERATOR = "pulse_generator"
    POWER_SWITCH = "power_switch"
    GATEWAY = "gateway"
    BATTERY = "battery"
    """A supply in the place of the battery, whose voltage can be set."""


class RigError(Exception):
    """The rig, not the node, is at fault; the text says what to do."""
