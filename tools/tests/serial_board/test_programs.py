"""What the tests take for a program that was started is one in all that they look at."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tools.tests.serial_board.programs import Ended, commands_in, run_program

BIN = Path(sys.executable).parent


def started(words: list[str], folder: Path) -> Ended:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("zaehlwerk", "flash", "nowhere", "--build", "ümlaut", "--json"),
        ("mpremote", "connect", "nowhere", "ls"),
    ],
    ids=["zaehlwerk", "mpremote"],
)
async def test_it_ends_as_one_that_was_started_by_name_and_as_one_from_a_shell(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    really = await asyncio.to_thread(started, [str(BIN / words[0]), *words[1:]], tmp_path)
    assert really.status
    assert await run_program(*words, cwd=tmp_path) == really
    by_name = commands_in(tmp_path / "commands") / words[0]
    assert await asyncio.to_thread(started, [str(by_name), *words[1:]], tmp_path) == really


async def test_programs_at_the_same_time_do_not_mix_what_they_say(tmp_path: Path) -> None:
    names = [f"build-{number}" for number in range(8)]
    words = ("zaehlwerk", "flash", "nowhere", "--build")
    said = await asyncio.gather(*(run_program(*words, name, cwd=tmp_path) for name in names))
    assert all(name in ended.err for name, ended in zip(names, said, strict=True))
    assert [ended.err.count("\n") for ended in said] == [1] * len(names)
