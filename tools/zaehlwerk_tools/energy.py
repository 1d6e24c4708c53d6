"""Charge that a node takes per day, from the time its radio and its processor spend in each state and the
data sheets' typical currents at 25 °C and 3.3 V.

Currents are in microamperes, charges in milliampere hours. Three of the boards feed 3.3 V by a linear
regulator, the T-Beam by a converter that does no worse: what is taken at 3.3 V counts as taken from the
battery. Where a data sheet has no figure for a power, that of the next higher one is taken; where nobody has
published a figure at all, the part is left out and named in `Consumption.left_out`: a total is then too low
by what that part takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

_NS_PER_HOUR: Final = 3_600_000_000_000
_HOURS_PER_DAY: Final = 24
_UA_PER_MA: Final = 1000
# Times of one board are read one after the other: they may differ by this share of the span, or by a
# millisecond.
_TOLERANCE: Final = 1_000_000
_LEAST_TOLERANCE_NS: Final = 1_000_000

_TX: Final = "tx"


class EnergyError(ValueError):
    """Times or a state that no consumption follows from; the text says which."""


@dataclass(frozen=True, slots=True)
class Radio:
    """Supply currents of a radio chip in µA: by state, and while sending by output power in dBm. source:
    where they are written."""

    name: str
    states: Mapping[str, float]
    sending: Mapping[int, float]
    source: str

    def current(self, state: str) -> float:
        """The current in a state as `Chip.time_in` names it ("off", "rx", "tx14", …). Raises EnergyError."""
        if state in self.states:
            return self.states[state]
        power = state.removeprefix(_TX)
        if state.startswith(_TX) and power.removeprefix("-").isdecimal():
            enough = [known for known in self.sending if known >= int(power)]
            if enough:
                return self.sending[min(enough)]
            raise EnergyError(
                f"{self.name}: no figure for {power} dBm, the highest is {max(self.sending)} dBm"
            )
        raise EnergyError(f"{self.name} has no state {state!r} (it has {', '.join(self.states)} and tx<dBm>)")


@dataclass(frozen=True, slots=True)
class Processor:
    """Supply currents of a processor in µA by state, Wi-Fi and Bluetooth off: "active" computes, "idle" waits
    for an interrupt with its clock running, "light_sleep" keeps its memory."""

    name: str
    states: Mapping[str, float]
    source: str

    def current(self, state: str) -> float:
        """The current in a state. Raises EnergyError."""
        if state not in self.states:
            raise EnergyError(f"{self.name} has no state {state!r} (it has {', '.join(self.states)})")
        return self.states[state]


@dataclass(frozen=True, slots=True)
class Board:
    """A board: its parts, and what the rest of it takes always, in µA by part. left_out: parts that take
    something of which no figure is public."""

    name: str
    radio: Radio
    processors: Mapping[int, Processor]
    rest: Mapping[str, float] = field(default_factory=dict)
    rest_source: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Consumption:
    """Charge per day in mAh: of radio and processor by state, of the rest of the board by part."""

    radio: Mapping[str, float]
    processor: Mapping[str, float]
    rest: Mapping[str, float]
    left_out: tuple[str, ...]

    @property
    def total(self) -> float:
        """Charge per day in mAh, without what is `left_out`."""
        return sum(self.radio.values()) + sum(self.processor.values()) + sum(self.rest.values())

    def days(self, battery_mah: float) -> float:
        """Days that a battery of so many usable mAh lasts; self-discharge, ageing and cold are the caller's
        to subtract. Raises EnergyError for a battery that is none."""
        if battery_mah <= 0:
            raise EnergyError(f"a battery of {battery_mah} mAh is none")
        return battery_mah / self.total if self.total else float("inf")


def consumption(
    board: Board,
    radio_ns: Mapping[str, int],
    processor_ns: Mapping[str, int],
    observed_ns: int,
    clock_mhz: int = 160,
) -> Consumption:
    """Charge per day of a board that spent its time like this.

    radio_ns: nanoseconds by state as `Chip.time_in` gives them; processor_ns: nanoseconds by state of
    `Processor`; observed_ns: the span in which both were counted, to which each must add up. clock_mhz: the
    processor's clock; 160 is what MicroPython's stock builds for ESP32 and ESP32-S3 leave it at. Raises
    EnergyError.
    """
    processor = board.processors.get(clock_mhz)
    if processor is None:
        known = ", ".join(map(str, board.processors))
        raise EnergyError(
            f"{board.name}: no figures for a clock of {clock_mhz} MHz, there are some for {known} MHz"
        )
    _check(f"{board.name}, radio", radio_ns, observed_ns)
    _check(f"{board.name}, processor", processor_ns, observed_ns)
    return Consumption(
        {
            state: _per_day(board.radio.current(state), ns, observed_ns)
            for state, ns in radio_ns.items()
            if ns
        },
        {
            state: _per_day(processor.current(state), ns, observed_ns)
            for state, ns in processor_ns.items()
            if ns
        },
        {part: _per_day(current, observed_ns, observed_ns) for part, current in board.rest.items()},
        board.left_out,
    )


def _per_day(current_ua: float, ns: int, observed_ns: int) -> float:
    """Charge per day in mAh of a current that flows for `ns` of `observed_ns`."""
    return current_ua / _UA_PER_MA * _HOURS_PER_DAY * ns / observed_ns


def _check(whose: str, times: Mapping[str, int], observed_ns: int) -> None:
    if observed_ns <= 0:
        raise EnergyError(f"{whose}: a span of {observed_ns} ns says nothing about a day")
    negative = [state for state, ns in times.items() if ns < 0]
    if negative:
        raise EnergyError(f"{whose}: less than no time in {', '.join(negative)}")
    total = sum(times.values())
    if abs(total - observed_ns) > max(observed_ns // _TOLERANCE, _LEAST_TOLERANCE_NS):
        raise EnergyError(
            f"{whose}: its states add up to {total / _NS_PER_HOUR:.6f} h of {observed_ns / _NS_PER_HOUR:.6f} h"
        )


def _fixed(values: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(values))


# Semtech SX1261/2 data sheet rev. 2.1, table 3-5 "Power consumption" (warm sleep without the 64 kHz RC
# oscillator, which nobody starts here; 1.2 µA with it) and table 3-6 "Power consumption in transmit mode",
# 868/915 MHz, "optimal settings" of table 13-21, which `firmware/radio/sx1262.py` uses. Receiving with
# boosted gain (RxGain 0x96), as there; without it 4600 by DC-DC converter and 8800 by LDO. The TCXO is not in
# these figures.
_SX1262_STATES: Final = {
    "off": 0.0,
    "sleep_cold": 0.16,
    "sleep_warm": 0.6,
    "standby_rc": 600.0,
    "standby_xosc": 800.0,
}
_SX1262_SENDING: Final = MappingProxyType({14: 45_000.0, 17: 58_000.0, 20: 84_000.0, 22: 118_000.0})
_SX1262_SOURCE: Final = "Semtech SX1261/2 data sheet rev. 2.1, tables 3-5, 3-6 and 13-21"
SX1262_DCDC: Final = Radio(
    "SX1262, DC-DC converter",
    _fixed(_SX1262_STATES | {"fs": 2_100.0, "rx": 5_300.0}),
    _SX1262_SENDING,
    _SX1262_SOURCE,
)
SX1262_LDO: Final = Radio(
    "SX1262, LDO",
    _fixed(_SX1262_STATES | {"fs": 3_550.0, "rx": 10_100.0}),
    _SX1262_SENDING,
    _SX1262_SOURCE,
)

# Semtech SX1276/77/78/79 data sheet rev. 7, table 6 "Power consumption specification": IDDSL, IDDST (crystal
# running; it has no other standby), IDDFS, IDDR in the band above 862 MHz with LnaBoost, as
# `firmware/radio/sx1276.py` sets it (10.8 mA without; 12 mA in the lower bands), IDDT. Sleep keeps the
# registers: it is `sleep_warm`.
_SX1276_STATES: Final = {
    "off": 0.0,
    "sleep_warm": 0.2,
    "standby_xosc": 1_600.0,
    "fs": 5_800.0,
    "rx": 11_500.0,
}
_SX1276_SOURCE: Final = "Semtech SX1276/77/78/79 data sheet rev. 7, table 6"
SX1276_PA_BOOST: Final = Radio(
    "SX1276, PA_BOOST",
    _fixed(_SX1276_STATES),
    MappingProxyType({17: 87_000.0, 20: 120_000.0}),
    _SX1276_SOURCE,
)
SX1276_RFO: Final = Radio(
    "SX1276, RFO",
    _fixed(_SX1276_STATES),
    MappingProxyType({7: 20_000.0, 13: 29_000.0}),
    _SX1276_SOURCE,
)

# Espressif ESP32 series data sheet, table 4-2 "Power consumption by power modes": modem-sleep of the
# dual-core chip is given as a range, whose lower end is taken for a processor that waits and its upper end
# for one that computes.
_ESP32_SOURCE: Final = "Espressif ESP32 series data sheet, table 4-2"
_ESP32_LIGHT_SLEEP: Final = 800.0
ESP32: Final = MappingProxyType(
    {
        clock: Processor(
            f"ESP32 at {clock} MHz",
            _fixed({"active": active, "idle": idle, "light_sleep": _ESP32_LIGHT_SLEEP}),
            _ESP32_SOURCE,
        )
        for clock, active, idle in ((160, 44_000.0, 27_000.0), (240, 68_000.0, 30_000.0))
    }
)

# Espressif ESP32-S3 series data sheet, current consumption in modem-sleep, peripheral clocks disabled: "WAITI
# (dual core in idle state)" and "single core running 32-bit data access instructions, the other core in idle
# state"; light sleep from the table of low-power modes.
_ESP32S3_SOURCE: Final = "Espressif ESP32-S3 series data sheet, modem-sleep and low-power modes"
_ESP32S3_LIGHT_SLEEP: Final = 240.0
ESP32S3: Final = MappingProxyType(
    {
        clock: Processor(
            f"ESP32-S3 at {clock} MHz",
            _fixed({"active": active, "idle": idle, "light_sleep": _ESP32S3_LIGHT_SLEEP}),
            _ESP32S3_SOURCE,
        )
        for clock, active, idle in ((160, 39_900.0, 27_600.0), (240, 51_200.0, 32_900.0))
    }
)

_NO_FIGURE: Final = ("regulator", "charger", "LEDs")

HELTEC_V3: Final = Board(
    "Heltec WiFi LoRa 32 V3",
    SX1262_DCDC,
    ESP32S3,
    left_out=("TCXO", "USB-UART", "battery divider", *_NO_FIGURE),
)
T3_S3: Final = Board("LilyGO T3-S3", SX1262_DCDC, ESP32S3, left_out=("TCXO", "battery divider", *_NO_FIGURE))
# Meshtastic's table of power measurements, linked from its documentation of the T-Beam: 2300 µA from the
# battery with the ESP32 in deep sleep, the SX1276 asleep, GPS, display and LED off. Less the chips' own 10 µA
# (ESP32 data sheet, table 4-2, deep sleep with the RTC's timer and memory) and 0.2 µA.
_T_BEAM_MEASURED: Final = 2_300.0
_T_BEAM_CHIPS: Final = 10.2
T_BEAM: Final = Board(
    "LilyGO T-Beam",
    SX1276_PA_BOOST,
    ESP32,
    _fixed({"power chip, USB-UART and the rest": _T_BEAM_MEASURED - _T_BEAM_CHIPS}),
    "Meshtastic, power measurements of the T-Beam",
    ("GPS receiver, which the power chip feeds from the start", "LEDs"),
)
T3_V16: Final = Board(
    "LilyGO T3 V1.6", SX1276_PA_BOOST, ESP32, left_out=("USB-UART", "battery divider", "display", *_NO_FIGURE)
)

# By the name of the board's module in `firmware/boards/`.
BOARDS: Final = MappingProxyType({"heltec_v3": HELTEC_V3, "t3_s3": T3_S3, "t_beam": T_BEAM, "t3_v16": T3_V16})
