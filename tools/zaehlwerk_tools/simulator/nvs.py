"""The `esp32.NVS` partition of a virtual board: kept in a file beside its flash image, written at commit."""

from __future__ import annotations

import json
import struct
from pathlib import Path

NOT_FOUND, TYPE_MISMATCH = -0x1102, -0x1103
"""ESP-IDF, nvs.h."""


class Nvs:
    """Answers the stub's questions; what is not committed when the board goes down is lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, int | bytes] = {}
        self.power_up()

    def power_up(self) -> None:
        """Back to what is committed."""
        self._values = {}
        if self._path.exists():
            for key, value in json.loads(self._path.read_text()).items():
                self._values[key] = value if isinstance(value, int) else bytes.fromhex(value)

    def answer(self, request: bytes) -> bytes:
        """One request: command letter and namespace, NUL, key, NUL, data. An i16 error code (0 good), u16 length, data."""
        head, key, data = request.split(b"\0", 2)
        what, name = chr(head[0]), f"{head[1:].decode()}/{key.decode()}"
        if what == "I":
            self._values[name] = struct.unpack("<i", data)[0]
        elif what == "B":
            self._values[name] = data
        elif what == "c":
            self._commit()
        elif name not in self._values:
            return struct.pack("<hH", NOT_FOUND, 0)
        elif what == "e":
            del self._values[name]
        else:
            value = self._values[name]
            if what == "i" and isinstance(value, int):
                return struct.pack("<hHi", 0, 4, value)
            if what == "b" and isinstance(value, bytes):
                return struct.pack("<hH", 0, len(value)) + value
            return struct.pack("<hH", TYPE_MISMATCH, 0)
        return struct.pack("<hH", 0, 0)

    def _commit(self) -> None:
        text = json.dumps(
            {
                key: value if isinstance(value, int) else value.hex()
                for key, value in sorted(self._values.items())
            }
        )
        new = self._path.with_suffix(".new")
        new.write_text(text)
        new.replace(self._path)
