"""The units under operations/systemd: systemd reads them, they say what the bridge does, and they keep it in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zaehlwerk_bridge.command_line import EXIT_BAD_INPUT, EXIT_BROKEN, EXIT_STATUSES, EXIT_TAKEN_OVER

UNITS = Path(__file__).parents[2] / "operations" / "systemd"
PROGRAM = "/opt/zaehlwerk/.venv/bin/zaehlwerk-bridge"
CONFIG = "/etc/zaehlwerk/bridge.toml"
STOP_S = 5  # what `run --help` promises
EXPOSURE_MOST = 15
"""Tenths, of what `systemd-analyze security` gives points for; 10.0 is a service without any bounds."""


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, by section and name; one that is there twice has two values."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (UNITS / name).read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        assert equals, f"{name}: {line}"
        found.setdefault(f"{section}.{key}", []).append(value)
    return found


SERVICE = unit("zaehlwerk-bridge.service")
BACKUP = unit("zaehlwerk-bridge-backup.service")
TIMER = unit("zaehlwerk-bridge-backup.timer")


def one(settings: dict[str, list[str]], name: str) -> str:
    (value,) = settings[name]
    return value


def test_the_service_runs_the_command_with_the_settings_of_the_documentation() -> None:
    assert one(SERVICE, "Service.ExecStart") == f"{PROGRAM} run --config {CONFIG}"
    assert one(SERVICE, "Service.Type") == "notify"
    assert one(SERVICE, "Service.User") == one(BACKUP, "Service.User") == "zaehlwerk"
    assert (UNITS / "zaehlwerk.sysusers").read_text().splitlines()[-1].startswith("u zaehlwerk ")


def test_what_a_new_start_does_not_help_is_not_started_again() -> None:
    kept = {int(status) for status in one(SERVICE, "Service.RestartPreventExitStatus").split()}
    assert kept == {EXIT_BAD_INPUT, EXIT_TAKEN_OVER}
    assert kept <= EXIT_STATUSES.keys()
    assert EXIT_BROKEN not in kept
    assert one(SERVICE, "Service.Restart") == "on-failure"


def test_there_is_time_for_an_orderly_end_and_for_a_watchdog_that_is_late() -> None:
    assert int(one(SERVICE, "Service.TimeoutStopSec")) > STOP_S
    assert int(one(SERVICE, "Service.WatchdogSec")) >= 30


def test_it_may_write_its_state_and_nothing_else() -> None:
    state = f"/var/lib/{one(SERVICE, 'Service.StateDirectory')}"
    example = (UNITS.parent / "bridge.toml").read_text(encoding="utf-8")
    assert f'database = "{state}/bridge.sqlite"' in example
    assert one(SERVICE, "Service.ProtectSystem") == "strict"
    assert "Service.ReadWritePaths" not in SERVICE
    assert state in one(BACKUP, "Service.ReadWritePaths").split()


def test_the_backup_is_a_command_of_the_bridge_and_has_a_timer() -> None:
    command = one(BACKUP, "Service.ExecStart")
    assert f"{PROGRAM} backup --config {CONFIG} --overwrite /var/backups/zaehlwerk/" in command
    assert "/var/backups/zaehlwerk" in one(BACKUP, "Service.ReadWritePaths").split()
    assert one(TIMER, "Install.WantedBy") == "timers.target"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as they would lie in /etc, with a program that is there; its path has no spaces, as theirs has none."""
    program, units = tmp_path / "program", tmp_path / "units"
    program.symlink_to(sys.executable)
    units.mkdir()
    for path in UNITS.glob("zaehlwerk-*"):
        text = path.read_text(encoding="utf-8").replace(PROGRAM, str(program))
        (units / path.name).write_text(text, encoding="utf-8")
    return units


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_them(installed: Path) -> None:
    names = [str(path) for path in sorted(installed.iterdir())]
    assert len(names) == 3
    done = subprocess.run(
        ["systemd-analyze", "verify", *names], check=False, capture_output=True, text=True, timeout=60
    )
    said = [line for line in done.stderr.splitlines() if "zaehlwerk" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_says_that_little_is_exposed(installed: Path) -> None:
    name = str(installed / "zaehlwerk-bridge.service")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MOST}", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd older than 250")
    assert done.returncode == 0, done.stdout[-2000:]
    assert re.search(r"Overall exposure level for zaehlwerk-bridge.service: [01]\.\d", done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own protection")
def test_the_program_needs_no_memory_that_is_both_written_and_run() -> None:
    """MemoryDenyWriteExecute, by the kernel's own switch (prctl(2), PR_SET_MDWE = 65); older kernels have none."""
    inside = "import grpc, zaehlwerk_bridge.cli; print('loaded')"
    outside = (
        "import ctypes, os, sys\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): print('no switch'); sys.exit()\n"
        f"os.execv(sys.executable, [sys.executable, '-c', {inside!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", outside],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ),
    )
    if done.stdout == "no switch\n":
        pytest.skip("the kernel has no such switch")
    assert (done.returncode, done.stdout) == (0, "loaded\n")
