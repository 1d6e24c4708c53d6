"""What the node refuses as a sensor's pin is what the boards' table and files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.taken import TAKEN

BOARDS = Path(__file__).parents[1] / "boards"
FILES = sorted(TAKEN)
PINS = {board: {pin for group in groups for pin in group} for board, groups in TAKEN.items()}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (BOARDS / "README.md").read_text().splitlines()
    if line.startswith(("| LilyGO", "| Heltec"))
]


def test_every_board_of_the_table_has_its_pins() -> None:
    assert sorted(row[1].strip("`") for row in ROWS) == FILES


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_no_free_pin_of_the_table_is_refused(row: list[str]) -> None:
    free = re.sub(r"\([^)]*\)", "", row[4])
    assert not {int(number) for number in re.findall(r"\d+", free)} & PINS[row[1].strip("`")]


@pytest.mark.parametrize("board", FILES)
def test_every_pin_that_a_board_uses_itself_is_refused(board: str) -> None:
    text = (BOARDS / f"{board}.py").read_text()
    named = re.findall(r"Pin\((\d+)", text)
    for name in ("NSS", "LED", "BUTTON", "DISPLAY"):
        (value,) = re.findall(rf"^{name} = (.*)$", text, re.MULTILINE)
        numbers = re.findall(r"\d+", value)
        named += numbers if name == "DISPLAY" else numbers[:1]
    assert named
    assert {int(number) for number in named} <= PINS[board]
