"""docs/technician.md: its commands are run word for word, and nothing is left out of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from tools.tests.serial_board.conftest import ROOT
from zaehlwerk_tools.cli import app
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.flash_image import read_file
from zaehlwerk_tools.technician.troubles import Status

TEXT = (ROOT / "docs" / "technician.md").read_text(encoding="utf-8")
BACKGROUND = "zaehlwerk board "


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def board_running(line: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        line,
        shell=True,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "heltec_v3 on board-1\n"
            yield process
        finally:
            os.killpg(process.pid, 2)


def test_the_commands_do_what_the_page_says_one_after_the_other(tmp_path: Path, stub: NodeTree) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    background = [line for line in lines if line.startswith(BACKGROUND)]
    assert len(background) == 1
    assert len(lines) >= 10
    (tmp_path / "node.json").write_text(blocks("json")[0])
    said = {}
    with board_running(background[0], tmp_path):
        for line in lines:
            if line not in background:
                done = subprocess.run(
                    line,
                    shell=True,
                    cwd=tmp_path,
                    env=environment(),
                    capture_output=True,
                    text=True,
                    timeout=120,
                    check=False,
                )
                assert done.returncode == 0, (line, done)
                said[line] = done.stdout
    flashed = [said[line] for line in lines if line.startswith("zaehlwerk flash")]
    assert "would be written" in flashed[0]
    assert "verified by hash" in flashed[1]
    assert '"result": "unchanged"' in flashed[2]
    assert any(" boot\n" in said[line] for line in lines if line.endswith("ls :state"))
    image = tmp_path / "boards" / "board-001.flash"
    micropython = find_micropython(ROOT, 64).path
    settings = read_file(micropython, stub.stub, image, "settings.json")
    assert settings is not None
    document = json.loads(blocks("json")[0])
    key = (tmp_path / "keys" / f"{document['dev_eui']}.key").read_text().strip()
    assert json.loads(settings) == {**document, "app_key": key}


def options_of(*names: str) -> Iterator[str]:
    command: Any = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    for parameter in command.params:
        yield from (word for word in parameter.opts if word.startswith("--") and word != "--help")


@pytest.mark.parametrize(
    "names", [("board",), ("flash",), ("provision",), ("firmware", "build")], ids=" ".join
)
def test_every_option_is_on_the_page(names: tuple[str, ...]) -> None:
    missing = [option for option in options_of(*names) if not re.search(rf"{option}(?![\w-])", TEXT)]
    assert not missing


def test_every_exit_status_is_in_the_table_and_no_other() -> None:
    assert [int(row) for row in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)] == sorted(Status)
