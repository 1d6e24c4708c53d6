"""docs/rig.md: its commands are run word for word, and nothing is left out of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hil_tests.interface import Capability
from hil_tests.mutants.table import MUTANTS
from hil_tests.rig_plugin import KEPT, NO_RIG, SUITE, pytest_addoption
from hil_tests.virtual_rig import CHECKOUT

TEXT = (CHECKOUT / "docs" / "rig.md").read_text(encoding="utf-8")
BOARD = ".venv/bin/zaehlwerk board "


def commands() -> Iterator[tuple[str, int]]:
    """(line, the status that the page promises)."""
    for status, block in re.findall(r"^```sh(?: status=(\d+))?\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield line, int(status or 0)


@contextmanager
def board_running(line: str) -> Iterator[None]:
    with subprocess.Popen(
        line, shell=True, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "heltec_v3 on out/hil/generator\n"
            yield
        finally:
            os.killpg(process.pid, 2)


def told_by(line: str, status: int) -> str:
    done = subprocess.run(
        line, shell=True, cwd=CHECKOUT, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == status, (line, done)
    return done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_the_commands_do_what_the_page_says_one_after_the_other() -> None:
    lines = list(commands())
    assert len(lines) >= 8
    said: dict[str, str] = {}
    board = next(line for line, _ in lines if line.startswith(BOARD))
    for line, status in lines:
        if line == board:
            break
        said[line] = told_by(line, status)
    with board_running(board):
        for line, status in lines[len(said) + 1 :]:
            said[line] = told_by(line, status)
    assert NO_RIG in next(said[line] for line in said if "--require-rig" in line)
    assert "is a pulse generator" in next(said[line] for line in said if "install-generator" in line)
    assert said[next(line for line in said if " play " in line)].startswith("10 pulses played")
    checked = next(said[line] for line in said if " check " in line)
    assert checked.startswith("heltec: heltec_v3, 4 inputs; battery, gateway, power_switch, pulse_generator")
    assert "1 of 1 mutants caught" in next(said[line] for line in said if "--sound" in line)
    page = (CHECKOUT / "out" / "hil" / "report.html").read_text(encoding="utf-8")
    assert "pulses at one input are counted in its channel and in no other" in page
    assert page.count("<svg") >= 3


class _Group:
    def __init__(self) -> None:
        self.options: list[str] = []

    def getgroup(self, name: str) -> _Group:
        return self

    def addoption(self, name: str, **_: object) -> None:
        self.options.append(name)


def test_every_option_capability_module_and_kept_file_is_on_the_page() -> None:
    group = _Group()
    pytest_addoption(group)  # type: ignore[arg-type]
    assert len(group.options) > 5
    wanted = [
        *group.options,
        *(one.value for one in Capability),
        *(path.stem for path in SUITE.glob("test_*.py")),
        *(name for name in KEPT if name != "broker.log"),
        "command",
        "usb_hub",
        "serial_relay",
    ]
    assert [word for word in wanted if f"`{word}" not in TEXT and f'"{word}"' not in TEXT] == []


def test_every_key_of_a_rig_is_on_the_page() -> None:
    example = (CHECKOUT / "hil_tests" / "rig.example.toml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^(\w+) =", example, re.MULTILINE)) | {"closed_is_on", "location", "channel"}
    assert [key for key in sorted(keys) if f"`{key}" not in TEXT] == []


def test_the_mutant_of_the_page_is_in_the_table_and_its_targets_are_in_the_makefile() -> None:
    names = re.findall(r"hil_tests\.mutants --sound ([\w-]+)$", TEXT, re.MULTILINE)
    assert names
    assert set(names) <= {mutant.name for mutant in MUTANTS}
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}: ", makefile, re.MULTILINE), target
