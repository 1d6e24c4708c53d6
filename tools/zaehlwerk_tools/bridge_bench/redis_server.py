"""A Redis of our own on the loopback interface, as ChirpStack should have it: it keeps what it has over a power cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from zaehlwerk_tools.bridge_bench.child_process import end, last_line
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.set_up_programs import named_programs

HOST = "127.0.0.1"
START_S = 20.0
STOP_S = 10.0
STREAM = "device:stream:event"
_SERVER_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
_CONFIGURATION = """\
port {port}
bind {host}
dir "{directory}"
logfile "{directory}/redis.log"
appendonly yes
appendfsync everysec
save ""
"""


def find_redis(checkout: Path) -> Path:
    """Redis or Valkey: what the set-up left, else what is installed. Raises ZaehlwerkError if there is none."""
    entry = named_programs(checkout).get("redis-server")
    left = Path(entry["path"]) if isinstance(entry, dict) and "path" in entry else None
    for path in (left, checkout / ".runtime" / "bin" / "redis-server"):
        if path is not None and path.is_file() and os.access(path, os.X_OK):
            return path
    search = os.pathsep.join((os.environ.get("PATH", ""), *_SERVER_PLACES))
    found = shutil.which("redis-server", path=search) or shutil.which("valkey-server", path=search)
    if found is None:
        raise ZaehlwerkError("no Redis found: run `make setup` or install redis-server")
    return Path(found)


class RedisProcess:
    """A running Redis with its files in `directory`, on `port`. Use as `with RedisProcess(…) as redis`."""

    def __init__(self, program: Path, directory: Path, port: int) -> None:
        self.port = port
        directory.mkdir()
        self._log = directory / "redis.log"
        configuration = directory / "redis.conf"
        configuration.write_text(
            _CONFIGURATION.format(port=port, host=HOST, directory=directory), encoding="utf-8"
        )
        self._process = subprocess.Popen(
            [program, configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.client = Redis(HOST, port)

    def __enter__(self) -> Self:
        """Wait until it answers. Raises ZaehlwerkError if it does not."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.client.ping()
            except NotThere:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self._end()
                    raise ZaehlwerkError(
                        f"Redis does not start on port {self.port}: {self._told()}"
                    ) from None
                time.sleep(0.02)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.client.close()
        end(self._process, STOP_S)

    def _told(self) -> str:
        return last_line(self._log) or "it says nothing"
