"""A chip's serial boot loader on a TCP socket: enough of Espressif's protocol for the real esptool to write a flash.

Source: Espressif's "Serial Protocol" (docs.espressif.com, esptool, advanced topics): SLIP frames of direction, command,
length, checksum or value, data; the answer's data end with a status. What is uploaded to RAM is not run: whoever starts it
gets the greeting of esptool's stub, and from then on the stub's answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

END, ESCAPE = 0xC0, 0xDB
READ_REG, SYNC, MEM_END, SECURITY_INFO = 0x0A, 0x08, 0x06, 0x14
FLASH_DEFL_BEGIN, FLASH_DEFL_DATA, FLASH_DEFL_END, MD5, ERASE_FLASH = 0x10, 0x11, 0x12, 0x13, 0xD0
INVALID_MESSAGE = b"\x01\x05\x00\x00"
DONE = bytes(4)
ROM_SYNC = 0x20120707
"""Of a ROM; a stub that runs already answers 0."""
ESP32_MAGIC = 0x00F01D83
"""What the ROM of an ESP32, which cannot name itself, has at `MAGIC_REGISTER`."""
MAGIC_REGISTER = 0x40001000
FLASH_BYTES = 4 * 1024 * 1024


class BootLoader:
    """Of a chip with this number, as an image's header has it (0: ESP32, 9: ESP32-S3). `flash` is what was written."""

    def __init__(self, chip_id: int) -> None:
        self.chip_id = chip_id
        self.flash = bytearray(b"\xff" * FLASH_BYTES)
        self.commands: list[int] = []
        self.gone_at: int | None = None
        """The command at which the cable is pulled."""
        self._stub = False
        self._at = 0
        self._inflate = zlib.decompressobj()

    def serve(self, line: socket.socket) -> None:
        """One connection after the other is a cable that is put in anew; each finds the ROM's loader."""
        self._stub, waiting = False, bytearray()
        with contextlib.suppress(OSError):
            while came := line.recv(65536):
                waiting += came
                while (frame := _frame(waiting)) is not None:
                    if len(frame) < 8:
                        continue
                    if frame[1] == self.gone_at:
                        return
                    for answer in self._answers(frame[1], bytes(frame[8:])):
                        line.sendall(_slip(answer))

    def _answers(self, command: int, data: bytes) -> Iterator[bytes]:
        self.commands.append(command)
        value, extra = 0, b""
        if command == SYNC and not self._stub:
            value = ROM_SYNC
        elif command == READ_REG:
            (address,) = struct.unpack("<I", data[:4])
            value = ESP32_MAGIC if address == MAGIC_REGISTER and not self.chip_id else 0
        elif command == SECURITY_INFO:
            if not self.chip_id:
                yield _answer(command, 0, INVALID_MESSAGE)
                return
            extra = struct.pack("<IB7sII", 0, 0, bytes(7), self.chip_id, 0)
        elif command == MD5:
            at, size = struct.unpack("<II", data[:8])
            digest = hashlib.md5(self.flash[at : at + size]).hexdigest()
            extra = bytes.fromhex(digest) if self._stub else digest.encode()
        else:
            self._write(command, data)
        for _ in range(8 if command == SYNC else 1):  # as a ROM does
            yield _answer(command, value, extra + DONE)
        if command == MEM_END:
            self._stub = True
            yield b"OHAI"

    def _write(self, command: int, data: bytes) -> None:
        if command == ERASE_FLASH:
            self.flash[:] = b"\xff" * FLASH_BYTES
        elif command == FLASH_DEFL_BEGIN:
            self._at = struct.unpack("<IIII", data[:16])[3]
            self._inflate = zlib.decompressobj()
        elif command == FLASH_DEFL_DATA:
            written = self._inflate.decompress(data[16:])
            self.flash[self._at : self._at + len(written)] = written
            self._at += len(written)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a port at which `serve` answers each connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = server.accept()
                with line:
                    serve(line)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def _answer(command: int, value: int, data: bytes) -> bytes:
    return struct.pack("<BBHI", 1, command, len(data), value) + data


def _slip(packet: bytes) -> bytes:
    escaped = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return bytes((END,)) + escaped + bytes((END,))


def _frame(waiting: bytearray) -> bytes | None:
    """The first whole frame, taken out of `waiting`; None if there is none yet."""
    while True:
        begin = waiting.find(END)
        if begin < 0:
            waiting.clear()
            return None
        end = waiting.find(END, begin + 1)
        if end < 0:
            return None
        body = bytes(waiting[begin + 1 : end])
        del waiting[: end + 1]
        if body:
            return re.sub(b"\xdb([\xdc\xdd])", lambda m: b"\xc0" if m[1] == b"\xdc" else b"\xdb", body)
