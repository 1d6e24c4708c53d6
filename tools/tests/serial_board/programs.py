"""Python programs as processes of their own that begin at once: forked from one that has imported them already.

To import what `zaehlwerk` or `mpremote` needs takes longer than most of what the tests have them do. Each run is a process
with its own arguments, directory and standard streams, as if it had been started. The environment is that of the first run.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[3]
ENTRIES = {"zaehlwerk": "zaehlwerk_tools.cli", "mpremote": "mpremote.main"}
"""Program to the module whose `main` it is."""
_IMPORTED = (
    *ENTRIES.values(),
    *(
        f"zaehlwerk_tools.technician.{name}"
        for name in (
            "terminal_commands",
            "firmware_update",
            "monitor",
            "count_test",
            "doctor",
            "registration",
            "swap",
        )
    ),
    "mpremote.commands",
    "paho.mqtt.client",
)
_FIRST = (("zaehlwerk", "flash", "nowhere", "--build", "nowhere"), ("mpremote", "version"))
"""Each once, to no purpose: some things are imported, and kept, when a command line is read."""
_MOST = 1 << 16
"""Bytes of a request."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `status` is negative if a signal ended it."""

    status: int
    out: str
    err: str


async def run_program(
    program: str, *words: str, cwd: Path | None = None, given: bytes | None = None
) -> Ended:
    """Run it to its end; `given`: what it reads from its standard input. Killed if the test gives it up."""
    address = await asyncio.to_thread(_address)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(address))
        asked = {"program": program, "words": words, "cwd": str(cwd or Path.cwd()), "variables": {}}
        request = json.dumps(asked).encode()
        with (
            tempfile.TemporaryFile() as put_in,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            put_in.write(given or b"")
            put_in.seek(0)
            socket.send_fds(line, [request], [file.fileno() for file in (put_in, out, err)])
            line.setblocking(False)
            # Closed before there is an answer, it has the program killed.
            status = await asyncio.get_running_loop().sock_recv(line, 16)
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read().decode())
    assert status, f"nobody can say how {program} ended"
    return Ended(int(status), *said)


_BY_NAME = """
import json, os, socket, sys
address, beside, program, *words = sys.argv[1:]
if words[:1] == ["board"]:  # which runs until it is told to end
    os.execv(beside, [beside, *words])
ours = {name: text for name, text in os.environ.items() if name.startswith("ZAEHLWERK_")}
asked = {"program": program, "words": words, "cwd": os.getcwd(), "variables": ours}
with socket.socket(socket.AF_UNIX) as line:
    line.connect(address)
    socket.send_fds(line, [json.dumps(asked).encode()], [0, 1, 2])
    sys.exit(int(line.recv(16)))
"""


def commands_in(folder: Path) -> Path:
    """`folder`, with a command for each of the programs, for the PATH of a shell."""
    folder.mkdir()
    caller = folder / "by_name.py"
    caller.write_text(_BY_NAME)
    for program in ENTRIES:
        beside = Path(sys.executable).with_name(program)
        words = (sys.executable, "-IS", str(caller), str(_address()), str(beside), program)
        command = folder / program
        command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        command.chmod(0o755)
    return folder


@cache
def _address() -> Path:
    """Where the process listens that the programs are forked from; there is one for each process that asks."""
    folder = tempfile.mkdtemp(prefix="programs-")
    address = Path(folder) / "socket"
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(address)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def stop() -> None:
        process.kill()
        process.wait()
        address.unlink(missing_ok=True)
        address.parent.rmdir()

    atexit.register(stop)
    assert process.stdout is not None
    with process.stdout as ready:
        assert ready.readline() == b"ready\n"
    return address


def _serve(address: str) -> NoReturn:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as the commands say before they import what reads it
    for name in _IMPORTED:
        import_module(name)
    for words in _FIRST:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            _main(words)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for a program
        while True:
            readable, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in readable:  # closed: whoever has started this is no more
                os._exit(0)
            line, _ = listening.accept()
            _forked(lambda line=line: _attend(line))  # type: ignore[misc]
            line.close()


def _forked(work: Callable[[], int]) -> int:
    process = os.fork()
    if process:
        return process
    try:
        os._exit(work())
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        sys.excepthook(*sys.exc_info())
        os._exit(70)


def _attend(line: socket.socket) -> int:
    """Run one program, and tell how it ended; kill it if nobody waits for that any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, streams, _, _ = socket.recv_fds(line, _MOST, 3)
    asked = json.loads(request)
    lives, held = os.pipe()  # the program holds its end as long as it lives
    process = _forked(lambda: _run(asked, streams))
    os.close(held)
    readable, _, _ = select.select([lives, line], [], [])
    if lives not in readable:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(BrokenPipeError):
        line.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    return 0


def _run(asked: dict[str, Any], streams: list[int]) -> int:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # Those of the process that it was forked from still know whether one could go back in its streams.
    sys.stdin = os.fdopen(0, closefd=False, encoding=sys.stdin.encoding)
    sys.stdout = os.fdopen(1, "w", closefd=False, encoding=sys.stdout.encoding)
    sys.stderr = os.fdopen(
        2, "w", buffering=1, closefd=False, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    os.chdir(asked["cwd"])
    os.environ.update(asked["variables"])
    status = _main((asked["program"], *asked["words"]))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _main(words: tuple[str, ...]) -> int:
    sys.argv = [*words]
    try:
        status = import_module(ENTRIES[words[0]]).main()
    except SystemExit as ended:
        status = ended.code
    if isinstance(status, str):
        sys.stderr.write(f"{status}\n")
        return 1
    return int(status or 0)


if __name__ == "__main__":
    _serve(sys.argv[1])
