"""What a technician wants to know of a board before it is mounted: radio, counter inputs, flash, clock, battery.

The board's own firmware does the tests, at the raw prompt, with the settings that are on it. Nothing is sent on the air.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport
from zaehlwerk_tools.technician.troubles import SelfTestError

CLOCK_S = 1.0
"""How long the board's clock is compared with this machine's."""
CLOCK_TOLERANCE_S = 0.25
"""A crystal of 26 MHz taken for one of 40 MHz, the mistake that boards are built with, is 0.35 s to 0.54 s off in that time."""
TICKS_PERIOD = 1 << 30
"""Where ticks_ms of the ESP32 begin anew (MicroPython's documentation of `time.ticks_ms`)."""
EMPTY_MV, HIGHEST_MV = 3000, 4400
"""A lithium cell: empty, and full (4.2 V) with what the boards' dividers and ADC are off by."""
_FILE = "self-test.new"

_SETTINGS = """
from app import settings as _table
_settings = _table.load('settings.json', 'settings.json')[0]
_board = getattr(__import__('boards.' + _settings['board']), _settings['board'])
print(repr(None))
"""
# A build has short names for what only the firmware itself calls, `Radio.self_test` among them. Modules, classes and what
# the board's file says keep theirs, so the driver's test is run by its module, as Transceiver.self_test does.
_RADIO = """
import sys
try:
    _radio = _board.radio()
    _found = [('driver', False, 'is none of ours, and has no test')]
    for _chip in ('sx1262', 'sx1276'):
        if 'radio.' + _chip in sys.modules:
            _test = getattr(__import__('radio.' + _chip + '_check'), _chip + '_check')
            _found = [tuple(step) for step in _test.run(_radio)]
except Exception as e:
    _found = [('set-up', False, str(e) or repr(e))]
print(repr(_found))
"""
_INPUTS = """
from counting.inputs import Inputs
try:
    _inputs = Inputs(_settings['channels'], _board.PCNT_UNITS)
    try:
        _inputs.start()
        print(repr((True, len(_inputs.read()[0]))))
    finally:
        _inputs.stop()
except Exception as e:
    print(repr((False, str(e) or repr(e))))
"""
_FLASH = f"""
import os
_data = bytes([(i * 7 + 3) & 255 for i in range(4096)])
try:
    try:
        with open({_FILE!r}, 'wb') as f:
            f.write(_data)
        with open({_FILE!r}, 'rb') as f:
            _same = f.read() == _data
    finally:
        os.remove({_FILE!r})
    _fs = os.statvfs('/')
    print(repr((_same, _fs[0] * _fs[3])))
except OSError as e:
    print(repr((False, str(e))))
"""
_TICKS = "import time\nprint(time.ticks_ms())"
_BATTERY = """
try:
    print(repr((True, _board.battery_mv())))
except Exception as e:
    print(repr((False, str(e) or repr(e))))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the test. `detail`: what was found, or what is wrong and what to do."""

    name: str
    passed: bool
    detail: str

    def document(self) -> dict[str, Any]:
        """For a record."""
        return {"name": self.name, "passed": self.passed, "detail": self.detail}


def self_test(board: BoardTransport) -> tuple[Check, ...]:
    """Every part, whatever became of the others. Raises SelfTestError if the settings cannot be used, CutOffError."""
    try:
        board.run(_SETTINGS)
    except BoardProgramError as error:
        raise SelfTestError(
            f"the self-test cannot begin ({error}): run `zaehlwerk flash`, then this again"
        ) from None
    return (
        *radio_checks(_answer(board, _RADIO)),
        inputs_check(_answer(board, _INPUTS)),
        flash_check(_answer(board, _FLASH)),
        _clock(board),
        battery_check(_answer(board, _BATTERY)),
    )


def first_failure(checks: tuple[Check, ...]) -> str | None:
    """The sentence for the first part that failed; None: all passed."""
    return next((f"self-test: {check.name}: {check.detail}" for check in checks if not check.passed), None)


def radio_checks(found: Any) -> tuple[Check, ...]:
    """The steps of the driver's own test; it ends with the first that fails."""
    if not isinstance(found, list) or not found:
        return (Check("radio", False, f"the driver says nothing ({found}): flash the firmware again"),)
    return tuple(Check(f"radio, {name}", bool(passed), str(detail)) for name, passed, detail in found)


def inputs_check(found: Any) -> Check:
    """Whether every sensor of the settings starts and can be read."""
    passed, detail = _pair(found)
    if passed:
        return Check("inputs", True, f"{detail} channels are counting")
    return Check("inputs", False, f"{detail}; correct the channels in the settings")


def flash_check(found: Any) -> Check:
    """Whether a block that is written comes back."""
    passed, detail = _pair(found)
    if passed:
        return Check("flash", True, f"4096 bytes came back, {detail} bytes are free")
    if isinstance(detail, str):
        return Check("flash", False, f"cannot be written ({detail}): remove files that are not the node's")
    return Check("flash", False, "what was written does not come back: take another board")


def clock_check(ticks_ms: int, least_s: float, most_s: float) -> Check:
    """`ticks_ms` passed on the board while between `least_s` and `most_s` passed here."""
    passed_s = ticks_ms / 1000
    detail = f"{passed_s:.2f} s passed on the board in {least_s:.2f} to {most_s:.2f} s"
    if least_s - CLOCK_TOLERANCE_S <= passed_s <= most_s + CLOCK_TOLERANCE_S:
        return Check("clock", True, detail)
    return Check("clock", False, f"{detail}: its crystal is not the one that its MicroPython was built for")


def battery_check(found: Any) -> Check:
    """The supply, where the board can tell."""
    passed, mv = _pair(found)
    if not passed:
        return Check("battery", False, f"cannot be measured ({mv}): is it the board that the settings name?")
    if mv is None:
        return Check("battery", True, "no cell, or the board cannot tell")
    if mv < EMPTY_MV:
        return Check("battery", False, f"{mv / 1000:.2f} V, a cell is empty at 3.0 V: charge or change it")
    if mv > HIGHEST_MV:
        return Check("battery", False, f"{mv / 1000:.2f} V, more than a cell has: look at its wiring")
    return Check("battery", True, f"{mv / 1000:.2f} V")


def _clock(board: BoardTransport) -> Check:
    before = time.monotonic()
    first = int(board.run(_TICKS))
    between = time.monotonic()
    time.sleep(CLOCK_S)
    again = time.monotonic()
    second = int(board.run(_TICKS))
    after = time.monotonic()
    # It read its clock some time within each call: these are the shortest and the longest that can lie between.
    return clock_check((second - first) % TICKS_PERIOD, again - between, after - before)


def _answer(board: BoardTransport, program: str) -> Any:
    try:
        return board.value_of(program)
    except (BoardProgramError, ValueError, SyntaxError) as error:
        return (False, str(error))


def _pair(found: Any) -> tuple[bool, Any]:
    if isinstance(found, tuple) and len(found) == 2:
        return bool(found[0]), found[1]
    return False, repr(found)
