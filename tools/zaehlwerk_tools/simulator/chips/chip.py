"""What every radio chip in software is to the board it sits on. Times are UTC Unix nanoseconds, integers, never going back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

FOREVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the datasheet forbids and that a real chip might forgive today and not tomorrow."""

    at_ns: int
    what: str


class Chip(ABC):
    """A chip on a board, driven by its pins. The board may run ahead of the rest of the world: only what `Hears` tells
    comes from outside, and while `listening` the board comes no further than the world.

    `violations`: what the driver did wrong, in order. `on_world_change`: set by the board; called (with the time) after
    something that was heard has changed the chip, so that `lines` or `next_change` may be different now.
    """

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.on_world_change: Callable[[int], None] = lambda at_ns: None

    # -- the pins: each call first lets the chip's own time pass up to `at_ns`

    @abstractmethod
    def supply(self, at_ns: int, on: bool) -> None:
        """The chip's supply goes on (power-on reset begins) or off (everything is forgotten). A new chip has no supply."""

    @abstractmethod
    def reset(self, at_ns: int, level: int) -> None:
        """The reset pin (active low on both chips; SX1276: pull it low for at least 100 µs)."""

    @abstractmethod
    def select(self, at_ns: int, level: int) -> None:
        """NSS: 0 begins a transaction, 1 ends it."""

    @abstractmethod
    def transfer(self, at_ns: int, mosi: bytes, end_ns: int) -> bytes:
        """Bytes clocked in from `at_ns` to `end_ns`; what came out meanwhile, same length. May be called several times
        in one transaction. Without NSS low it answers zeros (nobody drives the line) and changes nothing."""

    @abstractmethod
    def lines(self, at_ns: int) -> Mapping[str, int]:
        """The levels of the chip's outputs by name: "busy", "dio1", "dio2", "dio3" or "dio0" to "dio5"."""

    @abstractmethod
    def next_change(self) -> int:
        """The next moment at which a line or the mode changes by itself (BUSY falls, TX done, a time-out), after the
        last call; FOREVER if none. While `listening` something heard may come before it."""

    @property
    @abstractmethod
    def listening(self) -> bool:
        """Whether the receiver is open, so that the world can change a line."""

    # -- what can be measured outside

    @abstractmethod
    def time_in(self, at_ns: int) -> Mapping[str, int]:
        """Nanoseconds spent so far in each state of consumption: "off", "sleep_cold", "sleep_warm", "standby_rc",
        "standby_xosc", "fs", "rx", and "tx" with the output power in dBm, e.g. "tx14"."""
