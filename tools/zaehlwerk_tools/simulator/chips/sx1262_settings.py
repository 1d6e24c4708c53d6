"""What the SX1262 is told to send and to listen for: SX1261/2 data sheet rev. 2.1, sections 13.1 and 13.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from zaehlwerk_tools.simulator.chips.antenna import LoRa
from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    MODE_FS,
    MODE_STDBY_RC,
    MODE_STDBY_XOSC,
    STATUS_PROCESSING_ERROR,
    Refused,
)
from zaehlwerk_tools.simulator.chips.sx1262_timing import RAMP, RTC_STEP

GFSK: Final = 0
LORA: Final = 1
_PACKET_TYPES: Final = 4
_LENGTHS: Final = {GFSK: (8, 9), LORA: (4, 6)}
"""How many parameters a modem reads of SetModulationParams and SetPacketParams."""

_BANDWIDTHS: Final = {
    # Table 13-48, Hz.
    0x00: 7_812,
    0x08: 10_417,
    0x01: 15_625,
    0x09: 20_833,
    0x02: 31_250,
    0x0A: 41_667,
    0x03: 62_500,
    0x04: 125_000,
    0x05: 250_000,
    0x06: 500_000,
}
BANDWIDTH_500_KHZ: Final = 500_000
_CODING_RATES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 1, 6: 2, 7: 4}
"""Table 13-49; 5 to 7 are those with the long interleaver."""
_SPREADING_FACTORS: Final = range(5, 13)

_PLL_SHIFT: Final = 25
_CRYSTAL_HZ: Final = 32_000_000
_FREQUENCY_GRID: Final = 100
"""A PLL step is 0.95 Hz. What a driver wanted is found again on LoRaWAN's own grid of 100 Hz."""
_LOWEST_HZ: Final = 150_000_000
_HIGHEST_HZ: Final = 960_000_000

_FALLBACK: Final = {0x20: MODE_STDBY_RC, 0x30: MODE_STDBY_XOSC, 0x40: MODE_FS}
"""Table 13-23."""

_POWER: Final = range(-9, 23)
"""Section 13.4.4, high power PA, dBm."""
_POWER_MOST: Final = 22
_PA_DUTY_CYCLE_MOST: Final = 4
_PA_HP_MAX_MOST: Final = 7
_PA_OUTPUT: Final = ((7, 22), (5, 20), (3, 17), (2, 14))
"""Table 13-21: hpMax, and what leaves the pin with 22 dBm in SetTxParams. In between, as for the smaller hpMax."""
_PA_OUTPUT_LEAST: Final = 10

_CAD_SYMBOLS: Final = (1, 2, 4, 8, 16)
"""Table 13-72."""
CAD_RX: Final = 0x01
CAD_LBT: Final = 0x10


class Modulation(NamedTuple):
    """LoRa's modulation; bandwidth in Hz."""

    sf: int
    bandwidth: int
    coding_rate: int
    low_rate: bool

    @property
    def symbol_ns(self) -> int:
        """Duration of a symbol."""
        return (1_000_000_000 << self.sf) // self.bandwidth


class Packet(NamedTuple):
    """LoRa's packet; length: of the payload to send, or the longest to receive."""

    preamble: int
    explicit: bool
    length: int
    crc: bool
    inverted: bool


class Cad(NamedTuple):
    """Channel activity detection; leave: what follows it."""

    symbols: int
    leave: int
    timeout_ns: int


