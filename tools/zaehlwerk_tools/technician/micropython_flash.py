"""Puts MicroPython itself on a chip, with esptool: a program of its own, under a licence of its own, and an extra.

The file system behind it stays, unless the node that is on it is named: with it go totals and used DevNonces.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zaehlwerk_tools.technician.board_facts import BoardFacts, read_facts
from zaehlwerk_tools.technician.board_transport import BoardTransport, enter_raw, open_serial
from zaehlwerk_tools.technician.esp_image import EspImage
from zaehlwerk_tools.technician.provision import identity_of
from zaehlwerk_tools.technician.troubles import (
    AnotherIdentityError,
    CutOffError,
    NoBoardError,
    NotVerifiedError,
    TechnicianError,
    UnsuitableError,
)

WOULD_FLASH = "would flash"
NOBODY = "empty"
"""Instead of a DevEUI: the board is no node yet."""
BAUD = 460_800
STARTING_S = 30.0
"""MicroPython makes its file system at its first start, which takes some seconds."""
_LOOK_S = 0.5
_ESPTOOL = (sys.executable, "-m", "esptool")
_CHIP = re.compile(r"Detecting chip type\.\.\. *(ESP[0-9A-Z-]+)")
_FATAL = re.compile(r"A fatal error occurred: *(.+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


class EsptoolError(TechnicianError):
    """esptool is not installed."""


@dataclass(frozen=True, slots=True)
class Present:
    """The MicroPython that answers at a port. `node`: the DevEUI in its settings."""

    facts: BoardFacts
    build: str
    node: str | None


def put_micropython(
    port: str,
    image: EspImage,
    *,
    erase: str | None,
    dry_run: bool,
    progress: Callable[[str, int, int], None],
    becomes: str | None = None,
) -> dict[str, Any]:
    """Bring `image` onto the chip at `port`, unless it has it; a part of a record. Raises TechnicianError.

    `erase`: the DevEUI of the node whose flash is to be erased first, or NOBODY for a board that is no node. `becomes`: the node
    that the board is made after that. One that is that node already was erased by a run that was cut off or repeated.
    """
    require_esptool()
    require_real(port)
    before = present_at(port)
    node = None if before is None else before.node
    if erase is not None and node is not None and node == becomes != erase.lower():
        erase = None
    if erase is not None and node is not None and erase.lower() != node:
        raise AnotherIdentityError(
            f"this board is the node {node}: erasing it takes its totals and used DevNonces away, so name it: --erase {node}"
        )
    if before is not None and erase is None and image.is_that_of(before.facts.machine, before.build):
        return _document("unchanged", image, before)
    chip = chip_at(port)
    if chip != image.chip:
        raise UnsuitableError(
            f"{port}: the board has an {chip}, and {image.path} is for the {image.chip}: "
            "take that chip's image of https://micropython.org/download"
        )
    if dry_run:
        return _document(WOULD_FLASH, image, before)
    write_image(port, image, erase=erase is not None, progress=progress)
    after = _awaited(port)
    if after.build != image.build:
        raise NotVerifiedError(
            f"{port}: MicroPython {after.build} answers after {image.build} was written: run the same command again"
        )
    return _document("flashed", image, before)


def require_esptool() -> None:
    """Raises EsptoolError."""
    if importlib.util.find_spec("esptool") is None:
        raise EsptoolError("esptool is not installed: --micropython needs pip install 'zaehlwerk[esptool]'")


def require_real(port: str) -> None:
    """Raises UnsuitableError for a pseudo-terminal, where no chip can be."""
    device = Path(port).resolve()
    if "://" not in port and re.match(r"/dev/(pts/|ttys\d)", str(device)):
        raise UnsuitableError(
            f"{port} is a virtual board, which has no boot loader and its MicroPython already: leave out --micropython"
        )


def present_at(port: str) -> Present | None:
    """The MicroPython that answers, None if none does. Raises NoBoardError if the port cannot be opened."""
    with open_serial(port) as serial:
        try:
            enter_raw(port, serial, soft_reset=True)
            return _look(BoardTransport(port, serial))
        except (TechnicianError, ValueError, SyntaxError):
            return None  # whatever is on the chip, its boot loader is asked next


def _look(board: BoardTransport) -> Present:
    try:
        build = board.value_of("import os\nprint(repr(os.uname().version))")
        return Present(read_facts(board), str(build), identity_of(board))
    finally:
        # Its program was interrupted, and goes on if nothing comes of this.
        with suppress(TechnicianError):
            board.reset()


def chip_at(port: str) -> str:
    """What the boot loader is of, as MicroPython writes it. Raises NoBoardError."""
    ended, said = _run(("--port", port, "--no-stub", "chip-id"), lambda line: None)
    found = _CHIP.search(said)
    if ended or found is None:
        raise NoBoardError(
            f"{port}: no boot loader of an ESP answers there ({_cause(said)}); is it the right port, and an ESP? "
            "Hold BOOT while the cable is put in, and try again; a virtual board has no boot loader"
        )
    return found[1].replace("-", "")


def write_image(
    port: str, image: EspImage, *, erase: bool, progress: Callable[[str, int, int], None]
) -> None:
    """Write and verify it, and start the chip. Raises CutOffError, NotVerifiedError."""
    size = len(image.data)
    progress(image.path.name, 0, size)

    def heard(line: str) -> None:
        if (percent := _PERCENT.search(line)) is not None:
            progress(image.path.name, int(size * min(100.0, float(percent[1])) / 100), size)

    words = ("--chip", image.chip.lower(), "--port", port, "--baud", str(BAUD), "write-flash")
    erasing = ("--erase-all",) if erase else ()
    ended, said = _run((*words, *erasing, hex(image.offset), str(image.path)), heard)
    if not ended:
        return
    cause = _cause(said)
    if "does not match" in cause:
        raise NotVerifiedError(
            f"{port}: what was written is not what is there ({cause}): run the same command again; if it stays so, "
            "the board's flash is worn out or the line is bad"
        )
    raise CutOffError(
        f"{port}: writing MicroPython ended in the middle ({cause}); look at the cable and run the same command again"
    )


def _awaited(port: str) -> Present:
    until = time.monotonic() + STARTING_S
    while True:
        try:
            if (found := present_at(port)) is not None:
                return found
        except NoBoardError:
            pass  # a chip with a USB of its own leaves the bus when it starts
        if time.monotonic() >= until:
            raise NoBoardError(
                f"{port}: MicroPython is written and does not answer: press RESET and run the same command again; "
                f"if the chip had other firmware before, `zaehlwerk flash` with --erase {NOBODY}"
            )
        time.sleep(_LOOK_S)


def _document(result: str, image: EspImage, before: Present | None) -> dict[str, Any]:
    return {
        "result": result,
        "image": image.path.name,
        "chip": image.chip,
        "version": image.micropython,
        "before": None if before is None else before.facts.micropython,
    }


def _run(words: tuple[str, ...], heard: Callable[[str], None]) -> tuple[int, str]:
    """esptool's exit status and all it says, each line of it told as it comes."""
    # Its lines shall neither be broken nor coloured, wherever this runs.
    environment = {**os.environ, "COLUMNS": "400", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    said = []
    with subprocess.Popen(
        (*_ESPTOOL, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                heard(line)
        except BaseException:
            process.kill()
            raise
    return process.returncode, "".join(said)


def _cause(said: str) -> str:
    fatal = _FATAL.findall(said)
    last = [line.strip() for line in said.splitlines() if line.strip()]
    return str(fatal[-1] if fatal else last[-1] if last else "esptool says nothing").strip().rstrip(".")
