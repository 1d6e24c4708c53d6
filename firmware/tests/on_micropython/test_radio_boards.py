"""The boards' files: pins, supply of the radio, battery, temperature."""

import sys

import fake_machine
from expect import raises
from fake_bus import Line
from world import world

from radio import RadioError


class Spi:
    def __init__(self, number, **settings):
        self.settings = settings


class Adc:
    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
    microvolts = 0
    seen = None

    def __init__(self, pin, atten=0):
        Adc.seen = pin.id, atten, [(line.id, line.level) for line in Pin.outputs]

    def read_uv(self):
        return Adc.microvolts


class Pin(Line):
    """Pins that say how they were made; `pulled` are the levels that the board's resistors give."""

    IN, OUT = 1, 3
    pulled = None
    outputs = None

    def __init__(self, number, mode=-1, pull=-1, value=None):
        super().__init__(number, mode, pull, self.pulled.get(number, 0) if mode == self.IN else value)
        self.mode = mode

    def init(self, mode=-1, pull=-1, value=None):
        self.mode = mode
        if mode == self.OUT:
            self.level = int(value)
            self.outputs.append(self)
        else:
            self.outputs.remove(self)


Pin.pulled, Pin.outputs = {}, []


class I2c:
    """A power chip by its registers, None when there is none."""

    registers = None
    pins = None

    def __init__(self, number, scl=None, sda=None, freq=400000):
        I2c.pins = sda.id, scl.id

    def readfrom_mem(self, address, register, count):
        if self.registers is None or address != 0x34:
            raise OSError(19)
        return bytes([self.registers.get(register + i, 0) for i in range(count)])

    def writeto_mem(self, address, register, data):
        if self.registers is None or address != 0x34:
            raise OSError(19)
        self.registers[register] = data[0]


class Esp32:
    def mcu_temperature(self):
        return 31


assert world
fake_machine.Pin, fake_machine.SPI, fake_machine.ADC, fake_machine.I2C = Pin, Spi, Adc, I2c
sys.modules["esp32"] = Esp32()

from boards import heltec_v3, t3_s3, t3_v16, t_beam  # noqa: E402

AXP192, AXP2101 = 0x03, 0x4A


def wires(chip):
    """{name: GPIO} of a driver."""
    found = {name: pin.id for name, pin in chip.spi.settings.items() if name != "baudrate"}
    for name in ("nss", "reset", "busy", "dio0", "dio1"):
        pin = getattr(chip, name, None)
        if pin is not None:
            found[name] = pin.id
    return found


def test_heltec_v3():
    chip = heltec_v3.radio().chip
    assert chip.NAME == "sx1262"
    assert wires(chip) == {
        "sck": 9, "mosi": 10, "miso": 11, "nss": 8, "reset": 12, "busy": 13, "dio1": 14,
    }  # fmt: skip
    assert (chip.tcxo_mv, chip.tcxo_us, chip.dcdc) == (1800, 5000, True)
    assert heltec_v3.PCNT_UNITS == 4
    assert heltec_v3.temperature() == 310


def test_t3_s3():
    chip = t3_s3.radio().chip
    assert chip.NAME == "sx1262"
    assert wires(chip) == {"sck": 5, "mosi": 6, "miso": 3, "nss": 7, "reset": 8, "busy": 34, "dio1": 33}
    assert chip.tcxo_mv == 1800
    assert t3_s3.PCNT_UNITS == 4
    assert t3_s3.temperature() == 310


def test_t3_v16_and_t_beam_have_the_same_radio():
    I2c.registers = {0x03: AXP192}
    for board in (t3_v16, t_beam):
        chip = board.radio().chip
        assert chip.NAME == "sx1276"
        assert wires(chip) == {
            "sck": 5, "mosi": 27, "miso": 19, "nss": 18, "reset": 23, "dio0": 26, "dio1": 33,
        }  # fmt: skip
        assert board.PCNT_UNITS == 8
        assert board.temperature() is None


def test_every_board_names_its_led_and_it_is_no_pin_of_the_radio():
    I2c.registers = {0x03: AXP192}
    for board, led in ((heltec_v3, (35, 1)), (t3_s3, (37, 1)), (t3_v16, (25, 1)), (t_beam, (4, 0))):
        assert led == board.LED
        assert led[0] not in wires(board.radio().chip).values()


def test_nothing_is_driven_low_by_making_a_radio():
    I2c.registers = {0x03: AXP192}
    for board in (heltec_v3, t3_s3, t3_v16, t_beam):
        chip = board.radio().chip
        assert chip.nss.level == chip.reset.level == 1
        assert chip.spi.settings["baudrate"] == 8000000


def test_batteries_behind_a_divider_by_two():
    Adc.microvolts = 1850000
    assert t3_s3.battery_mv() == 3700
    assert Adc.seen[:2] == (1, Adc.ATTN_11DB)
    assert t3_v16.battery_mv() == 3700
    assert Adc.seen[:2] == (35, Adc.ATTN_11DB)


def test_heltecs_divider_is_switched_on_for_the_measurement_by_the_level_that_the_revision_wants():
    Adc.microvolts = 755102
    for idle, on in ((1, 0), (0, 1)):
        Pin.pulled = {37: idle}
        assert abs(heltec_v3.battery_mv() - 3700) <= 1
        assert Adc.seen == (1, Adc.ATTN_2_5DB, [(37, on)])
        assert Pin.outputs == []


def test_the_t_beams_power_chip_feeds_the_radio_with_3_3_v_and_the_other_supplies_stay_as_they_are():
    I2c.registers = {0x03: AXP192, 0x28: 0x0C, 0x12: 0x4B, 0x82: 0x03}
    t_beam.radio()
    assert I2c.registers == {0x03: AXP192, 0x28: 0xFC, 0x12: 0x4F, 0x82: 0x83}
    assert I2c.pins == (21, 22)
    I2c.registers = {0x03: AXP2101, 0x93: 0x60, 0x90: 0x04, 0x30: 0x02}
    t_beam.radio()
    assert I2c.registers == {0x03: AXP2101, 0x93: 0x60 | 28, 0x90: 0x06, 0x30: 0x03}


def test_a_t_beam_without_or_with_another_power_chip_says_so():
    I2c.registers = None
    assert "0x34" in str(raises(RadioError, t_beam.radio))
    I2c.registers = {0x03: 0x41}
    assert "0x41" in str(raises(RadioError, t_beam.radio))


def test_the_t_beams_battery_is_what_the_power_chip_measures():
    I2c.registers = {0x03: AXP192, 0x01: 0x20, 0x78: 0xD2, 0x79: 0x04}
    assert t_beam.battery_mv() == 0xD24 * 11 // 10
    I2c.registers = {0x03: AXP2101, 0x00: 0x08, 0x34: 0x0E, 0x35: 0x74}
    assert t_beam.battery_mv() == 0x0E74
    for registers in ({0x03: AXP192, 0x78: 0xD2}, {0x03: AXP2101, 0x34: 0x0E}, None):
        I2c.registers = registers
        assert t_beam.battery_mv() is None
