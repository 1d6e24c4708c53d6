"""Power switches, each against a fake of what it switches."""

from __future__ import annotations

import os
import shlex
import socket
import threading
from pathlib import Path

import pytest

from hil_tests.interface import RigError
from hil_tests.power_switches import CommandSwitch, SerialRelay, UsbHub

FAKE = """#!/bin/sh
echo "$*" >> {log}
exit {status}
"""


def program(folder: Path, name: str, status: int = 0) -> Path:
    path = folder / name
    path.write_text(FAKE.format(log=shlex.quote(str(folder / "log")), status=status))
    path.chmod(0o755)
    return path


def test_a_command_is_run_word_by_word(tmp_path: Path) -> None:
    fake = program(tmp_path, "my relay")
    switch = CommandSwitch(f"'{fake}' --socket 'desk lamp' on", f"'{fake}' --socket 'desk lamp' off")
    switch.off()
    switch.on()
    assert (tmp_path / "log").read_text() == "--socket desk lamp off\n--socket desk lamp on\n"


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    fake = program(tmp_path, "relay", status=3)
    with pytest.raises(RigError, match="relay off ended with status 3"):
        CommandSwitch(f"{fake} on", f"{fake} off").off()


def test_a_command_that_is_not_installed_is_told() -> None:
    with pytest.raises(RigError, match="no-such-switch is not installed"):
        CommandSwitch("no-such-switch on", "no-such-switch off").on()


def test_a_usb_hub_is_switched_by_uhubctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "uhubctl")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    hub = UsbHub("1-1.4", 2)
    hub.off()
    hub.on()
    assert (tmp_path / "log").read_text() == "-l 1-1.4 -p 2 -a off\n-l 1-1.4 -p 2 -a on\n"


@pytest.mark.parametrize(
    ("closed_is_on", "on", "off"),
    [(True, "a00301a4", "a00300a3"), (False, "a00300a3", "a00301a4")],
)
def test_a_serial_relay_gets_its_four_bytes(closed_is_on: bool, on: str, off: str) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            for _ in range(2):
                line, _ = server.accept()
                with line:
                    data = b""
                    while part := line.recv(16):
                        data += part
                    heard.append(data)

        listener = threading.Thread(target=listen)
        listener.start()
        relay = SerialRelay(f"socket://127.0.0.1:{server.getsockname()[1]}", 3, closed_is_on)
        relay.on()
        relay.off()
        listener.join(10)
    assert [data.hex() for data in heard] == [on, off]


def test_a_relay_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="cannot be reached"):
        SerialRelay(str(tmp_path / "ttyUSB7"), 1).on()
