"""MicroPython's REPL as a program over the line sees it: friendly and raw, raw-paste, paste mode, soft reset.

Pure logic: a generator that asks for a byte (`yield READ`) or for something to be run (`yield Turn`), and writes to
`say`. What it writes, byte for byte, is what shared/runtime/pyexec.c and ports/esp32/main.c of MicroPython 1.26 write.
"""

from __future__ import annotations

from collections.abc import Callable

from zaehlwerk_tools.serial_board.continuation import continues
from zaehlwerk_tools.serial_board.line_editor import Line, LineEditor
from zaehlwerk_tools.serial_board.session import READ, Asking, Turn
from zaehlwerk_tools.serial_board.wire import Kind, Result

CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = 1, 2, 3, 4, 5
WINDOW = 128
"""Bytes that a host may send ahead in raw-paste mode: half of MICROPY_REPL_STDIN_BUFFER_MAX."""


class SoftResetError(Exception):
    """The host asked for a soft reset."""


class Repl:
    """The REPL of one board. `raw` outlives a soft reset, as pyexec_mode_kind does."""

    def __init__(self, say: Callable[[bytes], None], banner: str, *, raw_paste: bool = True) -> None:
        self._say = say
        self._banner = banner.encode()
        self._raw_paste = raw_paste
        self._editor = LineEditor(say)
        self.raw = False

    def boot(self) -> Asking[None]:
        """From reset on, for ever; SoftResetError when the board is to be reset."""
        result = yield Turn(Kind.FILE, b"boot.py")
        if not self.raw and result not in (Result.RAISED, Result.INTERRUPTED):
            yield Turn(Kind.FILE, b"main.py")
        while True:
            yield from self._raw() if self.raw else self._friendly()

    # -- friendly ------------------------------------------------------------------------------------------------

    def _friendly(self) -> Asking[None]:
        self._greet()
        while True:
            line = yield from self._editor.read(b">>> ")
            if line.end == CTRL_A:
                self._say(b"\r\n")
                self.raw = True
                return
            if line.end == CTRL_B:
                self._say(b"\r\n")
                self._greet()
            elif line.end == CTRL_C:
                self._say(b"\r\n")
            elif line.end == CTRL_D:
                self._say(b"\r\n")
                raise SoftResetError
            elif line.end == CTRL_E:
                source = yield from self._paste()
                if source is not None:
                    yield Turn(Kind.EXEC, source)
            elif line.text:
                source = yield from self._statement(line)
                if source is not None:
                    yield Turn(Kind.SINGLE, source)

    def _greet(self) -> None:
        self._say(self._banner + b'\r\nType "help()" for more information.\r\n')

    def _statement(self, line: Line) -> Asking[bytes | None]:
        """The whole of a statement whose first line this is; None if it was taken back."""
        source = line.text
        while continues(source.decode(errors="replace")):
            source += b"\n"
            line = yield from self._editor.read(b"... ", before=source)
            if line.end == CTRL_C:
                self._say(b"\r\n")
                return None
            if line.end == CTRL_D:
                break
            source += line.text
        return source

    def _paste(self) -> Asking[bytes | None]:
        self._say(b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
        source = bytearray()
        while True:
            byte = yield READ
            if byte in (CTRL_C, CTRL_D):
                self._say(b"\r\n")
                return bytes(source) if byte == CTRL_D else None
            source.append(byte)
            self._say(b"\r\n=== " if byte == ord("\r") else bytes((byte,)))

    # -- raw -----------------------------------------------------------------------------------------------------

    def _raw(self) -> Asking[None]:
        greet = True
        while True:
            if greet:
                self._say(b"raw REPL; CTRL-B to exit\r\n")
            greet = False
            self._say(b">")
            source = bytearray()
            while True:
                byte = yield READ
                if byte == CTRL_A and len(source) == 2 and source[0] == CTRL_E:
                    yield from self._pasted(source[1])
                    break
                if byte == CTRL_A:
                    greet = True
                    break
                if byte == CTRL_B:
                    self._say(b"\r\n")
                    self.raw = False
                    return
                if byte == CTRL_C:
                    source.clear()
                elif byte == CTRL_D:
                    self._say(b"OK")
                    if not source:
                        self._say(b"\r\n")
                        raise SoftResetError
                    yield Turn(Kind.EXEC, bytes(source), delimited=True)
                    break
                else:
                    source.append(byte)

    def _pasted(self, what: int) -> Asking[None]:
        """Raw-paste mode, docs/reference/repl.rst of MicroPython."""
        if what != ord("A") or not self._raw_paste:
            self._say(b"R\x00")
            return
        self._say(b"R\x01" + WINDOW.to_bytes(2, "little") + b"\x01")
        source = bytearray()
        room = WINDOW
        while True:
            byte = yield READ
            if byte in (CTRL_C, CTRL_D):
                self._say(b"\x04")
                break
            source.append(byte)
            room -= 1
            if not room:
                self._say(b"\x01")
                room = WINDOW
        if byte == CTRL_C:
            self._say(b"\x04Traceback (most recent call last):\r\nKeyboardInterrupt: \r\n\x04")
        else:
            yield Turn(Kind.EXEC, bytes(source), delimited=True)
