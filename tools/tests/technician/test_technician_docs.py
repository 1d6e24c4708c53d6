"""docs/technician.md: its commands are run word for word, and nothing is left out of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer

from tools.tests.serial_board.conftest import ROOT
from tools.tests.serial_board.programs import commands_in
from tools.tests.technician.chirpstack import chirpstack
from zaehlwerk_tools.cli import app
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.flash_image import read_file
from zaehlwerk_tools.technician.troubles import Status

TEXT = (ROOT / "docs" / "technician.md").read_text(encoding="utf-8")
BACKGROUND = "zaehlwerk board "


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def environment(commands: Path, api_url: str) -> dict[str, str]:
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "ZAEHLWERK_API_URL": api_url}


@contextmanager
def board_running(line: str, folder: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    name = line.split("--link ./")[1].split(maxsplit=1)[0]
    with subprocess.Popen(
        line,
        shell=True,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"heltec_v3 on {name}\n"
            yield process
        finally:
            os.killpg(process.pid, 2)


@pytest.mark.timeout(600)
async def test_the_commands_do_what_the_page_says_one_after_the_other(tmp_path: Path, stub: NodeTree) -> None:
    async with chirpstack(tmp_path) as server:
        server.key_file()
        said = await asyncio.to_thread(everything_said, tmp_path, server.url)
        document = json.loads(blocks("json")[0])
        key = (tmp_path / "keys" / f"{document['dev_eui']}.key").read_text().strip()
        assert await server.key(document["dev_eui"]) == key
    lines = list(said)
    flashed = [said[line] for line in lines if line.startswith("zaehlwerk flash")]
    assert "would be written" in flashed[0]
    assert "verified by hash" in flashed[1]
    assert '"result": "unchanged"' in flashed[2]
    assert any(" boot\n" in said[line] for line in lines if line.endswith("ls :state"))
    image = tmp_path / "boards" / "board-001.flash"
    micropython = find_micropython(ROOT, 64).path
    settings = read_file(micropython, stub.stub, image, "settings.json")
    assert settings is not None
    assert "the tenant has no gateway" in next(said[line] for line in lines if "doctor" in line)
    states = [said[line] for line in lines if line.startswith("zaehlwerk monitor")]
    assert f"node {document['dev_eui']}" in states[0]
    assert len(states[1].splitlines()) >= 2
    test = json.loads(next(said[line] for line in lines if line.startswith("zaehlwerk count-test")))
    assert (test["by"], test["channels"][0]["hand"]) == ("A. Muster", 1)
    assert all(
        "nothing written" in said[line] for line in lines if line.startswith("zaehlwerk firmware update")
    )
    swaps = [said[line] for line in lines if line.startswith("zaehlwerk swap")]
    assert "nothing was changed" in swaps[0]
    assert "the old one disabled at" in swaps[1]
    station = document.pop("station")
    assert json.loads(settings) == {**document, "app_key": key}
    registered = [said[line] for line in lines if line.startswith("zaehlwerk register")]
    assert registered[0].endswith(": registered\n")
    again = [said[line] for line in lines if line.startswith("zaehlwerk provision ./board-1")][-1]
    assert "registered already, nothing changed" in again
    assert station["name"] in (tmp_path / "labels" / "sheet-1.svg").read_text()
    for path in [*(tmp_path / "records").iterdir(), *(tmp_path / "labels").iterdir()]:
        assert key not in path.read_text().lower()


def everything_said(folder: Path, api_url: str) -> dict[str, str]:
    """What each of the page's lines prints, run one after the other beside the boards that two of them start."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 10
    (folder / "node.json").write_text(blocks("json")[0])
    variables = environment(commands_in(folder / "commands"), api_url)
    said = {}
    with ExitStack() as boards:
        for line in lines:
            if line.startswith(BACKGROUND):
                boards.enter_context(board_running(line, folder, variables))
                continue
            done = subprocess.run(
                line,
                shell=True,
                cwd=folder,
                env=variables,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            # The server of this test has no gateway, and the page says what that makes of a doctor's visit.
            expected = Status.UNWELL if line.startswith("zaehlwerk doctor ") else 0
            assert done.returncode == expected, (line, done)
            said[line] = done.stdout
    assert sum(line.startswith(BACKGROUND) for line in lines) == 2
    return said


def options_of(*names: str) -> Iterator[str]:
    command: Any = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]
    for parameter in command.params:
        yield from (word for word in parameter.opts if word.startswith("--") and word != "--help")


@pytest.mark.parametrize(
    "names",
    [
        ("board",),
        ("flash",),
        ("provision",),
        ("register",),
        ("label",),
        ("firmware", "build"),
        ("firmware", "update"),
        ("monitor",),
        ("count-test",),
        ("doctor",),
        ("swap",),
    ],
    ids=" ".join,
)
def test_every_option_is_on_the_page(names: tuple[str, ...]) -> None:
    missing = [option for option in options_of(*names) if not re.search(rf"{option}(?![\w-])", TEXT)]
    assert not missing


def test_every_exit_status_is_in_the_table_and_no_other() -> None:
    assert [int(row) for row in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)] == sorted(Status)
