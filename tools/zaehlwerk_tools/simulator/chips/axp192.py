"""An AXP192 as far as a radio and a battery gauge need it: rails and the ADC of the battery's voltage.

Registers as in X-Powers' AXP192 data sheet, section 10. On a T-Beam V1.1 DCDC3 feeds the ESP32, LDO2 the radio and LDO3 the
GNSS receiver (LilyGO's examples for the board).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from zaehlwerk_tools.simulator.chips.power_chip import PowerChip, Rail

_CHIP_ID = 0x03
_EXTEN_DCDC2 = 0x10
_OUTPUTS = 0x12
_DCDC2 = 0x23
_DCDC1 = 0x26
_DCDC3 = 0x27
_LDO23 = 0x28
_BATTERY_HIGH, _BATTERY_LOW = 0x78, 0x79
_ADC_ENABLE_1 = 0x82
_BATTERY_VOLTAGE_ON = 0x80


class Axp192(PowerChip):
    """The chip, at address 0x34.

    LDO2 and LDO3 are off after power-on: the data sheet leaves the first state of the outputs to how a chip was ordered,
    and LilyGO's and most other programs for this board switch both on before they use what hangs on them.
    """

    RAILS: ClassVar = MappingProxyType(
        {
            "dcdc1": Rail(_OUTPUTS, 0, _DCDC1, 0x7F, 700, 25),
            "dcdc3": Rail(_OUTPUTS, 1, _DCDC3, 0x7F, 700, 25),
            "ldo2": Rail(_OUTPUTS, 2, _LDO23, 0xF0, 1800, 100),
            "ldo3": Rail(_OUTPUTS, 3, _LDO23, 0x0F, 1800, 100),
            "dcdc2": Rail(_OUTPUTS, 4, _DCDC2, 0x3F, 700, 25),
            "exten": Rail(_OUTPUTS, 6),
        }
    )
    AFTER_POWER_ON: ClassVar = MappingProxyType(
        {
            0x01: 0x20,  # a battery is there
            _CHIP_ID: 0x03,
            _EXTEN_DCDC2: 0x00,
            _OUTPUTS: 0x03,
            _DCDC2: 0x16,
            _DCDC1: 0x68,
            _DCDC3: 0x68,
            _LDO23: 0xCF,
            0x82: 0x83,
            0x83: 0x80,
            0x84: 0x32,
        }
    )
    READ_ONLY: ClassVar = frozenset([0x00, 0x01, _CHIP_ID, *range(0x56, 0x80)])
    CLEARED_BY_ONES: ClassVar = frozenset([0x44, 0x45, 0x46, 0x47, 0x4D])

    def _read(self, register: int) -> int:
        if register in (_BATTERY_HIGH, _BATTERY_LOW):
            if not self._registers[_ADC_ENABLE_1] & _BATTERY_VOLTAGE_ON:
                return 0
            # 12 bits in steps of 1.1 mV, the upper eight first.
            steps = min(0xFFF, (self.battery_mv * 10 + 5) // 11)
            return steps >> 4 if register == _BATTERY_HIGH else steps & 0x0F
        return super()._read(register)

    def _write(self, register: int, value: int) -> None:
        super()._write(register, value)
        # EXTEN and DC-DC2 have a switch in both registers.
        if register == _EXTEN_DCDC2:
            outputs = self._registers[_OUTPUTS] & ~0x50
            self._registers[_OUTPUTS] = outputs | (value & 0x04) << 4 | (value & 0x01) << 4
        elif register == _OUTPUTS:
            self._registers[_EXTEN_DCDC2] = (value & 0x40) >> 4 | (value & 0x10) >> 4
