"""Speaks to the pulse generator: puts its program onto it, arms it, lets it play."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import serial

from hil_tests.interface import RigError
from hil_tests.programme import Line
from zaehlwerk_tools.technician.board_transport import open_board
from zaehlwerk_tools.technician.troubles import TechnicianError

PROGRAM = Path(__file__).parent / "pulse_generator"
FILES = ("player.py", "main.py")
BAUD = 115_200
ANSWER_S = 10.0


def install(port: str) -> None:
    """The board at `port` is a pulse generator from now on. Raises RigError."""
    try:
        with open_board(port) as board:
            for name in FILES:
                board.write(name, (PROGRAM / name).read_bytes())
            board.reset()
    except TechnicianError as error:
        raise RigError(f"the pulse generator: {error}") from None


class GeneratorLink:
    """A connection to a board that runs the program."""

    def __init__(self, port: str) -> None:
        self._port = port
        try:
            line = serial.serial_for_url(port, baudrate=BAUD, timeout=0.1, do_not_open=True)
            # On most boards these two lines reset the chip.
            line.dtr = line.rts = False
            line.open()
        except (serial.SerialException, OSError, ValueError) as error:
            raise RigError(f"the pulse generator at {port} cannot be opened: {error}") from None
        self._line = line
        self._heard = b""

    def arm(self, pins: Sequence[int], lines: Sequence[Line], *, inverted: bool = False) -> None:
        """It has the programme and waits. Raises RigError."""
        order = {"pins": list(pins), "inverted": int(inverted), "lines": [line.document() for line in lines]}
        self._say(json.dumps(order, separators=(",", ":")))
        self._answer("armed", ANSWER_S)

    def go(self) -> int:
        """It begins; the moment, UTC Unix ns: between the order and the answer, to half of that."""
        before = time.time_ns()
        self._say("go")
        self._answer("begun", ANSWER_S)
        return (before + time.time_ns()) // 2

    def finished(self, within_s: float) -> tuple[int, int]:
        """(edges played, us by which the latest was late). Raises RigError if it does not come to its end in that time."""
        told = self._answer("played", within_s)
        return int(told["played"]), int(told["latest_us"])

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()

    def _say(self, text: str) -> None:
        try:
            self._line.write(text.encode() + b"\n")
        except (serial.SerialException, OSError) as error:
            raise RigError(f"the pulse generator at {self._port} is gone: {error}") from None

    def _answer(self, wanted: str, within_s: float) -> dict[str, Any]:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            *whole, self._heard = (self._heard + self._line.read(256)).split(b"\n")
            for number, text in enumerate(whole):
                told = _json_of(text)
                if "error" in told:
                    raise RigError(f"the pulse generator refuses: {told['error']}")
                if wanted in told:
                    self._heard = b"\n".join([*whole[number + 1 :], self._heard])
                    return told
        raise RigError(
            f"the pulse generator at {self._port} did not say {wanted!r} within {within_s:.0f} s: is its program on it? "
            f"`python -m hil_tests install-generator` puts it there"
        )


def _json_of(text: bytes) -> dict[str, Any]:
    # What MicroPython prints at its start is no answer.
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
