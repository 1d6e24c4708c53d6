"""Lines before a node's main.py that bring its program to an end, for once: what a test of the watchdog begins with.

Nothing of the firmware is changed, neither by them nor for them: on a real board they are its boot.py. They act where the file
ONCE is, and remove it.
"""

from __future__ import annotations

from hil_tests.interface import Ending

ONCE = "rig-once"
NOTHING = "# nothing to do before main.py\n"
"""What boot.py is otherwise."""

_TEXT = """
import asyncio as _asyncio, machine as _machine, os as _os, time as _time
async def _end():
    await _asyncio.sleep_ms({after_ms})
    print("rig: {what}")
    {act}
try:
    _os.remove("{once}")
    _asyncio.create_task(_end())
except OSError:
    pass
"""
_ACTS = {
    Ending.HANG: "while True: _time.sleep_ms(100)",
    Ending.SOFT_RESET: "_machine.soft_reset()",
}


def text(how: Ending, after_s: float) -> str:
    """What is put before main.py."""
    return _TEXT.format(after_ms=round(after_s * 1000), what=how.value, act=_ACTS[how], once=ONCE)
