"""The words between a virtual board's stub (board_files/stub/board_link.py) and the simulator: little-endian, over two pipes.

From the board: op u8, payload length u16, local ms u32, local µs u16, payload. To the board: the bare answer, whose size
follows from the question, and then what varies.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct("<BHIH")
BOOT = struct.Struct("<IIIHIIIIIBB8s6s6sIHHBBh")
MOMENT = struct.Struct("<IH")
COUNT = struct.Struct("<IIH")
LEVEL = struct.Struct("<BIH")
LEVEL_AT = struct.Struct("<BIH")
LINES = struct.Struct("<BIH")
SETTLED = struct.Struct("<BIHIH")
RESET = struct.Struct("<BI")
FILTERED = struct.Struct("<BBH")
EDGES_AFTER = struct.Struct("<BIH")
EDGES = struct.Struct("<I16I16H")
EDGES_MOST = 16
UART_OPEN = struct.Struct("<BBIHB")
UART_READ = struct.Struct("<BH")
UART_STALL = struct.Struct("<BIH")
UART = struct.Struct("<HHIH")
CLOCK = struct.Struct("<II")
ANALOG = struct.Struct("<i")

NEVER_MS = 0x3FFFFFFF
"""As a time of the board: never."""

MEMORY_PART = 256


class Op(IntEnum):
    """What a board says. Questions get an answer; the others none, or the board's end."""

    NOTICE = ord("N")  # nothing of mine happens before now any more
    COUNT = ord("C")  # FILTERED: pin, edge, glitch filter in ns -> COUNT
    LEVEL = ord("L")  # pin [, moment] -> LEVEL
    EDGES = ord("D")  # EDGES_AFTER: pin, moment -> EDGES: the level then, when it changes next
    UART_OPEN = ord("U")  # UART_OPEN: unit, pin, baud, bytes of buffer, idle characters -> UART, nothing read
    UART_READ = ord(
        "u"
    )  # UART_READ: unit, how many -> UART: left to read, read now, next interrupt; and these bytes
    UART_STALL = ord("z")  # UART_STALL: unit, moment since when no interrupt was served -> UART, nothing read
    UART_WRITE = ord("Z")  # unit, bytes
    LINE = ord(
        "Q"
    )  # pin, level that the board drives at the radio -> LINES: levels, MOMENT up to which they are known
    LINE_LOW = ord("q")  # the same for level 0, without an answer
    SPI_SETUP = ord("H")  # sck, mosi, miso, mode
    SPI = ord("I")  # MOMENT of the end, bytes out; none in
    SPI_READ = ord("i")  # MOMENT of the end, bytes out -> as many bytes in
    SETTLE = ord(
        "W"
    )  # MOMENT -> SETTLED: levels of the radio's lines, when (then at the latest), known up to when
    I2C = ord("Y")  # sda, scl, address, bytes to read, bytes out -> found u8, bytes in
    RESET = ord("X")  # RESET; the end
    POWER_OFF = ord("P")  # the end
    ENDED = ord("E")  # 0 main.py returned, 1 it crashed; the end
    IDLE = ord("F")  # nothing will ever wake me
    BEGGING = ord("B")  # waiting to be killed
    LEASE = ord("S")  # -> MOMENT until which the board may run, MOMENT of the next power cut
    MEMORY_READ = ord("M")  # offset u16 -> total u16, length u16, part
    MEMORY_WRITE = ord("m")  # offset u16, total u16, part
    CLOCK_SET = ord("K")  # seconds since 2000, µs
    NVS = ord("V")  # command, namespace, key, data -> i16 code, length u16, data
    ANALOG = ord("A")  # kind, number -> i32
    OUTPUT = ord("O")  # pin, level
    SLEPT = ord("j")  # MOMENT since which the board was in light sleep, until now


class Message(NamedTuple):
    """One message of a board: local time and payload."""

    op: int
    ms: int
    us: int
    payload: bytes


def split(buffer: bytearray) -> list[Message]:
    """The whole messages at the start of `buffer`, which are removed from it."""
    messages = []
    at = 0
    while len(buffer) - at >= HEADER.size:
        op, length, ms, us = HEADER.unpack_from(buffer, at)
        end = at + HEADER.size + length
        if len(buffer) < end:
            break
        messages.append(Message(op, ms, us, bytes(buffer[at + HEADER.size : end])))
        at = end
    del buffer[:at]
    return messages
