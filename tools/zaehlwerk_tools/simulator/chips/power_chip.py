"""A power management chip on the I2C bus: registers, rails that they switch, the battery that it measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Rail:
    """One output: the register and bit that switch it on, and the field that sets its voltage: from `lowest_mv` in steps of
    `step_mv`, in the bits of `mask` of the register `voltage`. step_mv 0: the voltage cannot be set."""

    switch: int
    bit: int
    voltage: int = 0
    mask: int = 0
    lowest_mv: int = 0
    step_mv: int = 0


class PowerChip:
    """What the chips of this kind have in common. A new one has no supply.

    `battery_mv`: what its ADC finds, may be changed at any time. `on_rail`: set by the board; told (time in ns, name of
    the rail, whether it is on) whenever an output goes on or off.
    """

    RAILS: ClassVar[Mapping[str, Rail]]
    AFTER_POWER_ON: ClassVar[Mapping[int, int]]
    READ_ONLY: ClassVar[frozenset[int]]
    CLEARED_BY_ONES: ClassVar[frozenset[int]]

    def __init__(self, battery_mv: int) -> None:
        self.battery_mv = battery_mv
        self.on_rail: Callable[[int, str, bool], None] = lambda at_ns, rail, on: None
        self._registers = bytearray(256)
        self._pointer = 0
        self._powered = False
        self._on: dict[str, bool] = dict.fromkeys(self.RAILS, False)

    @property
    def rails(self) -> Mapping[str, bool]:
        """Which outputs are on."""
        return dict(self._on)

    def millivolts(self, rail: str) -> int:
        """What `rail` is set to, mV, on or off; 0 if it cannot be set."""
        output = self.RAILS[rail]
        if not output.step_mv:
            return 0
        lowest_bit = output.mask & -output.mask
        return output.lowest_mv + output.step_mv * (
            (self._registers[output.voltage] & output.mask) // lowest_bit
        )

    def power(self, at_ns: int, *, on: bool) -> None:
        """Battery or USB come, and the rails that are on by default with them, or go."""
        if on == self._powered:
            return
        self._powered = on
        self._registers = bytearray(256)
        self._pointer = 0
        if on:
            for register, value in self.AFTER_POWER_ON.items():
                self._registers[register] = value
        self._switch(at_ns)

    def write(self, at_ns: int, data: bytes) -> None:
        """An I2C write: the register, then values for it and those after it. Without supply nobody listens."""
        if not self._powered or not data:
            return
        self._pointer = data[0]
        for value in data[1:]:
            self._write(self._pointer, value)
            self._pointer = (self._pointer + 1) & 0xFF
        self._switch(at_ns)

    def read(self, at_ns: int, count: int) -> bytes:
        """An I2C read of `count` registers, from the one last written or read on. Without supply zeros."""
        if not self._powered:
            return bytes(count)
        values = bytearray()
        for _ in range(count):
            values.append(self._read(self._pointer))
            self._pointer = (self._pointer + 1) & 0xFF
        return bytes(values)

    def _read(self, register: int) -> int:
        return self._registers[register]

    def _write(self, register: int, value: int) -> None:
        if register in self.CLEARED_BY_ONES:
            self._registers[register] &= ~value
        elif register not in self.READ_ONLY:
            self._registers[register] = value

    def _switch(self, at_ns: int) -> None:
        for name, rail in self.RAILS.items():
            on = bool(self._registers[rail.switch] >> rail.bit & 1)
            if on != self._on[name]:
                self._on[name] = on
                self.on_rail(at_ns, name, on)
