"""A disk of a few megabytes that can be filled: a tmpfs in a mount namespace that a process of ours holds open."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

READY_S = 10.0
_LOOK_S = 0.02
_FILL = "import sys\nwith open(sys.argv[1], 'wb', 0) as filler:\n try:\n  while True: filler.write(bytes(4096))\n except OSError: pass"
"""To the last byte: what is written next finds nothing."""


def available() -> bool:
    """Whether this machine lets us make a disk of our own: user namespaces, tmpfs in them, nsenter."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    words = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class SmallDisk:
    """Mounted at `place`, for programs that are started with `words` before their own. It outlives them all until `close`."""

    def __init__(self, place: Path, size_mb: int) -> None:
        place.mkdir()
        self.place = place
        self._filler = place / "filler"
        script = f'mount -t tmpfs -o size={size_mb}m tmpfs "{place}" && touch "{place}/mounted" && exec sleep infinity'
        self._holder = subprocess.Popen(["unshare", "-Urm", "sh", "-c", script], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_S
        while not self._has("mounted"):
            if self._holder.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise OSError("a tmpfs in a namespace cannot be made")
            time.sleep(_LOOK_S)

    @property
    def words(self) -> Sequence[str]:
        """What makes a program one that sees the disk."""
        return [
            "nsenter",
            "--preserve-credentials",
            "-U",
            "-m",
            f"--wd={Path.cwd()}",
            "-t",
            str(self._holder.pid),
            "--",
        ]

    def _has(self, name: str) -> bool:
        words = [*self.words, "test", "-e", str(self.place / name)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Leave nothing free."""
        subprocess.run([*self.words, sys.executable, "-c", _FILL, str(self._filler)], check=True)

    def clear(self) -> None:
        """Free again what `fill` took."""
        subprocess.run([*self.words, "rm", "-f", str(self._filler)], check=True)

    def close(self) -> None:
        """Give it up, with everything on it."""
        self._holder.kill()
        self._holder.wait()
