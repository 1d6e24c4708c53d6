"""The gRPC server of the bench, started, told what happens, asked how far it is, ended."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from zaehlwerk_tools.bridge_bench.child_process import end, last_line
from zaehlwerk_tools.bridge_bench.offered import Entry
from zaehlwerk_tools.errors import ZaehlwerkError

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class How:
    """What the server says of itself."""

    port: int
    open: int
    opened: int
    last_opened_s: float
    """When the newest stream was opened, on the monotonic clock, which is the whole machine's."""
    connections: int
    most_on_one: int
    """Streams on the connection that has most."""


class StreamProcess:
    """Serves so many devices. `streams`: so many it lets through on one connection, 0: any number.

    Use as `with StreamProcess(…) as server`.
    """

    def __init__(self, devices: int, directory: Path, *, streams: int = 0) -> None:
        self._log = directory / "stream-server.log"
        words = [sys.executable, "-m", "zaehlwerk_tools.bridge_bench.stream_server"]
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(
                [*words, str(devices), str(streams)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                env={**os.environ, "GRPC_VERBOSITY": "NONE"},
            )
        self.port = 0

    def __enter__(self) -> Self:
        """Wait until it listens. Raises ZaehlwerkError if it does not."""
        try:
            self.port = self.how().port
        except ZaehlwerkError:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def write(self, entries: Iterable[Entry]) -> None:
        """Events of devices, in this order. Returns when the server has them. Raises ZaehlwerkError if it has died."""
        for entry in entries:
            self._say(f"put {entry.dev_eui} {base64.b64encode(entry.log_item()).decode('ascii')}\n")
        self.how()

    def how(self) -> How:
        """How far it is. Raises ZaehlwerkError if it has died."""
        self._say("how\n")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            raise self._died()
        return How(**json.loads(answer))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("ascii"))
        except OSError:
            raise self._died() from None

    def _died(self) -> ZaehlwerkError:
        return ZaehlwerkError(
            f"the gRPC server of the bench has ended: {last_line(self._log) or 'it says nothing'}"
        )

    def _end(self) -> None:
        end(self._process, STOP_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                continue  # what was not written yet has nobody to read it
