"""The board at a port: what it is, what firmware it has, how full its flash is, why it went down last."""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Any

from zaehlwerk_tools.technician.board_facts import read_facts, require_suitable
from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport, open_board
from zaehlwerk_tools.technician.finding import Finding, ok, skipped, warning, wrong
from zaehlwerk_tools.technician.firmware_update import read_versions
from zaehlwerk_tools.technician.flash import differing_files
from zaehlwerk_tools.technician.manifest import Manifest, read_build
from zaehlwerk_tools.technician.node_observer import Observer, read_observer
from zaehlwerk_tools.technician.provision import identity_of
from zaehlwerk_tools.technician.running_node import open_running
from zaehlwerk_tools.technician.troubles import CutOffError, NotRunningError, TechnicianError

BOARD = "board"
SPARE_BYTES = 128 * 1024
"""Less, and the ring of a month with all channels does not fit beside what is replaced in an update."""
BOOT_VERSION = 1
"""Of the record `state/boot` (firmware/app/state.py): starts, 3 bytes; starts that did not last; the last crash."""
_FLASH = "import os\ns = os.statvfs('/')\nprint((s[0] * s[2], s[0] * s[3]))"
_BOOT = "try:\n print(repr(open('state/boot', 'rb').read()))\nexcept OSError:\n print(None)"


def examine_board(port: str, build: Path) -> tuple[list[Finding], str | None]:
    """Findings, and the node's DevEUI. A node that runs is held for a second or two and goes on."""
    manifest, observer, findings = _build(build)
    try:
        with open_running(port) as node:
            try:
                with node.held(observer.may_hold if observer else "True") as board:
                    return _look(board, manifest, [*findings, ok(BOARD, "a node runs on it, and goes on")])
            except BoardProgramError:
                with node.held() as board:
                    return _look(board, manifest, [*findings, ok(BOARD, "a node runs on it, and goes on")])
    except NotRunningError as error:
        findings.append(wrong(BOARD, str(error)))
    except TechnicianError as error:
        return [*findings, wrong(BOARD, str(error))], None
    try:
        with open_board(port) as board:
            try:
                return _look(board, manifest, findings)
            finally:
                board.reset()
    except CutOffError:
        return findings, None
    except TechnicianError as error:
        return [*findings, wrong(BOARD, str(error))], None


def _build(build: Path) -> tuple[Manifest | None, Observer | None, list[Finding]]:
    try:
        return read_build(build)[0], read_observer(build), []
    except TechnicianError as error:
        return None, None, [skipped(BOARD, f"its firmware is compared with no build ({error})")]


def _look(
    board: BoardTransport, manifest: Manifest | None, findings: list[Finding]
) -> tuple[list[Finding], str | None]:
    try:
        facts = read_facts(board)
        findings.append(ok(BOARD, f"{facts.machine}, MicroPython {facts.micropython}, {facts.unique_id}"))
        if manifest is not None:
            require_suitable(facts, manifest)
    except CutOffError:
        raise
    except TechnicianError as error:
        return [*findings, wrong(BOARD, str(error))], None
    dev_eui = identity_of(board)
    firmware, protocol = read_versions(board)
    if dev_eui is None:
        findings.append(wrong(BOARD, "it has no settings: `zaehlwerk provision` makes it a node"))
    else:
        findings.append(ok(BOARD, f"it is the node {dev_eui}"))
    findings.append(_firmware(board, manifest, firmware, protocol))
    size, free = board.value_of(_FLASH)
    findings += [flash_finding(int(size), int(free)), crash_finding(board.value_of(_BOOT))]
    return findings, dev_eui


def _firmware(
    board: BoardTransport, manifest: Manifest | None, firmware: str | None, protocol: int | None
) -> Finding:
    if firmware is None:
        return wrong(BOARD, "it has no firmware of ours: `zaehlwerk flash` brings it")
    told = f"firmware {firmware}, protocol {protocol}"
    if manifest is None:
        return ok(BOARD, told)
    differing = differing_files(board, manifest)
    if differing:
        return warning(
            BOARD,
            f"{told}: {len(differing)} files are not those of the build {manifest.firmware} ({differing[0]} …): "
            "`zaehlwerk firmware update` brings it, or name the right build by --build",
        )
    return ok(BOARD, f"{told}, every file as in the build, by hash")


def flash_finding(size: int, free: int) -> Finding:
    """Bytes of the file system."""
    told = f"{free // 1024} of {size // 1024} kB of its flash are free"
    if free < SPARE_BYTES:
        return wrong(BOARD, f"{told}: remove what is not the node's with `mpremote rm`")
    return ok(BOARD, told)


def crash_finding(record: Any) -> Finding:
    """From the bytes of `state/boot`, None if there are none."""
    if record is None:
        return skipped(BOARD, "it has not been started as a node yet")
    if (
        not isinstance(record, bytes)
        or len(record) < 9
        or record[0] != BOOT_VERSION
        or binascii.crc32(record[:-4]) != int.from_bytes(record[-4:], "little")
    ):
        return warning(BOARD, "its record of starts is damaged; the node begins a new one, nothing to do")
    starts, short, crash = int.from_bytes(record[1:4], "little"), record[4], record[5:-4]
    told = f"start {starts}"
    if short > 1:
        told += f", of which the last {short} did not last ten minutes"
    if crash:
        text = crash.decode(errors="replace")
        return warning(BOARD, f"{told}; it noted: {text} (names.json of its build explains short names)")
    if short > 2:
        return warning(BOARD, f"{told}: look at its supply and its cell")
    return ok(BOARD, f"{told}, no crash noted")
