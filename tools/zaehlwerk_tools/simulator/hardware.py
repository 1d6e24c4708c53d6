"""What is soldered to a board that the simulator knows: chip, pins, supplies. From the makers' schematics, not from the firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RadioWiring:
    """A radio chip on a board. Numbers are GPIOs of the ESP32.

    chip: "sx1262" or "sx1276". dio: the chip's line name to GPIO, for those that are connected. tcxo_mv: the chip's clock is
    a TCXO fed by DIO3 that needs this voltage (SX1262), None: a crystal, or a TCXO that is always fed. dio2_switch: the
    antenna switch hangs on DIO2. switch: further GPIOs that must have this level (sending, receiving) for the antenna to be
    connected: {gpio: (level when sending, level when receiving)}. supply: "always", or the rail of the power chip.
    pa_boost: SX1276 only, the antenna is on PA_BOOST (else RFO).
    """

    chip: str
    sck: int
    mosi: int
    miso: int
    nss: int
    reset: int
    dio: Mapping[str, int]
    busy: int | None = None
    tcxo_mv: int | None = None
    dio2_switch: bool = False
    switch: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    supply: str = "always"
    pa_boost: bool = True


@dataclass(frozen=True, slots=True)
class Battery:
    """How a board measures its battery: at an ADC pin behind a divider (pin voltage = battery * num // den), enabled by a
    GPIO at a level, or by the power chip's own ADC (pin None)."""

    pin: int | None
    num: int = 1
    den: int = 1
    enable: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PowerChip:
    """An AXP on the I2C bus that feeds the radio. chip: "axp192" or "axp2101"."""

    chip: str
    sda: int
    scl: int
    irq: int | None = None
    address: int = 0x34


@dataclass(frozen=True, slots=True)
class Hardware:
    """A board. mcu: "esp32" or "esp32s3"; pcnt_units: 8 or 4; free: GPIOs on the headers that nothing else uses and that can
    be inputs for sensors, in the order of the header; led: GPIO and the level that lights it. source: where the pins were read."""

    name: str
    mcu: str
    pcnt_units: int
    radio: RadioWiring
    free: tuple[int, ...]
    battery: Battery | None
    source: str
    power_chip: PowerChip | None = None
    led: tuple[int, int] | None = None
