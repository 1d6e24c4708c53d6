"""The self-test after provisioning, on virtual boards with the real firmware and real faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.test_provision import NODE, image, on_board, provisioned
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard
from zaehlwerk_tools.technician.self_test import (
    Check,
    battery_check,
    clock_check,
    first_failure,
    flash_check,
    radio_checks,
)

__all__ = ["image"]
Fitted = Any


@pytest.fixture
def fitted(plugged_in: Boards, image: Path, tmp_path: Path) -> Fitted:
    """Makes a board with the firmware, as `options` say."""

    @asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[VirtualBoard]:
        (tmp_path / "boards").mkdir()
        copyfile(image, tmp_path / "boards" / "board-001.flash")
        plugged: AbstractAsyncContextManager[VirtualBoard] = plugged_in(
            PtyPort(tmp_path / "board"), Options(slow_flash=False, **options)
        )
        async with plugged as board:
            yield board

    return make


def named(checks: tuple[Check, ...]) -> dict[str, bool]:
    return {check.name: check.passed for check in checks}


@pytest.mark.parametrize(
    ("hardware", "file", "radio"),
    [
        ("heltec_v3", "heltec_v3", ("identity", "registers", "buffer", "oscillator", "interrupt")),
        ("t_beam_v12", "t_beam", ("identity", "oscillator", "registers", "buffer", "interrupts")),
    ],
)
async def test_a_sound_board_passes_every_part_and_the_record_says_so(
    fitted: Fitted, tmp_path: Path, hardware: str, file: str, radio: tuple[str, ...]
) -> None:
    async with fitted(board=hardware) as board:
        channels = [{**NODE["channels"][0], "pin": 13 if file == "t_beam" else 4}]
        done = await provisioned(board, tmp_path / "keys", {**NODE, "board": file, "channels": channels})
        names = [f"radio, {step}" for step in radio] + ["inputs", "flash", "clock", "battery"]
        assert named(done.self_test) == dict.fromkeys(names, True)
        assert done.failure is None
        assert [check["name"] for check in done.document()["self_test"]] == names
        assert "self-test.new" not in await told(board.port.name, "ls")


async def test_a_radio_that_is_not_where_the_settings_say_is_told_with_what_to_check(
    fitted: Fitted, tmp_path: Path
) -> None:
    async with fitted(board="heltec_v3") as board:
        done = await provisioned(board, tmp_path / "keys", {**NODE, "board": "t3_s3"})
        assert done.failure is not None
        assert done.failure.startswith("self-test: radio, ")
        assert "check" in done.failure
        assert named(done.self_test)["flash"]
        assert (await on_board(board) or {})["board"] == "t3_s3"


async def test_more_channels_than_the_board_has_counters_fail_the_inputs(
    fitted: Fitted, tmp_path: Path
) -> None:
    channels = [{**NODE["channels"][0], "pin": pin} for pin in (2, 4, 5, 6, 7)]
    async with fitted() as board:
        done = await provisioned(board, tmp_path / "keys", {**NODE, "channels": channels})
        assert done.failure == (
            "self-test: inputs: 5 channels need 5 hardware counters, this board has 4; "
            "correct the channels in the settings"
        )


async def test_an_empty_cell_is_told(fitted: Fitted, tmp_path: Path) -> None:
    async with fitted(battery_mv=2700) as board:
        done = await provisioned(board, tmp_path / "keys")
        assert done.failure is not None
        assert done.failure.startswith("self-test: battery: 2.")
        assert done.failure.endswith("a cell is empty at 3.0 V: charge or change it")


@pytest.mark.parametrize(
    ("mv", "passed"), [(None, True), (3000, True), (4200, True), (2999, False), (4401, False)]
)
def test_the_battery_must_be_one(mv: int | None, passed: bool) -> None:
    assert battery_check((True, mv)).passed is passed


def test_a_battery_that_cannot_be_measured_is_a_fault() -> None:
    assert not battery_check((False, "no bus")).passed


def test_flash_that_does_not_give_back_what_was_written_is_a_fault() -> None:
    assert flash_check((True, 100_000)).passed
    assert "take another board" in flash_check((False, 100_000)).detail
    assert "[Errno 28] ENOSPC" in flash_check((False, "[Errno 28] ENOSPC")).detail


@pytest.mark.parametrize(
    ("ticks_ms", "passed"), [(1000, True), (1240, True), (1540, False), (650, False), (0, False)]
)
def test_a_clock_of_a_wrong_crystal_is_a_fault(ticks_ms: int, passed: bool) -> None:
    assert clock_check(ticks_ms, 1.0, 1.02).passed is passed


def test_a_slow_line_or_a_busy_laptop_is_no_fault_of_the_boards_clock() -> None:
    assert clock_check(5000, 1.0, 9.0).passed


def test_a_driver_that_says_nothing_has_not_passed() -> None:
    assert not radio_checks([])[0].passed
    assert not radio_checks((False, "crash"))[0].passed


def test_the_first_failure_is_what_is_told() -> None:
    checks = (Check("radio, identity", True, ""), Check("flash", False, "A"), Check("battery", False, "B"))
    assert first_failure(checks) == "self-test: flash: A"
    assert first_failure(checks[:1]) is None
