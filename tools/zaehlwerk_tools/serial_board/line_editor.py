"""Reads a line of the friendly REPL with echo, cursor keys, history and indentation, as shared/readline does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zaehlwerk_tools.serial_board.session import READ, Asking

CTRL_A, CTRL_E = 1, 5
_ENDING = (1, 2, 3, 4, 5)
_BACKSPACE = (8, 127)
_ESCAPE, _TAB, _RETURN = 27, 9, 13
_CTRL_K, _CTRL_U, _CTRL_N, _CTRL_P = 11, 21, 14, 16
_INDENT = 4
HISTORY = 8
"""MICROPY_READLINE_HISTORY_SIZE."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was entered; `end` is the control character that ended it, None if it was Enter."""

    text: bytes
    end: int | None = None


class LineEditor:
    """One terminal. `say` gets what it shows."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say
        self._history: list[bytes] = []
        self._line = bytearray()
        self._cursor = 0
        self._shown = 0  # the entry of the history that is shown; 0: what is being written

    def read(self, prompt: bytes, before: bytes = b"") -> Asking[Line]:
        """Yields for each byte it wants. `before`: the lines that this one continues; it is indented as they are."""
        self._line = bytearray()
        self._cursor = self._shown = 0
        self._say(prompt)
        if before:
            self._insert(b" " * _indentation(before))
        while True:
            byte = yield READ
            if byte == _RETURN:
                self._say(b"\r\n")
                self._remember()
                return Line(bytes(self._line))
            if byte in _ENDING and (not self._line or byte == 3):
                return Line(b"", byte)
            if byte == _ESCAPE:
                yield from self._escape()
            else:
                self._key(byte)

    def _key(self, byte: int) -> None:
        if byte == CTRL_A:
            self._move(0)
        elif byte == CTRL_E:
            self._move(len(self._line))
        elif byte in _BACKSPACE:
            self._delete(self._back(), self._cursor)
        elif byte == 4:
            self._delete(self._cursor, self._cursor + 1)
        elif byte == _CTRL_K:
            self._delete(self._cursor, len(self._line))
        elif byte == _CTRL_U:
            self._delete(0, self._cursor)
        elif byte == _CTRL_P:
            self._recall(1)
        elif byte == _CTRL_N:
            self._recall(-1)
        elif byte == _TAB:
            self._insert(b" " * _INDENT)
        elif byte >= 32:
            self._insert(bytes((byte,)))

    def _escape(self) -> Asking[None]:
        byte = yield READ
        if byte not in (ord("["), ord("O")):
            return
        byte = yield READ
        number = b""
        while ord("0") <= byte <= ord("9"):
            number += bytes((byte,))
            byte = yield READ
        if byte == ord("A"):
            self._recall(1)
        elif byte == ord("B"):
            self._recall(-1)
        elif byte == ord("C"):
            self._move(self._cursor + 1)
        elif byte == ord("D"):
            self._move(self._cursor - 1)
        elif byte == ord("H") or number in (b"1", b"7"):
            self._move(0)
        elif byte == ord("F") or number in (b"4", b"8"):
            self._move(len(self._line))
        elif number == b"3":
            self._delete(self._cursor, self._cursor + 1)

    def _back(self) -> int:
        """Where a backspace deletes from: a step of indentation at once."""
        head = self._line[: self._cursor]
        if head and not head.strip() and len(head) % _INDENT == 0:
            return self._cursor - _INDENT
        return max(0, self._cursor - 1)

    def _insert(self, text: bytes) -> None:
        self._line[self._cursor : self._cursor] = text
        tail = self._line[self._cursor + len(text) :]
        self._cursor += len(text)
        self._say(text + tail + _left(len(tail)))

    def _delete(self, start: int, end: int) -> None:
        end = min(end, len(self._line))
        if start >= end:
            return
        self._move(start)
        del self._line[start:end]
        tail = self._line[start:]
        self._say(bytes(tail) + b"\x1b[K" + _left(len(tail)))

    def _move(self, to: int) -> None:
        to = max(0, min(to, len(self._line)))
        if to < self._cursor:
            self._say(_left(self._cursor - to))
        else:
            self._say(bytes(self._line[self._cursor : to]))
        self._cursor = to

    def _recall(self, step: int) -> None:
        shown = self._shown + step
        if 0 <= shown <= len(self._history):
            self._delete(0, len(self._line))
            self._shown = shown
            if shown:
                self._insert(self._history[-shown])

    def _remember(self) -> None:
        line = bytes(self._line)
        if line.strip() and (not self._history or self._history[-1] != line):
            self._history = [*self._history, line][-HISTORY:]


def _left(columns: int) -> bytes:
    return b"\x08" * columns if columns < 4 else b"\x1b[%dD" % columns


def _indentation(before: bytes) -> int:
    """Spaces before the next line: as the one before, one step deeper after a colon, none after an empty one."""
    last = before.rstrip(b"\n").split(b"\n")[-1]
    if not last.strip():
        return 0
    spaces = len(last) - len(last.lstrip(b" "))
    return spaces + _INDENT if last.rstrip().endswith(b":") else spaces
