"""AXP2101: rails and the battery's voltage over I2C (data sheet V1.0, section 6)."""

from __future__ import annotations

import pytest

from zaehlwerk_tools.simulator.chips.axp2101 import Axp2101


class Board:
    """A powered chip that writes down what its rails do."""

    def __init__(self, battery_mv: int = 3_700) -> None:
        self.chip = Axp2101(battery_mv)
        self.rails: list[tuple[int, str, bool]] = []
        self.chip.on_rail = lambda at, rail, on: self.rails.append((at, rail, on))
        self.chip.power(0, on=True)

    def read(self, register: int, count: int = 1) -> bytes:
        self.chip.write(1, bytes([register]))
        return self.chip.read(1, count)


@pytest.fixture
def board() -> Board:
    return Board()


def test_it_says_what_it_is_and_that_a_battery_is_there(board: Board) -> None:
    assert board.read(0x03) == b"\x4a"
    assert board.read(0x00)[0] & 0x08


def test_only_the_processor_is_fed_at_once(board: Board) -> None:
    assert board.rails == [(0, "dcdc1", True)]


@pytest.mark.parametrize(
    ("bit", "rail"),
    list(enumerate(["aldo1", "aldo2", "aldo3", "aldo4", "bldo1", "bldo2", "cpusldo", "dldo1"])),
)
def test_0x90_switches_the_linear_regulators(board: Board, bit: int, rail: str) -> None:
    board.rails.clear()
    board.chip.write(3, bytes([0x90, 1 << bit]))
    board.chip.write(4, b"\x90\x00")
    assert board.rails == [(3, rail, True), (4, rail, False)]


def test_0x80_switches_the_converters_and_0x91_the_last_regulator(board: Board) -> None:
    board.rails.clear()
    board.chip.write(3, b"\x80\x15")
    board.chip.write(4, b"\x91\x01")
    assert board.rails == [(3, "dcdc3", True), (3, "dcdc5", True), (4, "dldo2", True)]


@pytest.mark.parametrize(("value", "millivolts"), [(0x00, 500), (0x1C, 3_300), (0x1E, 3_500)])
def test_0x93_sets_the_radios_voltage(board: Board, value: int, millivolts: int) -> None:
    board.chip.write(1, bytes([0x93, value]))
    assert board.chip.millivolts("aldo2") == millivolts
    assert board.chip.millivolts("aldo3") == 3_300


def test_the_processor_gets_3_3_v(board: Board) -> None:
    assert board.chip.millivolts("dcdc1") == 3_300


@pytest.mark.parametrize("millivolts", [3_000, 3_701, 4_200])
def test_the_battery_is_measured_in_millivolts(millivolts: int) -> None:
    board = Board(millivolts)
    board.chip.write(1, b"\x30\x01")
    high, low = board.read(0x34, 2)
    assert high << 8 | low == millivolts


def test_without_its_adc_enabled_the_battery_reads_zero(board: Board) -> None:
    assert board.read(0x34, 2) == b"\0\0"


def test_identity_and_measurements_cannot_be_written(board: Board) -> None:
    board.chip.write(1, b"\x30\x01")
    board.chip.write(1, b"\x03\x11\x22")
    board.chip.write(1, b"\x34\x11\x22")
    assert board.read(0x03) == b"\x4a"
    assert board.read(0x34, 2) == (3_700).to_bytes(2)


def test_without_supply_every_rail_is_off_and_nobody_listens(board: Board) -> None:
    board.chip.write(1, b"\x90\x02")
    board.rails.clear()
    board.chip.power(5, on=False)
    board.chip.power(5, on=False)
    assert set(board.rails) == {(5, "dcdc1", False), (5, "aldo2", False)}
    board.chip.write(6, b"\x90\x02")
    assert board.read(0x90) == b"\0"


@pytest.mark.parametrize(
    ("rail", "register"),
    [("aldo1", 0x92), ("aldo2", 0x93), ("aldo3", 0x94), ("aldo4", 0x95), ("bldo1", 0x96), ("bldo2", 0x97)],
)
def test_each_linear_regulator_has_its_voltage(board: Board, rail: str, register: int) -> None:
    board.chip.write(1, bytes([register, 0x0D]))
    assert board.chip.millivolts(rail) == 1_800


def test_0x82_sets_the_processors_voltage_in_steps_of_100_mv(board: Board) -> None:
    board.chip.write(1, b"\x82\x0f")
    assert board.chip.millivolts("dcdc1") == 3_000


@pytest.mark.parametrize("register", [0x48, 0x49, 0x4A])
def test_flags_are_cleared_by_writing_ones(board: Board, register: int) -> None:
    board.chip._registers[register] = 0xFF
    board.chip.write(1, bytes([register, 0xF0]))
    assert board.read(register) == b"\x0f"


def test_a_battery_above_the_scale_reads_the_highest_value() -> None:
    board = Board(20_000)
    board.chip.write(1, b"\x30\x01")
    assert board.read(0x34, 2) == b"\x3f\xff"
