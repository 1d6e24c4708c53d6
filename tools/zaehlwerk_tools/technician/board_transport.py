"""The one place that speaks to boards: mpremote's own transport, whose interface is no stable one, behind a small one.

A port is a device (`/dev/ttyUSB0`, `COM3`) or a URL of pyserial (`socket://HOST:PORT`, `rfc2217://…`).
"""

from __future__ import annotations

import ast
import contextlib
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mpremote import transport_serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial import SerialException, serial_for_url
from serial.tools import list_ports

from zaehlwerk_tools.technician.troubles import CutOffError, NoBoardError, TechnicianError

ANSWER_S = 10
"""A board that says nothing for so long does not answer any more."""
ATTEMPTS = (0.2, 0.3, 0.5)
"""Of that time, for each time that a board is interrupted until it listens."""
STARTING_S = 0.5
"""A board that starts hears nothing: whoever comes next is spared that."""
CHUNK = 1024
"""Bytes of a file per exchange: as a literal four times as many, and as many again while the board compiles them."""


# It prints what it did not expect, in the midst of what people read. Several boards are spoken to at once, so sys.stdout is
# not to be changed for that.
transport_serial.print = lambda *words, **how: None


class BoardProgramError(TechnicianError):
    """A program that was sent to the board ended with an exception; `traceback` is what the board said."""

    def __init__(self, traceback: str) -> None:
        self.traceback = traceback
        last = traceback.strip().splitlines()[-1] if traceback.strip() else "no traceback"
        super().__init__(f"the board refuses: {last}")


class BoardTransport:
    """A board at its raw prompt. Made by `open_board`; every method raises CutOffError if the board is gone."""

    def __init__(self, port: str, serial: SerialTransport) -> None:
        self._port = port
        self._serial = serial

    def run(self, program: str) -> str:
        """What `program` prints. Raises BoardProgramError."""
        with self._talking():
            out, error = self._serial.exec_raw(program, timeout=ANSWER_S)
        if error:
            raise BoardProgramError(error.decode(errors="replace"))
        text: str = out.decode(errors="replace").replace("\r\n", "\n")
        return text

    def value_of(self, program: str) -> Any:
        """The literal that `program` prints. Raises BoardProgramError, ValueError, SyntaxError."""
        return ast.literal_eval(self.run(program).strip())

    def write(self, path: str, data: bytes, *, before: str = "", after: str = "") -> None:
        """A file with this content, and a line of program before and after, in as few exchanges as its size allows.

        Raises BoardProgramError.
        """
        chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)] or [b""]
        for number, chunk in enumerate(chunks):
            lines = [before, f"f = open({path!r}, 'wb')"] if not number else []
            lines.append(f"f.write({chunk!r})")
            if number == len(chunks) - 1:
                lines += ["f.close()", after]
            self.run("\n".join(lines))

    def reset(self) -> None:
        """Start the board anew; it does not answer to that."""
        with self._talking():
            self._serial.exec_raw_no_follow("import machine; machine.reset()")
        time.sleep(STARTING_S)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except TransportExecError:
            raise
        except (TransportError, SerialException, OSError, struct.error) as error:
            raise CutOffError(
                f"{self._port}: the board does not answer any more ({_first_line(error)}); "
                "look at the cable and run the same command again, it goes on where it was"
            ) from None


@contextmanager
def open_board(port: str) -> Iterator[BoardTransport]:
    """Interrupt what runs on the board at `port` and hold it at the raw prompt; its program is not started again.

    Raises NoBoardError: no such port, in use, or nobody there who speaks MicroPython's protocol.
    """
    with open_serial(port) as serial:
        enter_raw(port, serial, soft_reset=True)
        yield BoardTransport(port, serial)


@contextmanager
def open_serial(port: str) -> Iterator[SerialTransport]:
    """The port, without a word to whoever is there. Raises NoBoardError: no such port, or in use."""
    try:
        # timeout: a read from the port returns after so long even if nobody is there.
        serial = SerialTransport(port, timeout=ANSWER_S)
    except (TransportError, SerialException, OSError, ValueError) as error:
        raise NoBoardError(_not_opened(port, error)) from None
    try:
        yield serial
    finally:
        with contextlib.suppress(SerialException, OSError, TransportError):
            serial.close()


def enter_raw(port: str, serial: SerialTransport, *, soft_reset: bool) -> None:
    """Be at the raw prompt; without `soft_reset` what an interrupted program had in memory is still there.

    A board that is just starting does not hear the first interruption: it gets others. Raises NoBoardError.
    """
    for share in ATTEMPTS:
        try:
            serial.enter_raw_repl(soft_reset=soft_reset, timeout_overall=share * ANSWER_S)
        except TransportError as error:
            trouble: Exception = error
        except (SerialException, OSError) as error:
            trouble = error
            break
        else:
            return
    raise NoBoardError(
        f"{port}: no MicroPython answers there ({_first_line(trouble)}); "
        "is it the right port, and is MicroPython on the board?"
    )


def _not_opened(port: str, error: Exception) -> str:
    cause = _cause(port) or _first_line(error)
    if "ermission" in cause:
        return f"{port} may not be opened: add yourself to its group (on Debian: dialout) and log in again"
    if "lock" in cause.lower() or "busy" in cause.lower():
        return f"{port} is in use by another program: end that one (a terminal, an editor's monitor)"
    others = [found.device for found in list_ports.comports()]
    there = (
        f"ports here: {', '.join(others)}" if others else "no serial port is here: is the board plugged in?"
    )
    return f"{port} cannot be opened ({cause}); {there}"


def _cause(port: str) -> str:
    """Why it cannot be opened, which mpremote does not say."""
    try:
        serial_for_url(port, exclusive=True).close()
    except (SerialException, OSError, ValueError) as error:
        return _first_line(error)
    return ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
