"""docs/lamp-and-button.md draws the patterns that the code has, and names the boards' buttons and displays."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import lamp_states
import pytest

from app import led

FIRMWARE = Path(__file__).parent.parent
TEXT = (FIRMWARE.parent / "docs" / "lamp-and-button.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([A-Z_]+)` \| `([#-]+)` \| (.+) \|$", TEXT, re.MULTILINE)
BUTTONS = re.findall(r"^\| `(\w+)` \| ([^|]*) \| *(\d*) *\|$", TEXT, re.MULTILINE)
DISPLAYS = re.findall(r"^\| `(\w+)` \| [^|]* \| (\d+, \d+) \| *(\d*) *\| *(\d*) *\|$", TEXT, re.MULTILINE)
BOARDS = sorted(
    path.stem for path in (FIRMWARE / "boards").glob("*.py") if path.stem not in ("__init__", "template")
)


def numbered() -> dict[str, int]:
    """The states as app/led.py numbers them: its compiler puts the numbers in place of these names."""
    tree = ast.parse((FIRMWARE / "app" / "led.py").read_text(encoding="utf-8"))
    constants = {
        ast.unparse(node.targets[0]).lstrip("_"): node.value.args[0].value  # type: ignore[attr-defined]
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("const(")
    }
    return {name: constants[name] for name, _, _ in ROWS}


STATES = numbered()


def drawn(pattern: int) -> str:
    steps = (led.shines(pattern, led.STEP_MS * step) for step in range(led.STEPS))
    return "".join("#" if level else "-" for level in steps)


def of_board(board: str, name: str) -> ast.expr:
    """What a board's file assigns to a name."""
    tree = ast.parse((FIRMWARE / "boards" / f"{board}.py").read_text(encoding="utf-8"))
    return next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )


def test_the_table_has_every_pattern_once_in_the_order_of_urgency() -> None:
    assert [STATES[name] for name, _, _ in ROWS] == list(range(len(led.PATTERNS)))


@pytest.mark.parametrize(("name", "pattern"), [row[:2] for row in ROWS])
def test_a_pattern_is_drawn_as_the_lamp_shows_it(name: str, pattern: str) -> None:
    assert pattern == drawn(STATES[name])


def test_no_pattern_uses_more_steps_than_there_are() -> None:
    assert all(pattern < 1 << led.STEPS for pattern in led.PATTERNS)


def test_the_table_names_the_button_of_every_board() -> None:
    assert sorted(board for board, _, _ in BUTTONS) == BOARDS
    for board, _, gpio in BUTTONS:
        button = of_board(board, "BUTTON")
        assert gpio == ("" if isinstance(button, ast.Constant) else ast.unparse(button.elts[0]))  # type: ignore[attr-defined]


def test_the_table_names_the_pins_of_every_display() -> None:
    assert sorted(board for board, _, _, _ in DISPLAYS) == BOARDS
    for board, lines, reset, supply in DISPLAYS:
        pins = ast.literal_eval(of_board(board, "DISPLAY"))
        shown = [int(pin) if pin else None for pin in [*lines.split(", "), reset.strip(), supply.strip()]]
        assert shown == list(pins), board


@pytest.mark.parametrize("board", BOARDS)
def test_a_button_is_among_the_pins_that_are_taken(board: str) -> None:
    button = of_board(board, "BUTTON")
    row = next(
        line
        for line in (FIRMWARE / "boards" / "README.md").read_text().splitlines()
        if f"| `{board}` |" in line
    )
    if isinstance(button, ast.Tuple):
        assert re.search(rf"\bbutton {ast.unparse(button.elts[0])}\b", row)
    else:
        assert "button" not in row


def test_the_tests_call_the_states_as_the_code_does() -> None:
    assert {name: getattr(lamp_states, name) for name in STATES} == STATES
