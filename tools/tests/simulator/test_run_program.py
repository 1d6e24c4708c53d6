"""Any program on a virtual board: what it prints, what was on the air, which rules of its chip it broke."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.tests.simulator.small_city import ROOT
from zaehlwerk_tools.simulator.run_program import main

SEND = """
import asyncio
from boards.heltec_v3 import radio
async def main():
    r = radio()
    r.start()
    await r.transmit(868100000, 7, 125000, 14, b"hello")
    print("sent")
asyncio.run(main())
"""

RUDE = """
from machine import SPI, Pin
reset = Pin(12, Pin.OUT, value=1)
spi = SPI(1, baudrate=8000000, sck=Pin(9), mosi=Pin(10), miso=Pin(11))
nss = Pin(8, Pin.OUT, value=1)
reset(0)
reset(1)
nss(0)
spi.write(b"\\x80\\x00")
nss(1)
"""


def run(
    folder: Path, capsys: pytest.CaptureFixture[str], program: str, *options: str
) -> tuple[int, list[str], str]:
    path = folder / "program.py"
    path.write_text(program)
    status = main([str(path), "--seconds", "10", *options])
    told = capsys.readouterr()
    return status, told.out.splitlines(), told.err


def test_it_shows_what_was_printed_and_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, _ = run(tmp_path, capsys, SEND, "--lib", str(ROOT / "firmware"))
    summary = json.loads(lines[-1])
    assert (status, lines[0]) == (0, "program.py: sent")
    (frame,) = summary["frames"]
    assert (frame["payload"], frame["sf"], frame["lost"]) == (b"hello".hex(), 7, None)
    assert summary["violations"] == []
    assert summary["radio_seconds"][0]["tx14"] == pytest.approx(0.031, abs=0.001)


def test_a_broken_rule_of_the_chip_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reset pulse is too short, and a command follows at once."""
    status, lines, _ = run(tmp_path, capsys, RUDE)
    assert status == 1
    assert json.loads(lines[-1])["violations"]


def test_a_crash_is_told_with_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines, _ = run(tmp_path, capsys, "print(1 // 0)")
    assert status == 1
    assert "program.py: ZeroDivisionError: divide by zero" in lines
    assert "its program crashed" in json.loads(lines[-1])["crash"]


def test_what_cannot_be_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, told in (
        (["--board", "toaster"], "--board toaster: known are heltec_v3"),
        (["--lib", str(tmp_path / "nowhere")], "expected a folder"),
    ):
        status, _, error = run(tmp_path, capsys, SEND, *options)
        assert (status, told in error, error.count("\n")) == (2, True, 1)
