"""Makes a virtual board's flash image: a littlefs as MicroPython formats it, with files on it (the settings)."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

SIZE = 4096 * 512
"""2 MiB, as virtual_flash.py says."""

_PROGRAM = """
import sys
import board_link
import virtual_flash, vfs, struct
device = virtual_flash.Flash(sys.argv[1])
new = sys.argv[2] == "new"
names = sys.argv[3:]
if new:
    vfs.VfsLfs2.mkfs(device)
disk = vfs.VfsLfs2(device, mtime=False)
vfs.mount(disk, "/flash")
for name in names:
    size = struct.unpack("<I", sys.stdin.buffer.read(4))[0]
    data = sys.stdin.buffer.read(size)
    path = ""
    for part in name.split("/")[:-1]:
        path += "/" + part
        try:
            disk.mkdir(path)
        except OSError:
            pass
    with open("/flash/" + name, "wb") as f:
        f.write(data)
"""

_READ = """
import sys
import board_link
import virtual_flash, vfs
device = virtual_flash.Flash(sys.argv[1])
vfs.mount(vfs.VfsLfs2(device, mtime=False), "/flash")
try:
    with open("/flash/" + sys.argv[2], "rb") as f:
        while True:
            part = f.read(4096)
            if not part:
                break
            sys.stdout.buffer.write(part)
except OSError:
    sys.exit(3)
"""


class FlashError(RuntimeError):
    """The image cannot be made or read; the text holds what MicroPython said."""


def write_files(micropython: Path, stub: Path, image: Path, files: Mapping[str, bytes]) -> None:
    """Put `files` (path on the node: content) into `image`, which is formatted first if it does not exist."""
    new = not image.exists()
    if new:
        with image.open("wb") as blank:
            blank.truncate(SIZE)
    data = b"".join(len(content).to_bytes(4, "little") + content for content in files.values())
    result = _run(micropython, stub, _PROGRAM, [str(image), "new" if new else "old", *files], data)
    if result.returncode:
        raise FlashError(f"{image}: {result.stderr.decode(errors='replace').strip()}")


def read_file(micropython: Path, stub: Path, image: Path, path: str) -> bytes | None:
    """A file of the image, None if it is not there. The board must be off."""
    result = _run(micropython, stub, _READ, [str(image), path], b"")
    if result.returncode == 3:
        return None
    if result.returncode:
        raise FlashError(f"{image}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


def _run(
    micropython: Path, stub: Path, program: str, arguments: list[str], data: bytes
) -> subprocess.CompletedProcess[bytes]:
    # -c passes no arguments on, so they are part of the program.
    environment = {"MICROPYPATH": f"{stub}:.frozen", "TZ": "UTC"}
    script = f"import sys\nsys.argv[:] = {['', *arguments]!r}\n{program}"
    return subprocess.run(
        [str(micropython), "-c", script], input=data, capture_output=True, check=False, env=environment
    )
