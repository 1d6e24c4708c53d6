"""What the SX1276's registers mean for the air, how long the chip takes, and where a setting contradicts the data sheet.

Numbers are from the SX1276/77/78/79 data sheet rev. 7 and the errata note for SX1276/77/78 rev. 1 (silicon 1b).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.antenna import LoRa

US: Final = 1_000
MS: Final = 1_000_000

POWER_ON_RESET: Final = 10 * MS
"""Section 7.2.1: SPI may be used from then on."""
RESET_LOW: Final = 100 * US
RESET_RECOVERY: Final = 5 * MS
"""Section 7.2.2: how long the reset pin is held low at least, and how long nobody may talk to the chip after it."""

OSCILLATOR: Final = 250 * US
"""TS_OSC of table 7: a crystal starts, typical."""
SYNTHESIZER: Final = 60 * US
"""TS_FS of table 7: the PLL locks, typical."""
IMAGE_CALIBRATION: Final = 10 * MS
"""Section 4.2.3.8, approximately."""

_RAMP_US: Final = (3400, 2000, 1000, 500, 250, 125, 100, 62, 50, 40, 31, 25, 20, 15, 12, 10)

BANDWIDTHS: Final = (7_810, 10_420, 15_630, 20_830, 31_250, 41_670, 62_500, 125_000, 250_000, 500_000)
"""By the Bw field of RegModemConfig1, Hz, rounded to 10 Hz; the narrow ones are divisors of 32 MHz."""
_EXACT: Final = tuple(Fraction(500_000, divisor) for divisor in (64, 48, 32, 24, 16, 12, 8, 4, 2, 1))

HF_PORT: Final = 779_000_000
"""From here on the high frequency port is used (section 2.4.3, table 8 with its footnote), Hz."""
_BANDS: Final = ((137_000_000, 175_000_000), (410_000_000, 525_000_000), (HF_PORT, 1_020_000_000))

_IF_FREQ_1: Final = (0x48, 0x44, 0x44, 0x44, 0x44, 0x44, 0x40, 0x40, 0x40)
"""Errata note 2.3: the value at 0x2F by bandwidth, with 0x00 at 0x30, once AutomaticIFOn is off."""
_NARROW: Final = 5
"""Errata note 2.3: up to this Bw field (41.7 kHz) the receiver is tuned one bandwidth above the channel."""
_LOW_RATE: Final = Fraction(16, 1000)
"""Section 4.1.1.6: symbols longer than this, s, need LowDataRateOptimize."""
_CAD_CYCLES: Final = 1_750_000
"""SX1272 data sheet 4.1.6: CAD computes for SF * 2**SF / 1.75 MHz after it has listened; that of the SX1276 has the curve
only, which this fits."""

_SUPPLY_MA: Final = ((17.0, 87.0), (20.0, 120.0))
"""Table 6: supply current by output power on PA_BOOST; below the first there is no figure."""


@dataclass(frozen=True, slots=True)
class Modem:
    """The LoRa modem's settings, and `frf`, the frequency word that the synthesizer has taken."""

    lora: bytes
    frf: int

    @property
    def bw(self) -> int:
        """The Bw field; a reserved value counts as 500 kHz."""
        return min(self.lora[reg.MODEM_CONFIG_1] >> 4, 9)

    @property
    def sf(self) -> int:
        """The spreading factor; a reserved value counts as the nearest that exists."""
        return max(6, min(self.lora[reg.MODEM_CONFIG_2] >> 4, 12))

    @property
    def explicit(self) -> bool:
        """Whether frames have a header."""
        return not self.lora[reg.MODEM_CONFIG_1] & 0x01

    @property
    def symbol(self) -> Fraction:
        """Duration of a symbol, s."""
        return (1 << self.sf) / _EXACT[self.bw]

    @property
    def frequency(self) -> int:
        """What the synthesizer makes, Hz: steps of 32 MHz / 2**19 (section 4.1.4)."""
        return (self.frf * 32_000_000 + (1 << 18)) >> 19

    @property
    def hears_at(self) -> int:
        """The channel that is received, Hz: with AutomaticIFOn off a narrow one lies a bandwidth below (errata note 2.3)."""
        if self.bw <= _NARROW and not self.lora[reg.DETECT_OPTIMIZE] & 0x80:
            return self.frequency - BANDWIDTHS[self.bw]
        return self.frequency

    @property
    def sends_inverted(self) -> bool:
        """InvertIQ_TX is active low, other than the data sheet's text has it; so its reset value means not inverted."""
        return not self.lora[reg.INVERT_IQ] & 0x01

    @property
    def hears_inverted(self) -> bool:
        """InvertIQ_RX."""
        return bool(self.lora[reg.INVERT_IQ] & 0x40)

    def on_air(self, *, sending: bool) -> LoRa:
        """How a frame is sent or listened for."""
        lora = self.lora
        return LoRa(
            frequency=self.frequency if sending else self.hears_at,
            sf=self.sf,
            bandwidth=BANDWIDTHS[self.bw],
            coding_rate=max(1, min((lora[reg.MODEM_CONFIG_1] >> 1) & 0x07, 4)),
            preamble=lora[reg.PREAMBLE_MSB] << 8 | lora[reg.PREAMBLE_LSB],
            sync_word=lora[reg.SYNC_WORD],
            inverted=self.sends_inverted if sending else self.hears_inverted,
            explicit=self.explicit,
            crc=bool(lora[reg.MODEM_CONFIG_2] & 0x04),
            low_rate=bool(lora[reg.MODEM_CONFIG_3] & 0x08),
            length=0 if self.explicit else lora[reg.PAYLOAD_LENGTH],
        )

    @property
    def symbol_timeout(self) -> int:
        """SymbTimeout, symbols."""
        return (self.lora[reg.MODEM_CONFIG_2] & 0x03) << 8 | self.lora[reg.SYMB_TIMEOUT_LSB]

    @property
    def receiver_ns(self) -> int:
        """From the locked PLL until symbols count. Section 4.1.5 has the receiver on for (2**SF + 32) / BW to see one symbol."""
        return _ns(32 / _EXACT[self.bw])

    @property
    def ramp_ns(self) -> int:
        """TS_TR: from the locked PLL until the PA is up, 5 µs + 1.25 * PaRamp (section 4.2.6.1)."""
        return 5 * US + _RAMP_US[self.lora[reg.PA_RAMP] & 0x0F] * US * 5 // 4

    @property
    def window_ns(self) -> int:
        """How long RXSINGLE searches for a preamble."""
        return _ns(self.symbol_timeout * self.symbol)

    @property
    def cad_ns(self) -> tuple[int, int]:
        """How long CAD listens, after the PLL has locked, and how long it then computes (section 4.1.5)."""
        return _ns((32 + (1 << self.sf)) / _EXACT[self.bw]), _ns(Fraction(self.sf << self.sf, _CAD_CYCLES))

    # -- power

    @property
    def boost(self) -> bool:
        """Whether PA_BOOST sends, not RFO."""
        return bool(self.lora[reg.PA_CONFIG] & 0x80)

    @property
    def power_dbm(self) -> float:
        """What leaves the selected pin (section 5.4.2, 5.4.3)."""
        config = self.lora[reg.PA_CONFIG]
        below = 15 - (config & 0x0F)
        if self.boost:
            return (20.0 if self.lora[reg.PA_DAC] & 0x07 == 0x07 else 17.0) - below
        return round(10.8 + 0.6 * (config >> 4 & 0x07) - below, 1)

    @property
    def limit_ma(self) -> int | None:
        """Where the over current protection cuts in (section 5.4.4), mA; None: it is off."""
        ocp = self.lora[reg.OCP]
        if not ocp & 0x20:
            return None
        trim = ocp & 0x1F
        if trim <= 15:
            return 45 + 5 * trim
        return min(-30 + 10 * trim, 240)

    # -- what the data sheet has against it

    def faults(self) -> Iterator[str]:
        """What is wrong whether sending or receiving."""
        lora = self.lora
        if lora[reg.MODEM_CONFIG_1] >> 4 > 9:
            yield "RegModemConfig1 (0x1D): reserved bandwidth"
        if not 1 <= (lora[reg.MODEM_CONFIG_1] >> 1) & 0x07 <= 4:
            yield "RegModemConfig1 (0x1D): reserved coding rate"
        if not 6 <= lora[reg.MODEM_CONFIG_2] >> 4 <= 12:
            yield "RegModemConfig2 (0x1E): reserved spreading factor"
        if not any(low <= self.frequency <= high for low, high in _BANDS):
            yield f"RegFrf (0x06-0x08): {self.frequency} Hz is in none of the chip's bands"
        if self.symbol > _LOW_RATE and not lora[reg.MODEM_CONFIG_3] & 0x08:
            yield "RegModemConfig3 (0x26): a symbol longer than 16 ms needs LowDataRateOptimize"
        detect, threshold = (0x05, 0x0C) if self.sf == 6 else (0x03, 0x0A)
        if lora[reg.DETECT_OPTIMIZE] & 0x07 != detect or lora[reg.DETECTION_THRESHOLD] != threshold:
            yield f"SF{self.sf} needs 0x{detect:02X} in RegDetectOptimize (0x31) and 0x{threshold:02X} in 0x37"
        if self.sf == 6 and self.explicit:
            yield "RegModemConfig1 (0x1D): SF6 works with implicit headers only"
        if (lora[reg.PREAMBLE_MSB] << 8 | lora[reg.PREAMBLE_LSB]) < 6:
            yield "RegPreamble (0x20, 0x21): at least 6 symbols"
        if lora[reg.HOP_PERIOD]:
            yield "RegHopPeriod (0x24): frequency hopping is not modelled"

    def sending_faults(self, *, pa_boost: bool) -> Iterator[str]:
        """What is wrong with sending, on a board whose antenna is on PA_BOOST, or else on RFO."""
        lora = self.lora
        yield from self.faults()
        if lora[reg.PAYLOAD_LENGTH] == 0:
            yield "RegPayloadLength (0x22): 0 is not permitted"
        if lora[reg.INVERT_IQ_2] != (0x19 if self.sends_inverted else 0x1D):
            yield self._inversion("sending", inverted=self.sends_inverted)
        yield from self.power_faults(pa_boost=pa_boost)

    def power_faults(self, *, pa_boost: bool) -> Iterator[str]:
        """What is wrong with the power amplifier's settings."""
        if self.boost != pa_boost:
            yield f"RegPaConfig (0x09): sends on {_pin(boost=self.boost)}, the antenna is on {_pin(boost=pa_boost)}"
        dac = self.lora[reg.PA_DAC] & 0x07
        if dac not in (0x04, 0x07):
            yield "RegPaDac (0x4D): 0x84 or 0x87"
        elif dac == 0x07 and not self.boost:
            yield "RegPaDac (0x4D): high power is for PA_BOOST only"
        need = _supply_ma(self.power_dbm) if self.boost else 0
        limit = self.limit_ma
        if limit is not None and limit < need:
            yield f"RegOcp (0x0B): {limit} mA is too low for {self.power_dbm:g} dBm, which takes {need:.0f} mA"

    def receiving_faults(self, *, single: bool) -> Iterator[str]:
        """What is wrong with receiving."""
        lora = self.lora
        yield from self.faults()
        if lora[reg.INVERT_IQ_2] != (0x19 if self.hears_inverted else 0x1D):
            yield self._inversion("receiving", inverted=self.hears_inverted)
        if not self.explicit and lora[reg.PAYLOAD_LENGTH] == 0:
            yield "RegPayloadLength (0x22): an implicit header needs the length that is expected"
        if single and self.symbol_timeout < 4:
            yield f"SymbTimeout (0x1E, 0x1F): {self.symbol_timeout} symbols, at least 4"
        if lora[reg.LNA] & 0x03 not in (0x00, 0x03):
            yield "RegLna (0x0C): reserved LnaBoostHf"
        yield from self._errata()

    def _errata(self) -> Iterator[str]:
        lora = self.lora
        optimize = (lora[reg.HIGH_BW_OPTIMIZE_1], lora[reg.HIGH_BW_OPTIMIZE_2])
        if self.bw == 9:
            second = 0x64 if self.frequency >= HF_PORT else 0x7F
            if optimize != (0x02, second):
                yield f"errata note 2.1: at 500 kHz 0x36 must be 0x02 and 0x3A 0x{second:02X}"
            if not lora[reg.DETECT_OPTIMIZE] & 0x80:
                yield "errata note 2.3: at 500 kHz AutomaticIFOn (0x31) must be on"
            return
        if optimize[0] != 0x03:
            yield "errata note 2.1: below 500 kHz 0x36 must be 0x03"
        if lora[reg.DETECT_OPTIMIZE] & 0x80:
            yield "errata note 2.3: below 500 kHz AutomaticIFOn (0x31) must be off"
        elif (lora[reg.IF_FREQ_1], lora[reg.IF_FREQ_2]) != (_IF_FREQ_1[self.bw], 0x00):
            yield (
                f"errata note 2.3: at {BANDWIDTHS[self.bw]} Hz 0x2F must be 0x{_IF_FREQ_1[self.bw]:02X} and 0x30 0x00"
            )

    def _inversion(self, doing: str, *, inverted: bool) -> str:
        how, value = ("inverted", 0x19) if inverted else ("not inverted", 0x1D)
        return f"RegInvertIQ (0x33) has {doing} {how}, which needs 0x{value:02X} in RegInvertIQ2 (0x3B)"


def snr_register(snr: float) -> int:
    """RegPktSnrValue: quarters of dB, two's complement."""
    return max(-128, min(round(snr * 4), 127)) & 0xFF


def packet_rssi_register(rssi: float, snr: float, *, high: bool) -> int:
    """RegPktRssiValue for a signal of `rssi` dBm: section 5.5.5, solved for the register.

    Below the noise it shows signal and noise together, and the SNR has to be added to it. Above, it rises by 15/16 dB per dB.
    """
    above = rssi + (157 if high else 164)
    return _byte(above - snr if snr < 0 else above * 15 / 16)


def rssi_register(dbm: float, *, high: bool) -> int:
    """RegRssiValue."""
    return _byte(dbm + (157 if high else 164))


def _byte(value: float) -> int:
    return max(0, min(round(value), 255))


def _ns(seconds: Fraction) -> int:
    return round(seconds * 1_000_000_000)


def _pin(*, boost: bool) -> str:
    return "PA_BOOST" if boost else "RFO"


def _supply_ma(power_dbm: float) -> float:
    (low, low_ma), (high, high_ma) = _SUPPLY_MA
    if power_dbm < low:
        return 0.0
    return low_ma + (power_dbm - low) * (high_ma - low_ma) / (high - low)
