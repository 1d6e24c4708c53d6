"""What an image for an ESP32's flash says of itself: for which chip it is, and which MicroPython is in it.

The header is that of Espressif's "App Image Format" (ESP-IDF programming guide, esp_image_header_t, 24 bytes); MicroPython's
downloads begin with the second-stage boot loader, which has such a header too.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.technician.manifest import CHIPS, MICROPYTHON
from zaehlwerk_tools.technician.troubles import BuildError, UnsuitableError

_MAGIC = 0xE9
_HEADER = struct.Struct("<B11xH10x")
"""esp_image_header_t: magic, and chip_id at byte 12."""
_APPLICATION = struct.pack("<I", 0xABCD5432)
"""esp_app_desc_t's magic word: behind the headers of image and first segment (24 + 8 bytes) only in an application."""
_APPLICATION_AT = 32
_CHIP_IDS = {
    0: "ESP32",
    2: "ESP32S2",
    5: "ESP32C3",
    9: "ESP32S3",
    12: "ESP32C2",
    13: "ESP32C6",
    16: "ESP32H2",
    18: "ESP32P4",
    23: "ESP32C5",
}
"""esp_chip_id_t, as MicroPython writes the names."""
_BOOT_LOADER_AT = {"ESP32": 0x1000, "ESP32S3": 0x0}
"""Where the ROM looks for the second-stage boot loader (ESP-IDF programming guide, "Bootloader")."""
_BANNER = re.compile(
    rb"MicroPython (?:\([^)]{1,40}\) )?(v(\d+)\.(\d+)(?:\.(\d+))?[!-~]{0,40} on \d{4}-\d\d-\d\d)"
)
"""As its prompt greets: version and day of the build."""


@dataclass(frozen=True, slots=True)
class EspImage:
    """`build`: version and day, as `os.uname().version` has them on the board."""

    path: Path
    data: bytes
    chip: str
    build: str
    version: tuple[int, ...]

    @property
    def offset(self) -> int:
        """Where in the flash it begins."""
        return _BOOT_LOADER_AT[self.chip]

    @property
    def micropython(self) -> str:
        """Its version, for people."""
        return ".".join(str(part) for part in self.version)

    def is_that_of(self, machine: str, build: str) -> bool:
        """Whether a board that says so of itself has this image: the same build for the same kind of board."""
        return build == self.build and machine.encode() in self.data


def read_image(path: Path) -> EspImage:
    """Raises BuildError: no image for a whole flash, or not of MicroPython; UnsuitableError: another chip's, or too old."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BuildError(
            f"{path} cannot be read ({error.strerror or error}): name MicroPython's .bin"
        ) from None
    where = "take the .bin for your board of https://micropython.org/download"
    if len(data) < _HEADER.size or data[0] != _MAGIC:
        raise BuildError(f"{path} is no image for an ESP's flash: {where}")
    if data[_APPLICATION_AT : _APPLICATION_AT + 4] == _APPLICATION:
        raise BuildError(f"{path} is an application without its boot loader (an .app-bin): {where}")
    chip_id = _HEADER.unpack_from(data)[1]
    chip = _CHIP_IDS.get(chip_id, f"chip {chip_id}")
    if chip not in CHIPS:
        raise UnsuitableError(f"{path} is for the {chip}, and the node runs on {' or '.join(CHIPS)}: {where}")
    banner = _BANNER.search(data)
    if banner is None:
        raise BuildError(f"{path} is an image for the {chip}, but not of MicroPython: {where}")
    version = tuple(int(part or 0) for part in banner.group(2, 3, 4))
    if version[:2] < MICROPYTHON:
        least = ".".join(str(part) for part in MICROPYTHON)
        raise UnsuitableError(
            f"{path} is MicroPython {'.'.join(map(str, version))}, and the firmware needs {least} or newer: {where}"
        )
    return EspImage(path, data, chip, banner.group(1).decode("ascii"), version)
