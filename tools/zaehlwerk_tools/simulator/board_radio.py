"""The radio of a virtual board: chip, antenna, supply and antenna switch, wired as the board's hardware says.

The chip keeps its own time. Its pins are known to the board up to a moment (`known_ns`): until then nothing changes
unless the board does something itself. Beyond it the board has to ask, and while the receiver is open it waits there for
the world.
"""

from __future__ import annotations

from collections.abc import Callable

from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.board_antenna import BoardAntenna
from zaehlwerk_tools.simulator.board_chips import make_chip, make_power_chip
from zaehlwerk_tools.simulator.chips.antenna import Hears, Listening, LoRa
from zaehlwerk_tools.simulator.chips.chip import FOREVER, Violation
from zaehlwerk_tools.simulator.hardware import Hardware

NOT_CONNECTED_DB = 30.0
"""What still leaves a board whose antenna switch stands wrong, below what the chip sends."""


class BoardRadio:
    """The radio of board `number`. Times are UTC Unix ns and never go back; `battery_mv` is what the power chip measures."""

    def __init__(self, hardware: Hardware, air: Air, number: int, battery_mv: int | None) -> None:
        wiring = hardware.radio
        self._antenna = _Switched(air, number, self._connected)
        self.chip = make_chip(wiring, self._antenna)
        self.power_chip = None
        if hardware.power_chip is not None:
            self.power_chip = make_power_chip(hardware.power_chip.chip, battery_mv or 0)
            self.power_chip.on_rail = self._rail
        self._wiring = wiring
        names = ["busy"] if wiring.busy is not None else []
        self._names = [*names, *sorted(wiring.dio)]
        self.line_pins = [
            pin for pin in (wiring.busy, *(wiring.dio[n] for n in sorted(wiring.dio))) if pin is not None
        ]
        """GPIOs that the chip drives, in the order of the bits of `levels`."""
        self.output_pins = [wiring.nss, wiring.reset, *wiring.switch]
        """GPIOs at which the chip or its antenna switch takes note of the board."""
        self._outputs: dict[int, int] = {}
        self._powered = False

    @property
    def violations(self) -> list[Violation]:
        """What the program did that the chip's datasheet forbids."""
        return self.chip.violations

    def power_up(self, at_ns: int) -> None:
        """The board's supply is there."""
        self._outputs.clear()
        if self.power_chip is not None:
            self.power_chip.power(at_ns, on=True)
        if self._wiring.supply == "always":
            self._feed(at_ns, on=True)

    def power_down(self, at_ns: int) -> None:
        """The board's supply is gone, and all that chips knew."""
        self._feed(at_ns, on=False)
        if self.power_chip is not None:
            self.power_chip.power(at_ns, on=False)

    def released(self, at_ns: int) -> None:
        """The microcontroller was reset: its pins float, the pull-ups of NSS and reset hold them high."""
        self._outputs.clear()
        self.chip.select(at_ns, 1)
        self.chip.reset(at_ns, 1)

    def output(self, at_ns: int, pin: int, level: int) -> None:
        """The board drives one of `output_pins`."""
        self._outputs[pin] = level
        if pin == self._wiring.nss:
            self.chip.select(at_ns, level)
        elif pin == self._wiring.reset:
            self.chip.reset(at_ns, level)

    def transfer(self, at_ns: int, out: bytes, end_ns: int) -> bytes:
        """Bytes over SPI, both ways."""
        # What may be heard before `end_ns` is not known yet while the receiver is open.
        return self.chip.transfer(at_ns, out, at_ns if self.chip.listening else end_ns)

    def i2c(self, at_ns: int, out: bytes, count: int) -> bytes:
        """Write `out` to the power chip, then read `count` bytes from it."""
        assert self.power_chip is not None
        if out:
            self.power_chip.write(at_ns, out)
        return self.power_chip.read(at_ns, count) if count else b""

    def levels(self, at_ns: int) -> int:
        """The chip's lines as bits, the first of `line_pins` lowest."""
        lines = self.chip.lines(at_ns)
        mask = 0
        for bit, name in enumerate(self._names):
            mask |= lines[name] << bit
        return mask

    def known_ns(self) -> int | None:
        """Up to when the lines stay as they are if nobody does anything; None: for ever."""
        known = self.chip.next_change()
        if self.chip.listening:
            quiet = self._antenna.quiet_until()
            if quiet is not None:
                known = min(known, quiet)
        return None if known >= FOREVER else known

    def _rail(self, at_ns: int, rail: str, on: bool) -> None:
        if rail == self._wiring.supply:
            self._feed(at_ns, on=on)

    def _feed(self, at_ns: int, *, on: bool) -> None:
        if on != self._powered:
            self._powered = on
            self.chip.supply(at_ns, on)

    def _connected(self, *, sending: bool) -> bool:
        return all(
            self._outputs.get(pin) == levels[0 if sending else 1]
            for pin, levels in self._wiring.switch.items()
        )


class _Switched(BoardAntenna):
    """The antenna behind a switch that GPIOs of the board move."""

    def __init__(self, air: Air, number: int, connected: Callable[..., bool]) -> None:
        super().__init__(air, number)
        self._is_connected = connected

    def transmit(self, start_ns: int, lora: LoRa, power_dbm: float, payload: bytes) -> int:
        lost = 0.0 if self._is_connected(sending=True) else NOT_CONNECTED_DB
        return super().transmit(start_ns, lora, power_dbm - lost, payload)

    def listen(self, open_ns: int, lora: LoRa, hears: Hears) -> Listening:
        if not self._is_connected(sending=False):
            return _Deaf()
        return super().listen(open_ns, lora, hears)


class _Deaf:
    """A receiver without an antenna."""

    def close(self, at_ns: int) -> None:
        """Nothing to close."""
