"""Which chip in software stands for which chip on a board."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zaehlwerk_tools.simulator.chips.antenna import Antenna
from zaehlwerk_tools.simulator.chips.chip import Chip
from zaehlwerk_tools.simulator.hardware import RadioWiring

if TYPE_CHECKING:
    from zaehlwerk_tools.simulator.chips.power_chip import PowerChip


def make_chip(wiring: RadioWiring, antenna: Antenna) -> Chip:
    """The radio chip that `wiring` names, without supply. ValueError if the simulator has none of that name."""
    if wiring.chip == "sx1262":
        from zaehlwerk_tools.simulator.chips.sx1262 import Sx1262  # noqa: PLC0415

        return Sx1262(antenna, tcxo_mv=wiring.tcxo_mv, dio2_switch=wiring.dio2_switch)
    if wiring.chip == "sx1276":
        from zaehlwerk_tools.simulator.chips.sx1276 import Sx1276  # noqa: PLC0415

        return Sx1276(antenna, pa_boost=wiring.pa_boost)
    raise ValueError(f"radio chip {wiring.chip!r}: the simulator knows sx1262 and sx1276")


def make_power_chip(name: str, battery_mv: int) -> PowerChip:
    """The power chip of that name, without supply. ValueError if the simulator has none."""
    if name == "axp192":
        from zaehlwerk_tools.simulator.chips.axp192 import Axp192  # noqa: PLC0415

        return Axp192(battery_mv)
    if name == "axp2101":
        from zaehlwerk_tools.simulator.chips.axp2101 import Axp2101  # noqa: PLC0415

        return Axp2101(battery_mv)
    raise ValueError(f"power chip {name!r}: the simulator knows axp192 and axp2101")
