"""A real Redis for a test, and what ChirpStack writes into it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from chirpstack_api import integration
from google.protobuf import json_format

from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Item

_ROOT = Path(__file__).parents[3]
_START_S = 20.0
STREAM = "device:stream:event"
EVENTS = {
    "up": integration.UplinkEvent,
    "join": integration.JoinEvent,
    "ack": integration.AckEvent,
    "txack": integration.TxAckEvent,
    "log": integration.LogEvent,
    "status": integration.StatusEvent,
}


def program() -> str | None:
    """Path of the server: what the set-up unpacked, else what is installed."""
    own = _ROOT / ".runtime" / "bin" / "redis-server"
    if own.exists():
        return str(own)
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which("redis-server", path=path) or shutil.which("valkey-server", path=path)


class RedisServer:
    """One server that keeps everything over a SIGKILL. `options`: further lines of its configuration."""

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self.options = list(options)
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f'dir "{self.directory}"',
            f'logfile "{self.directory / "redis.log"}"',
            "appendonly yes",
            "appendfsync always",
            'save ""',
            *self.options,
        ]
        configuration = self.directory / "redis.conf"
        configuration.write_text("".join(f"{line}\n" for line in lines))
        path = program()
        assert path is not None
        self._process = subprocess.Popen(
            [path, str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while True:
            assert self._process.poll() is None, (self.directory / "redis.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "Redis does not listen"
                time.sleep(0.01)

    def client(self, **options: Any) -> redis.Redis:
        """A client of its own."""
        return redis.Redis("127.0.0.1", self.port, **options)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hold its connections without doing anything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(10)
            self._process = None


def event_bytes(kind: str, body: dict[str, Any]) -> bytes:
    """The protobuf of an integration event whose JSON form is `body`."""
    return json_format.ParseDict(body, EVENTS[kind](), ignore_unknown_fields=True).SerializeToString()


class EventStream:
    """ChirpStack's stream of all events as it writes it; `most` is its `device_event_log_max_history`."""

    def __init__(self, client: redis.Redis, most: int = 100_000, key: str = STREAM) -> None:
        self.client = client
        self.most = most
        self.key = key

    def put(self, *items: Item, in_their_time: bool = False) -> None:
        """Add what happened: now, or when the nodes' clocks say that it did."""
        for item in items:
            value = event_bytes(item.description, json.loads(item.body))
            self.raw({item.description: value}, item.id if in_their_time else "*")

    def raw(self, fields: dict[str, bytes], entry_id: str = "*") -> None:
        """Add an entry with these fields."""
        self.client.xadd(self.key, fields, id=entry_id, maxlen=self.most, approximate=False)
