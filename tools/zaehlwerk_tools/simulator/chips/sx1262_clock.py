"""The SX1262's 32 MHz clock and what is calibrated against it: SX1261/2 data sheet rev. 2.1, sections 9.2 and 13.3.6."""

from __future__ import annotations

from typing import Final

from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    ERROR_ADC_CALIB,
    ERROR_IMG_CALIB,
    ERROR_PLL_CALIB,
    ERROR_RC13M_CALIB,
    ERROR_RC64K_CALIB,
    STATUS_PROCESSING_ERROR,
    Refused,
)
from zaehlwerk_tools.simulator.chips.sx1262_timing import RTC_STEP, TCXO_START_UP

TCXO_MV: Final = (1600, 1700, 1800, 2200, 2400, 2700, 3000, 3300)
"""Table 13-35, by tcxoVoltage."""

# Table 13-18, by bit of calibParam: the block, and the error when it cannot be calibrated.
_BLOCKS: Final = (
    ("RC64k", ERROR_RC64K_CALIB),
    ("RC13M", ERROR_RC13M_CALIB),
    ("PLL", ERROR_PLL_CALIB),
    ("ADC pulse", ERROR_ADC_CALIB),
    ("ADC bulk N", ERROR_ADC_CALIB),
    ("ADC bulk P", ERROR_ADC_CALIB),
    ("image", ERROR_IMG_CALIB),
)
_WITHOUT_IMAGE: Final = 0x3F
IMAGE: Final = 0x40

_IMAGE_STEP_HZ: Final = 4_000_000
"""The frequencies of CalibrateImage count 4 MHz (table 9-2: 863 to 870 MHz is 0xD7, 0xDB)."""
_IMAGE_DEFAULT: Final = (0xE1, 0xE9)
"""Table 9-2: 902 to 928 MHz, until told otherwise."""


class Clock:
    """The oscillator. tcxo_mv: what is connected is a TCXO that DIO3 feeds and that needs this voltage; None: a crystal."""

    def __init__(self, tcxo_mv: int | None) -> None:
        self._tcxo_mv = tcxo_mv
        self.cold_start()

    def cold_start(self) -> None:
        """As after power-on: of a TCXO the chip knows nothing yet, so its calibrations failed (section 13.3.6)."""
        self.running = False
        self.supply_mv: int | None = None
        self.delay_ns = 0
        self._calibrated = 0 if self._tcxo_mv is not None else _WITHOUT_IMAGE | IMAGE
        self._image = _IMAGE_DEFAULT

    @property
    def starts_at_power_on(self) -> bool:
        """Whether the clock comes without DIO3."""
        return self._tcxo_mv is None

    def feed_tcxo(self, parameters: bytes) -> None:
        """SetDIO3AsTCXOCtrl: voltage code, delay in steps of 15.625 µs. Raises Refused."""
        if parameters[0] >= len(TCXO_MV):
            raise Refused(f"tcxoVoltage 0x{parameters[0]:02X} is not in table 13-35", STATUS_PROCESSING_ERROR)
        self.supply_mv = TCXO_MV[parameters[0]]
        self.delay_ns = int.from_bytes(parameters[1:4], "big") * RTC_STEP

    def obstacle(self) -> str | None:
        """Why there are no 32 MHz when the chip has waited for them; None: there are."""
        if self._tcxo_mv is None:
            if self.supply_mv is not None:
                return "the crystal does not run as a TCXO: this board has none at DIO3"
            return None
        if self.supply_mv is None:
            return "the TCXO has no supply: SetDIO3AsTCXOCtrl is missing"
        if self.supply_mv < self._tcxo_mv:
            return f"the TCXO needs {self._tcxo_mv} mV and gets {self.supply_mv} mV"
        if self.delay_ns < TCXO_START_UP:
            return f"the TCXO takes {TCXO_START_UP // 1000} µs to start and gets {self.delay_ns // 1000} µs"
        return None

    def calibrate(self, blocks: int) -> None:
        """The blocks of calibParam, with the clock running."""
        self._calibrated |= blocks

    def calibrate_image(self, first: int, last: int) -> None:
        """The image rejection between two frequencies in steps of 4 MHz, with the clock running."""
        self._image = (first, last)
        self._calibrated |= IMAGE

    def uncalibrated(self) -> str | None:
        """The blocks that were never calibrated with this clock, image apart; None: all were."""
        missing = _WITHOUT_IMAGE & ~self._calibrated
        return ", ".join(name for bit, (name, _) in enumerate(_BLOCKS) if missing >> bit & 1) or None

    def image_fits(self, frequency: int) -> bool:
        """Whether the image rejection is calibrated for a frequency in Hz."""
        first, last = self._image
        return bool(self._calibrated & IMAGE) and first * _IMAGE_STEP_HZ <= frequency <= last * _IMAGE_STEP_HZ


def calibration_errors(blocks: int) -> int:
    """The device errors of blocks that could not be calibrated."""
    errors = 0
    for bit, (_, error) in enumerate(_BLOCKS):
        if blocks >> bit & 1:
            errors |= error
    return errors
