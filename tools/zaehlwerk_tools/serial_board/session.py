"""What a REPL asks for while it is served: a byte from the line, or a turn of the board."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from zaehlwerk_tools.serial_board.wire import Kind


class Wants(Enum):
    """What a REPL waits for besides a turn."""

    BYTE = "a byte"


READ = Wants.BYTE


@dataclass(frozen=True, slots=True)
class Turn:
    """Something the board shall run. `delimited`: its output is followed by Ctrl-D, as in the raw REPL."""

    kind: Kind
    source: bytes
    delimited: bool = False


_T = TypeVar("_T")
Asking = Generator[Wants | Turn, int, _T]
"""Sent in: the byte, or the Result of the turn."""
