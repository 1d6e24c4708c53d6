"""What a board on a port says besides `simulator/board_wire.py`, and what it is told."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag


class Op(IntEnum):
    """Questions of `board_files/`; each is answered."""

    TURN = ord("T")  # Result, MOMENT, watchdog ms, ms left -> TURN, source: what shall I do next?
    WAIT = ord("w")  # MOMENT -> WAITED: I do nothing until then
    STDIN = ord("s")  # most, MOMENT -> STDIN, bytes
    RAW = ord("r")  # bytes for the line as they are -> u8
    END_OF_OUTPUT = ord("e")  # -> u8
    BROKEN = ord("a")  # the interrupt's signal struck where it tore something apart; the end


class Kind(IntEnum):
    """What a board does in a turn."""

    WAITING = 0
    FILE = 1
    EXEC = 2
    SINGLE = 3


class Result(IntEnum):
    """How the turn before went."""

    MISSING = 0
    DONE = 1
    RAISED = 2
    EXITED = 3
    INTERRUPTED = 4


class Flag(IntFlag):
    """What came with an answer."""

    INTERRUPT = 1
    INPUT = 2


ASK_TURN = struct.Struct("<BIHII")
TURN = struct.Struct("<IHBBI")
WAITED = struct.Struct("<IHB")
ASK_STDIN = struct.Struct("<HIH")
STDIN = struct.Struct("<IHBB")
STDIN_MOST = 250
