"""A real Mosquitto for a test: started with a configuration of its own on a free port, killed, restarted, stopped."""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_START_S = 10.0
_RESERVED_MOST = 100
_reservations: deque[socket.socket] = deque()


def program() -> str | None:
    """Path of the broker: what the set-up unpacked, else what is installed."""
    own = _ROOT / ".runtime" / "bin" / "mosquitto"
    if own.exists():
        return str(own)
    return shutil.which(
        "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    )


@atexit.register
def _give_back() -> None:
    while _reservations:
        _reservations.pop().close()


def free_port() -> int:
    """A port that nobody listens on, and that no other test on this machine is given meanwhile.

    Below those that a system gives to outgoing connections. Reserved by a datagram socket on the same number: a server
    that met another test's on its port would not start, and the test would talk to the other's.
    """
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(10_000, 32_000)
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        if len(_reservations) == _RESERVED_MOST:
            _reservations.popleft().close()
        _reservations.append(reservation)
        return port


class Mosquitto:
    """One broker. `options`: further lines of its configuration; `acl`: lines of its access list, None for none."""

    def __init__(
        self, directory: Path, options: Sequence[str] = (), acl: Sequence[str] | None = None
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.options = list(options)
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        if acl is not None:
            self.options.append(f"acl_file {directory / 'acl'}")
            self.allow(acl)

    def allow(self, acl: Sequence[str]) -> None:
        """Replace the access list; a running broker reads it now."""
        (self.directory / "acl").write_text("".join(f"{line}\n" for line in acl))
        (self.directory / "acl").chmod(0o600)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        lines = [
            f"listener {self.port} 127.0.0.1",
            *(
                []
                if any(line.startswith("allow_anonymous") for line in self.options)
                else ["allow_anonymous true"]
            ),
            "persistence false",
            # Not 0: then Mosquitto 2.0 ends the connection of every client whose message it refuses.
            *(
                []
                if any(line.startswith("max_queued") for line in self.options)
                else ["max_queued_messages 100000"]
            ),
            "log_dest file " + str(self.directory / "mosquitto.log"),
            # As root it would become `nobody`, who cannot read the test's directory.
            *(["user root"] if os.geteuid() == 0 else []),
            *self.options,
        ]
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text("".join(f"{line}\n" for line in lines))
        path = program()
        assert path is not None
        self._process = subprocess.Popen(
            [path, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_S
        while True:
            assert self._process.poll() is None, (self.directory / "mosquitto.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "Mosquitto does not listen"
                time.sleep(0.01)

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
