"""What a board says of itself, and whether the firmware runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport
from zaehlwerk_tools.technician.manifest import Manifest
from zaehlwerk_tools.technician.troubles import UnsuitableError

_PROGRAM = """
import sys, os
i = sys.implementation
try:
    import machine
    u = machine.unique_id()
except (ImportError, AttributeError):
    u = b''
print(repr((sys.platform, i.name, tuple(i.version[:3]), getattr(i, '_machine', '?'), getattr(i, '_mpy', 0), bytes(u))))
"""
_SETTINGS = """
try:
    import json
    print(repr(json.load(open('settings.json')).get('board')))
except (OSError, ValueError, AttributeError):
    print('None')
"""
_NAMES = {"ESP32": "ESP32", "ESP32S3": "ESP32-S3"}


@dataclass(frozen=True, slots=True)
class BoardFacts:
    """`chip` is written as MicroPython writes it, "?" if it does not say; `unique_id` in hex; `board` as its settings name it."""

    platform: str
    implementation: str
    version: tuple[int, ...]
    machine: str
    mpy: int
    unique_id: str
    board: str | None

    @property
    def chip(self) -> str:
        """ESP32, ESP32S3, …: what stands behind "with" in MicroPython's own words."""
        return self.machine.rpartition(" with ")[2].split(" ")[0] or "?"

    @property
    def micropython(self) -> str:
        """Its version, for people."""
        return ".".join(str(part) for part in self.version)

    def document(self) -> dict[str, Any]:
        """For a record."""
        return {
            "machine": self.machine,
            "chip": self.chip,
            "micropython": self.micropython,
            "unique_id": self.unique_id,
        }


def read_facts(board: BoardTransport) -> BoardFacts:
    """Ask. Raises UnsuitableError if that is no MicroPython at all."""
    try:
        answer = board.value_of(_PROGRAM)
        platform, implementation, version, machine, mpy, unique_id = answer
        named = board.value_of(_SETTINGS)
    except (BoardProgramError, ValueError, SyntaxError, TypeError) as error:
        raise UnsuitableError(
            f"what answers is no MicroPython that says what it is ({error}): put MicroPython for the ESP32 on the board"
        ) from None
    return BoardFacts(
        str(platform),
        str(implementation),
        tuple(int(part) for part in version),
        str(machine),
        int(mpy),
        bytes(unique_id).hex(),
        named if isinstance(named, str) else None,
    )


def require_suitable(facts: BoardFacts, manifest: Manifest) -> None:
    """Raises UnsuitableError: another maker's chip, MicroPython too old, another .mpy format, settings of another board."""
    chips = " or ".join(_NAMES.get(chip, chip) for chip in manifest.chips)
    if facts.platform != "esp32" or facts.implementation != "micropython":
        raise UnsuitableError(
            f"this is a {facts.machine} ({facts.platform}), and the node runs on {chips}: take another board"
        )
    if facts.chip not in manifest.chips:
        raise UnsuitableError(
            f"this board has a chip {facts.chip}, and the node runs on {chips}: take another board"
        )
    if facts.version[:2] < manifest.micropython:
        least = ".".join(str(part) for part in manifest.micropython)
        raise UnsuitableError(
            f"MicroPython {facts.micropython} is too old, the firmware needs {least} or newer: "
            "put a newer one on the board by `zaehlwerk flash --micropython FILE`, see https://micropython.org/download"
        )
    if facts.mpy & 0xFF != manifest.mpy:
        raise UnsuitableError(
            f"MicroPython {facts.micropython} reads .mpy version {facts.mpy & 0xFF} and this build is version {manifest.mpy}: "
            "build the firmware with the mpy-cross of that MicroPython"
        )
    known = next((board for board in KNOWN_BOARDS.values() if board.file == facts.board), None)
    if known is not None and known.hardware.mcu.upper() != facts.chip:
        raise UnsuitableError(
            f"settings.json on it names the board {facts.board}, which has an {_NAMES[known.hardware.mcu.upper()]}, "
            f"and this one has an {_NAMES[facts.chip]}: the settings are another board's, remove them first"
        )
