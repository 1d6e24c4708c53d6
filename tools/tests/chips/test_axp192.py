"""AXP192: rails and the battery's voltage over I2C (data sheet, section 10)."""

from __future__ import annotations

import pytest

from zaehlwerk_tools.simulator.chips.axp192 import Axp192


class Board:
    """A powered chip that writes down what its rails do."""

    def __init__(self, battery_mv: int = 3_700) -> None:
        self.chip = Axp192(battery_mv)
        self.rails: list[tuple[int, str, bool]] = []
        self.chip.on_rail = lambda at, rail, on: self.rails.append((at, rail, on))
        self.chip.power(0, on=True)

    def read(self, register: int, count: int = 1) -> bytes:
        self.chip.write(1, bytes([register]))
        return self.chip.read(1, count)


@pytest.fixture
def board() -> Board:
    return Board()


def test_a_new_chip_has_no_supply_and_answers_zeros() -> None:
    chip = Axp192(3_700)
    chip.write(0, b"\x12\xff")
    assert chip.read(0, 2) == b"\0\0"
    assert not any(chip.rails.values())


def test_it_says_what_it_is(board: Board) -> None:
    assert board.read(0x03) == b"\x03"


def test_the_processor_is_fed_at_once_and_the_radio_is_not(board: Board) -> None:
    assert board.rails == [(0, "dcdc1", True), (0, "dcdc3", True)]
    assert not board.chip.rails["ldo2"]
    assert not board.chip.rails["ldo3"]


def test_bit_2_of_0x12_feeds_the_radio_and_bit_3_the_gnss_receiver(board: Board) -> None:
    board.rails.clear()
    board.chip.write(7, b"\x12\x07")
    board.chip.write(8, b"\x12\x0f")
    board.chip.write(9, b"\x12\x0b")
    assert board.rails == [(7, "ldo2", True), (8, "ldo3", True), (9, "ldo2", False)]


def test_writing_the_same_again_switches_nothing(board: Board) -> None:
    board.chip.write(7, b"\x12\x07")
    board.rails.clear()
    board.chip.write(8, b"\x12\x07")
    board.chip.write(9, b"\x28\xff")
    assert board.rails == []


@pytest.mark.parametrize(
    ("value", "ldo2", "ldo3"), [(0xCF, 3_000, 3_300), (0xF0, 3_300, 1_800), (0x05, 1_800, 2_300)]
)
def test_0x28_sets_both_linear_voltages(board: Board, value: int, ldo2: int, ldo3: int) -> None:
    board.chip.write(1, bytes([0x28, value]))
    assert (board.chip.millivolts("ldo2"), board.chip.millivolts("ldo3")) == (ldo2, ldo3)


def test_after_power_on_dcdc_give_3_3_v_and_ldo2_3_0_v(board: Board) -> None:
    assert board.chip.millivolts("dcdc3") == 3_300
    assert board.chip.millivolts("dcdc1") == 3_300
    assert board.chip.millivolts("ldo2") == 3_000
    assert board.chip.millivolts("exten") == 0


def test_the_register_counts_up_in_reads_and_writes(board: Board) -> None:
    board.chip.write(1, b"\x26\x6c\x50\xff")
    assert board.read(0x26, 3) == b"\x6c\x50\xff"
    assert board.chip.read(1, 1) == board.read(0x29), "a read goes on where the last one ended"


@pytest.mark.parametrize("millivolts", [0, 3_000, 3_701, 4_200])
def test_the_battery_is_measured_in_steps_of_1_1_mv(millivolts: int) -> None:
    board = Board(millivolts)
    high, low = board.read(0x78, 2)
    assert low < 16
    assert (high << 4 | low) * 1.1 == pytest.approx(millivolts, abs=0.6)


def test_a_falling_battery_is_seen(board: Board) -> None:
    board.chip.battery_mv = 3_300
    high, low = board.read(0x78, 2)
    assert (high << 4 | low) == 3_000


def test_without_its_adc_enabled_the_battery_reads_zero(board: Board) -> None:
    board.chip.write(1, b"\x82\x03")
    assert board.read(0x78, 2) == b"\0\0"
    board.chip.write(1, b"\x82\x83")
    assert board.read(0x78, 2) != b"\0\0"


def test_identity_and_measurements_cannot_be_written(board: Board) -> None:
    board.chip.write(1, b"\x03\x55")
    board.chip.write(1, b"\x79\x55")
    assert board.read(0x03) == b"\x03"
    assert board.read(0x79)[0] < 16


def test_exten_and_dcdc2_have_switches_in_two_registers(board: Board) -> None:
    board.chip.write(1, b"\x10\x05")
    assert board.read(0x12) == b"\x53"
    assert board.chip.rails["exten"]
    assert board.chip.rails["dcdc2"]
    board.chip.write(1, b"\x12\x43")
    assert board.read(0x10) == b"\x04"
    assert not board.chip.rails["dcdc2"]


def test_without_supply_every_rail_is_off_and_everything_is_forgotten(board: Board) -> None:
    board.chip.write(1, b"\x12\x0f")
    board.rails.clear()
    board.chip.power(5, on=False)
    assert set(board.rails) == {(5, rail, False) for rail in ("dcdc1", "dcdc3", "ldo2", "ldo3")}
    board.chip.power(6, on=True)
    assert board.read(0x12) == b"\x03"


@pytest.mark.parametrize(
    ("register", "value"),
    [(0x01, 0x20), (0x10, 0x00), (0x12, 0x03), (0x28, 0xCF), (0x82, 0x83), (0x83, 0x80), (0x84, 0x32)],
)
def test_registers_after_power_on(board: Board, register: int, value: int) -> None:
    assert board.read(register) == bytes([value])


@pytest.mark.parametrize("register", [0x44, 0x45, 0x46, 0x47, 0x4D])
def test_flags_are_cleared_by_writing_ones(board: Board, register: int) -> None:
    board.chip._registers[register] = 0x0C
    board.chip.write(1, bytes([register, 0x04]))
    assert board.read(register) == b"\x08"


@pytest.mark.parametrize(
    ("rail", "register", "value", "millivolts"),
    [
        ("dcdc2", 0x23, 0x2A, 1_750),
        ("dcdc1", 0x26, 0x00, 700),
        ("dcdc1", 0x26, 0xFF, 3_875),
        ("dcdc3", 0x27, 0x6C, 3_400),
    ],
)
def test_converters_are_set_in_steps_of_25_mv(
    board: Board, rail: str, register: int, value: int, millivolts: int
) -> None:
    board.chip.write(1, bytes([register, value]))
    assert board.chip.millivolts(rail) == millivolts


def test_a_battery_above_the_scale_reads_the_highest_value() -> None:
    assert Board(9_000).read(0x78, 2) == b"\xff\x0f"
