"""What a test knows of a rig: a node, its power, pulses, the network side. Two things are behind it, virtual and real boards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from hil_tests.air import Air
from hil_tests.capability import Capability, RigError
from hil_tests.programme import Line
from zaehlwerk_tools.records import Published

__all__ = [
    "APP_KEY",
    "INTERVAL_S",
    "JOIN_EUI",
    "Capability",
    "Ending",
    "Rig",
    "RigError",
    "Start",
    "Timeout",
    "until",
]


class Ending(StrEnum):
    """How a node's program is brought to its end, some time after its start, for once."""

    HANG = "hang"
    """It stands still and feeds no watchdog."""
    SOFT_RESET = "soft_reset"


class Timeout(AssertionError):
    """What was waited for did not come in the time that the node has for it."""


APP_KEY = b"a rig's own node!"[:16]
"""Of nodes at a rig: it guards nothing, for the rig is their only network."""
JOIN_EUI = "0" * 16
INTERVAL_S = 60
"""The shortest there is: tests need not wait."""


@dataclass(frozen=True)
class Start:
    """How a node is started: channels as in a settings file but without pins, which the rig has; a line for each input that
    has pulses. `battery_mv`: needs BATTERY; None: as the rig has it. `ending`: (how, seconds after the start)."""

    channels: Sequence[Mapping[str, Any]]
    lines: Sequence[Line] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    battery_mv: int | None = None
    ending: tuple[Ending, float] | None = None
    platform: bool = False
    """With the bridge and a broker behind the network, and a subscriber that is looked at by `records`."""


class Rig(Protocol):
    """A node at a rig. `log_folder`: what was said on serial line, air and MQTT, kept for each test."""

    @property
    def air(self) -> Air:
        """The network's side."""
        ...

    @property
    def log_folder(self) -> Path:
        """Where its logs are."""
        ...

    @property
    def started(self) -> Start | None:
        """How the node was started, once it was."""
        ...

    def capabilities(self) -> frozenset[Capability]:
        """What it has."""
        ...

    async def begin(self, start: Start) -> None:
        """A node with an empty `state/` and these settings gets its power; pulses begin to be played."""
        ...

    async def wait(self, seconds: float) -> None:
        """Let so much time of the node pass."""
        ...

    @property
    def seconds(self) -> float:
        """Since the begin."""
        ...

    async def cut_power(self, off_s: float) -> None:
        """Now, or a moment later; back after `off_s`. Returns when the node has power again."""
        ...

    async def change_file(self, path: str, change: Callable[[bytes], bytes]) -> None:
        """Take the power, put `change(content)` into the place of a file of the node, and give the power back.

        Raises RigError if there is no such file.
        """
        ...

    @property
    def begun_ns(self) -> int:
        """When the programme of pulses began, UTC Unix ns."""
        ...

    def starts(self) -> list[str]:
        """Why the node started each time, the first one included: power, watchdog, hard, soft."""
        ...

    def said(self) -> str:
        """What the node has said on its serial line."""
        ...

    def rules_broken(self) -> list[str]:
        """What the node did on the air that nobody may, in words: reused numbers, and its chip's rules where they are seen."""
        ...

    async def records(self) -> list[Published]:
        """What a subscriber holds when everything that is under way has arrived."""
        ...

    async def close(self) -> None:
        """All off."""
        ...


STEP_S = 5.0


async def until(rig: Rig, holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Let time pass until `holds()`. Raises Timeout, which says `what` did not come."""
    end = rig.seconds + within_s
    while not holds():
        if rig.seconds >= end:
            raise Timeout(f"{what}: not within {within_s:.0f} s")
        await rig.wait(min(STEP_S, max(0.1, end - rig.seconds)))
    await asyncio.sleep(0)
