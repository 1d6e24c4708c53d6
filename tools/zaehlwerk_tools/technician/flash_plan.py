"""What there is to do to bring a build onto a board: pure, from the hashes of the one and of the other.

The rooms of the firmware (the folders that the build has) belong to it: what else lies in them goes. Everything else on
the board, above all `settings.json` and `state/`, is not touched; only at the root a file that would be loaded instead of one
of the build's goes too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zaehlwerk_tools.technician.manifest import BuiltFile, Manifest

MAIN = "main.py"
NEW = ".new"
"""A file has this behind its name until it is written whole and proven."""
BLOCK = 4096
"""littlefs on the ESP32: a block holds one file's data."""
_SPARE_BLOCKS = 8
"""For directories and for littlefs itself while a file is replaced."""


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """In this order: `main.py` goes if anything differs, `remove`, `folders`, `write`; `main.py` comes last.

    So a half-written firmware never starts, and whoever begins again finds what is left to do.
    """

    remove: tuple[str, ...]
    folders: tuple[str, ...]
    write: tuple[BuiltFile, ...]
    kept: int

    @property
    def nothing(self) -> bool:
        """The board has the build already."""
        return not self.remove and not self.write

    @property
    def size(self) -> int:
        """Bytes to write."""
        return sum(file.size for file in self.write)


def plan_flash(manifest: Manifest, there: Mapping[str, str]) -> FlashPlan:
    """`there`: SHA-256 in hex of every file of the board by its path below the root, "" for a folder."""
    wanted = {file.path: file for file in manifest.files}
    rooms = {path.split("/", 1)[0] for path in wanted if "/" in path}
    remove = [
        path for path, digest in there.items() if digest and path not in wanted and _goes(path, wanted, rooms)
    ]
    differing = [file for file in manifest.files if there.get(file.path) != file.sha256]
    write = [file for file in differing if file.path != MAIN]
    if MAIN in wanted and (differing or remove):
        write.append(wanted[MAIN])
        if MAIN in there and (remove or len(write) > 1):
            remove.insert(0, MAIN)
    folders = sorted({parent for file in write for parent in _parents(file.path)} - there.keys())
    return FlashPlan(tuple(remove), tuple(folders), tuple(write), len(manifest.files) - len(write))


def blocks_needed(plan: FlashPlan, sizes: Mapping[str, int]) -> int:
    """Blocks that must be free: each file is written beside the one it replaces. `sizes`: bytes of the files that go first."""
    freed = sum(-(-sizes.get(path, 0) // BLOCK) for path in plan.remove)
    replaced = sum(-(-sizes.get(file.path, 0) // BLOCK) for file in plan.write)
    new = sum(-(-file.size // BLOCK) for file in plan.write)
    return max(0, new - freed - replaced) + _SPARE_BLOCKS


def _goes(path: str, wanted: Mapping[str, BuiltFile], rooms: set[str]) -> bool:
    """What lies in a room, what a cut left half written, and what would be loaded instead of a room: app.py, app.mpy."""
    if "/" in path:
        return path.split("/", 1)[0] in rooms
    stem, _, suffix = path.rpartition(".")
    return (suffix == NEW[1:] and stem in wanted) or (suffix in ("py", "mpy") and stem in rooms)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
