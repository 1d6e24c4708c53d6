"""An AXP2101 as far as a radio and a battery gauge need it: rails and the ADC of the battery's voltage.

Registers as in X-Powers' AXP2101 data sheet V1.0, section 6. On a T-Beam V1.2 DCDC1 feeds the ESP32, ALDO2 the radio and ALDO3
the GNSS receiver (LilyGO's table of channels).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from zaehlwerk_tools.simulator.chips.power_chip import PowerChip, Rail

_STATUS_1 = 0x00
_CHIP_ID = 0x03
_ADC_ENABLE = 0x30
_BATTERY_HIGH, _BATTERY_LOW = 0x34, 0x35
_DCDC_ON = 0x80
_DCDC1 = 0x82
_LDO_ON_0, _LDO_ON_1 = 0x90, 0x91
_ALDO1 = 0x92
_BATTERY_VOLTAGE_ON = 0x01
_LINEAR = ("aldo1", "aldo2", "aldo3", "aldo4", "bldo1", "bldo2")


class Axp2101(PowerChip):
    """The chip, at address 0x34.

    Only DCDC1 is on after power-on. What is on is burnt into a chip; firmware that knew no AXP2101 found no radio on a
    T-Beam V1.2 (history of markqvist/RNode_Firmware).
    """

    RAILS: ClassVar = MappingProxyType(
        {
            "dcdc1": Rail(_DCDC_ON, 0, _DCDC1, 0x1F, 1500, 100),
            **{f"dcdc{number}": Rail(_DCDC_ON, number - 1) for number in range(2, 6)},
            **{
                name: Rail(_LDO_ON_0, index, _ALDO1 + index, 0x1F, 500, 100)
                for index, name in enumerate(_LINEAR)
            },
            "cpusldo": Rail(_LDO_ON_0, 6),
            "dldo1": Rail(_LDO_ON_0, 7),
            "dldo2": Rail(_LDO_ON_1, 0),
        }
    )
    AFTER_POWER_ON: ClassVar = MappingProxyType(
        {
            _STATUS_1: 0x08,  # a battery is there
            _CHIP_ID: 0x4A,
            _DCDC_ON: 0x01,
            _DCDC1: 0x12,
            **{_ALDO1 + index: 0x1C for index in range(len(_LINEAR))},
        }
    )
    READ_ONLY: ClassVar = frozenset([_STATUS_1, 0x01, _CHIP_ID, *range(0x34, 0x3E), 0xA4])
    CLEARED_BY_ONES: ClassVar = frozenset([0x48, 0x49, 0x4A])

    def _read(self, register: int) -> int:
        if register in (_BATTERY_HIGH, _BATTERY_LOW):
            if not self._registers[_ADC_ENABLE] & _BATTERY_VOLTAGE_ON:
                return 0
            # 14 bits of whole millivolts, the upper six first.
            millivolts = min(0x3FFF, self.battery_mv)
            return millivolts >> 8 if register == _BATTERY_HIGH else millivolts & 0xFF
        return super()._read(register)
