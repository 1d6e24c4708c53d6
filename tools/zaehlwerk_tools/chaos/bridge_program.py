"""The bridge as a program, with its settings and a clock that can be stepped, started anew whenever it has died."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from zaehlwerk_tools.bridge_bench.child_process import end, last_line
from zaehlwerk_tools.errors import ZaehlwerkError

FAILPOINT = "ZAEHLWERK_FAILPOINT"
CLOCK_OFF = "ZAEHLWERK_CLOCK_OFF"
STOP_S = 10.0
_EXIT_BROKEN = 1

SETTINGS = """\
id = "{name}"
prefix = "{prefix}"
source = "{source}"
database = "{database}"
[store]
low_water_mb = {low_water_mb}
{password}
[chirpstack]
server = "{host}:{server}"
tenants = ["52f14cd4-c6f1-4fbd-8f87-4025e1d49242"]
api_key_file = "api.key"
insecure = true
keepalive_s = 10
backoff_first_s = 0.1
backoff_most_s = 1
[redis]
server = "{host}:{redis}"
insecure = true
claim_idle_s = 3
request_timeout_s = 6
backoff_first_s = 0.1
backoff_most_s = 1
[mqtt]
host = "{host}"
port = {broker}
insecure = true
username = "{user}"
keepalive_s = 5
connect_timeout_s = 5
backoff_first_s = 0.1
backoff_most_s = 1
[ledger]
batch = 50
[healing]
enabled = false
[http]
port = 0
[log]
level = "warning"
"""
"""The settings of one, to be filled in."""


class Bridge:
    """One bridge's program, started anew whenever it is dead, as a service manager does it."""

    def __init__(self, name: str, words: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._words = list(words)
        self._clock = log.with_suffix(".clock")
        self.step_clock(0.0)
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._dies = False
        self.crashes = 0
        """Deaths at a failpoint."""
        self.started = 0.0
        """When it was started last, on the monotonic clock."""
        self.broke: list[str] = []
        """Ends that nobody brought about, each with what the bridge said last."""

    def start(self, failpoint: str = "") -> None:
        """Start it; with a failpoint it dies there, and is then started without."""
        self._wanted = True
        environment = {key: value for key, value in os.environ.items() if key != FAILPOINT}
        environment[CLOCK_OFF] = str(self._clock)
        if failpoint:
            environment[FAILPOINT] = failpoint
        self.started = time.monotonic()
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment
            )
        self._dies = bool(failpoint)

    def kill(self) -> None:
        """End it as a power cut would; it stays down until `start`."""
        self._wanted = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Stop it, or let it go on, if it lives."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def step_clock(self, off_s: float) -> None:
        """From now on the machine's clock is for it so many seconds off."""
        new = self._clock.with_suffix(".new")
        new.write_text(f"{off_s}", encoding="ascii")
        new.replace(self._clock)

    def look(self) -> None:
        """Start it again if it has died."""
        if not self._wanted or self._process is None or self._process.poll() is None:
            return
        if self._dies and self._process.returncode == -signal.SIGKILL:
            self.crashes += 1
        else:
            self.broke.append(
                f"{self.name} ended with {self._process.returncode}: {last_line(self.log)[:300]}"
            )
            if self._process.returncode > _EXIT_BROKEN:
                raise ZaehlwerkError(self.broke[-1])
        self.start()

    def close(self) -> None:
        """End it in good order."""
        self._wanted = False
        if self._process is not None:
            self.signal(signal.SIGCONT)
            end(self._process, STOP_S)