class Settings:
    """All that a warm sleep keeps. `complain` is told what the data sheet forbids and the chip does nevertheless."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self.reset()

    def reset(self) -> None:
        """As after power-on."""
        self.packet_type: int | None = None
        self.modulation: Modulation | None = None
        self.packet: Packet | None = None
        self.frequency: int | None = None
        self.pa: tuple[int, int] | None = None  # paDutyCycle, hpMax of the high power PA
        self.power = 14
        self.ramp_ns = RAMP[0]
        self.fallback = MODE_STDBY_RC
        self.tx_base = self.rx_base = 0
        self.stop_timer_on_preamble = False
        self.cad = Cad(1, 0, 0)
        self.dio2_switch = False
        self.sleep_ns = 0
        self._ordered = False

    @property
    def is_lora(self) -> bool:
        """Whether the LoRa modem is the one in use."""
        return self.packet_type == LORA

    def set_packet_type(self, parameters: bytes) -> bool:
        """SetPacketType; whether it switched from one modem to another. Raises Refused."""
        kind = parameters[0]
        if kind >= _PACKET_TYPES:
            raise Refused(f"PacketType 0x{kind:02X} is not in table 13-38", STATUS_PROCESSING_ERROR)
        switched = kind != (self.packet_type or GFSK)
        if switched:
            self.modulation = self.packet = None
        self.packet_type = kind
        return switched

    def set_modulation(self, parameters: bytes) -> None:
        """SetModulationParams. Raises Refused."""
        modem = self._modem("SetModulationParams", len(parameters), 0)
        if modem != LORA:
            return
        sf, bandwidth, coding_rate, low_rate = parameters[:4]
        if sf not in _SPREADING_FACTORS:
            raise Refused(f"SF 0x{sf:02X} is not in table 13-47", STATUS_PROCESSING_ERROR)
        if bandwidth not in _BANDWIDTHS:
            raise Refused(f"BW 0x{bandwidth:02X} is not in table 13-48", STATUS_PROCESSING_ERROR)
        if coding_rate not in _CODING_RATES:
            raise Refused(f"CR 0x{coding_rate:02X} is not in table 13-49", STATUS_PROCESSING_ERROR)
        if low_rate > 1:
            raise Refused(
                f"LowDataRateOptimize 0x{low_rate:02X} is not in table 13-50", STATUS_PROCESSING_ERROR
            )
        self.modulation = Modulation(sf, _BANDWIDTHS[bandwidth], _CODING_RATES[coding_rate], low_rate == 1)

    def set_packet(self, parameters: bytes) -> None:
        """SetPacketParams. Raises Refused."""
        modem = self._modem("SetPacketParams", len(parameters), 1)
        if modem != LORA:
            return
        if self.modulation is None:
            self._complain("SetPacketParams before SetModulationParams (14.5)")
        preamble = int.from_bytes(parameters[:2], "big")
        header, length, crc, inverted = parameters[2:6]
        if preamble == 0:
            raise Refused("PreambleLength 0 is not in table 13-66", STATUS_PROCESSING_ERROR)
        if max(header, crc, inverted) > 1:
            raise Refused("HeaderType, CRCType and InvertIQ are 0 or 1 (13.4.6.2)", STATUS_PROCESSING_ERROR)
        self.packet = Packet(preamble, header == 0, length, crc == 1, inverted == 1)

    def set_frequency(self, parameters: bytes) -> None:
        """SetRfFrequency. Raises Refused."""
        steps = int.from_bytes(parameters, "big")
        hertz = steps * _CRYSTAL_HZ / (1 << _PLL_SHIFT)
        frequency = round(hertz / _FREQUENCY_GRID) * _FREQUENCY_GRID
        if not _LOWEST_HZ <= frequency <= _HIGHEST_HZ:
            raise Refused(f"{frequency} Hz is outside 150 to 960 MHz (3.3)")
        self.frequency = frequency

    def set_pa(self, parameters: bytes) -> None:
        """SetPaConfig."""
        duty_cycle, hp_max, device, lut = parameters
        if duty_cycle > _PA_DUTY_CYCLE_MOST:
            self._complain(f"paDutyCycle 0x{duty_cycle:02X} damages an SX1262, at most 0x04 (13.1.14)")
        if hp_max > _PA_HP_MAX_MOST:
            self._complain(f"hpMax 0x{hp_max:02X} ages an SX1262, at most 0x07 (13.1.14)")
        if device != 0:
            self._complain("deviceSel 1 is an SX1261's PA (13.1.14)")
        if lut != 1:
            self._complain(f"paLut 0x{lut:02X}, always 0x01 (13.1.14)")
        self.pa = None if device != 0 else (duty_cycle, hp_max)

    def set_tx(self, parameters: bytes) -> None:
        """SetTxParams. Raises Refused."""
        power = int.from_bytes(parameters[:1], "big", signed=True)
        if parameters[1] >= len(RAMP):
            raise Refused(f"RampTime 0x{parameters[1]:02X} is not in table 13-41", STATUS_PROCESSING_ERROR)
        if power not in _POWER:
            self._complain(f"SetTxParams with {power} dBm, from -9 to 22 dBm (13.4.4)")
        self.power = min(max(power, _POWER[0]), _POWER[-1])
        self.ramp_ns = RAMP[parameters[1]]

    def set_fallback(self, parameters: bytes) -> None:
        """SetRxTxFallbackMode. Raises Refused."""
        if parameters[0] not in _FALLBACK:
            raise Refused(
                f"fallbackMode 0x{parameters[0]:02X} is not in table 13-23", STATUS_PROCESSING_ERROR
            )
        self.fallback = _FALLBACK[parameters[0]]

    def set_cad(self, parameters: bytes) -> None:
        """SetCadParams. Raises Refused."""
        symbols, leave = parameters[0], parameters[3]
        if symbols >= len(_CAD_SYMBOLS):
            raise Refused(f"cadSymbolNum 0x{symbols:02X} is not in table 13-72", STATUS_PROCESSING_ERROR)
        if leave not in (0, CAD_RX, CAD_LBT):
            raise Refused(f"cadExitMode 0x{leave:02X} is not in table 13-73", STATUS_PROCESSING_ERROR)
        self.cad = Cad(_CAD_SYMBOLS[symbols], leave, int.from_bytes(parameters[4:7], "big") * RTC_STEP)

    def output_dbm(self) -> int:
        """What leaves the pin of the high power PA."""
        assert self.pa is not None
        hp_max = self.pa[1]
        most = next((dbm for least, dbm in _PA_OUTPUT if hp_max >= least), _PA_OUTPUT_LEAST)
        return self.power - (_POWER_MOST - most)

    def lora(self, sync_word: int, *, sending: bool) -> LoRa:
        """How the antenna is to send or to listen. Everything that it needs has been set."""
        assert self.modulation is not None
        assert self.packet is not None
        assert self.frequency is not None
        sf, bandwidth, coding_rate, low_rate = self.modulation
        preamble, explicit, length, crc, inverted = self.packet
        return LoRa(
            self.frequency,
            sf,
            bandwidth,
            coding_rate,
            preamble,
            sync_word,
            inverted,
            explicit,
            crc if sending or not explicit else True,
            low_rate,
            0 if explicit else length,
        )

    def _modem(self, command: str, count: int, which: int) -> int:
        if self.packet_type is None:
            raise Refused(f"{command} before SetPacketType (14.5)")
        needed = _LENGTHS.get(self.packet_type, (1, 1))[which]
        if count < needed:
            raise Refused(f"{command} with {count} parameters instead of {needed}", STATUS_PROCESSING_ERROR)
        return self.packet_type
