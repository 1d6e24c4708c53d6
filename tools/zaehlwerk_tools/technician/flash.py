"""Brings a build onto a board: looks first, writes only what differs, proves it by hash, and can be begun again anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from zaehlwerk_tools.technician.board_facts import BoardFacts, read_facts, require_suitable
from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport, open_board
from zaehlwerk_tools.technician.flash_plan import BLOCK, MAIN, NEW, FlashPlan, blocks_needed, plan_flash
from zaehlwerk_tools.technician.hash_program import HASH
from zaehlwerk_tools.technician.manifest import BuiltFile, Manifest
from zaehlwerk_tools.technician.troubles import CutOffError, FullError, NotVerifiedError

WATCHDOG_MS = 300_000
"""A node's watchdog cannot be stopped, but be given so long; it starts a board anew that was left in the middle."""

_HOLD_WATCHDOG = f"import machine\nmachine.WDT(timeout={WATCHDOG_MS})"

_NO_SPACE = ("ENOSPC", "OSError: 28")

_LIST = f"""
import os
{HASH}def _walk(d):
    for e in os.ilistdir(d or '/'):
        p = d + e[0]
        if e[1] & 0x4000:
            print(repr((p, '', 0)), end=',')
            if d or p in rooms:
                _walk(p + '/')
        else:
            print(repr((p, _hash(p) if d or p in files else '-', e[3])), end=',')
print('[', end='')
_walk('')
print(']')
"""


@dataclass(frozen=True, slots=True)
class Flashed:
    """What was done, or with `dry_run` what would be."""

    facts: BoardFacts
    manifest: Manifest
    plan: FlashPlan
    dry_run: bool

    @property
    def result(self) -> str:
        """In a word or two."""
        if self.plan.nothing:
            return "unchanged"
        return "would flash" if self.dry_run else "flashed"

    def document(self) -> dict[str, Any]:
        """One record."""
        return {
            "result": self.result,
            "board": self.facts.document(),
            "firmware": self.manifest.firmware,
            "protocol": self.manifest.protocol,
            "written": [file.path for file in self.plan.write],
            "removed": list(self.plan.remove),
            "kept": self.plan.kept,
            "bytes": self.plan.size,
        }


Progress = Callable[[str, int, int], None]
"""File, bytes written before it, bytes in all."""


Guard = Callable[[BoardTransport], AbstractContextManager[None]]
"""Entered before anything is written and left when all is; what it raises ends the command."""


def _unguarded(board: BoardTransport) -> AbstractContextManager[None]:
    return nullcontext()


def flash(
    port: str,
    manifest: Manifest,
    contents: Mapping[str, bytes],
    *,
    dry_run: bool,
    progress: Progress,
    guard: Guard = _unguarded,
) -> Flashed:
    """Bring `contents` onto the board at `port`, which then starts its program. Raises TechnicianError."""
    with open_board(port) as board:
        try:
            facts = read_facts(board)
            require_suitable(facts, manifest)
            with guard(board):
                there = _listed(board, manifest)
                plan = plan_flash(manifest, {path: digest for path, (digest, _) in there.items()})
                _require_room(board, plan, {path: size for path, (_, size) in there.items()})
                if not dry_run and not plan.nothing:
                    _carry_out(board, manifest, plan, contents, progress)
        finally:
            # Its program was interrupted, and goes on.
            with suppress(CutOffError):
                board.reset()
    return Flashed(facts, manifest, plan, dry_run)


def differing_files(board: BoardTransport, manifest: Manifest) -> list[str]:
    """Paths of the build whose files on the board are missing or others, by hash. Raises CutOffError."""
    there = _listed(board, manifest)
    return [file.path for file in manifest.files if there.get(file.path, ("", 0))[0] != file.sha256]


def _carry_out(
    board: BoardTransport,
    manifest: Manifest,
    plan: FlashPlan,
    contents: Mapping[str, bytes],
    progress: Progress,
) -> None:
    board.run(_HOLD_WATCHDOG)
    for path in plan.remove:
        board.run(f"import os\nos.remove({path!r})")
    for folder in plan.folders:
        with _full_at(folder):
            board.run(f"import os\nos.mkdir({folder!r})")
    done = 0
    for file in plan.write:
        progress(file.path, done, plan.size)
        if file.path == MAIN:
            _require_verified(board, manifest, leaving_out={MAIN})
        _write(board, file, contents[file.path])
        done += file.size
    progress("", done, plan.size)
    _require_verified(board, manifest, leaving_out=set())


def _write(board: BoardTransport, file: BuiltFile, content: bytes) -> None:
    new = file.path + NEW
    rename = f"import os\nos.rename({new!r}, {file.path!r})"
    with _full_at(file.path):
        board.write(new, content, before=_HOLD_WATCHDOG, after=rename)


@contextmanager
def _full_at(path: str) -> Iterator[None]:
    try:
        yield
    except BoardProgramError as error:
        if not any(word in error.traceback for word in _NO_SPACE):
            raise
        raise FullError(
            f"the board's file system is full at {path}: "
            "remove what is not the node's with `mpremote rm`, and run the same command again"
        ) from None


def _listed(board: BoardTransport, manifest: Manifest) -> dict[str, tuple[str, int]]:
    """Of each file of the board: SHA-256 in hex ("-": of no concern; "": a folder), bytes."""
    files = [file.path for file in manifest.files if "/" not in file.path]
    rooms = sorted({file.path.split("/")[0] for file in manifest.files if "/" in file.path})
    entries = board.value_of(f"rooms = {rooms!r}\nfiles = {files!r}\n{_LIST}")
    return {path: (digest, size) for path, digest, size in entries}


def _require_room(board: BoardTransport, plan: FlashPlan, sizes: Mapping[str, int]) -> None:
    size, free = board.value_of("import os\ns = os.statvfs('/')\nprint((s[0], s[3]))")
    needed = blocks_needed(plan, sizes) * BLOCK
    if not plan.nothing and size * free < needed:
        raise FullError(
            f"the board has {size * free // 1024} kB free and the firmware needs {needed // 1024} kB: "
            "remove what is not the node's with `mpremote rm`, and run the same command again"
        )


def _require_verified(board: BoardTransport, manifest: Manifest, *, leaving_out: set[str]) -> None:
    there = _listed(board, manifest)
    for file in manifest.files:
        if file.path not in leaving_out and there.get(file.path, ("", 0))[0] != file.sha256:
            raise NotVerifiedError(
                f"{file.path} on the board is not what was written: run the same command again; "
                "if it stays so, the board's flash is worn out or the line is bad"
            )
