"""Keys without Enter: from a terminal, and from a file with times."""

from __future__ import annotations

import os
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest

from zaehlwerk_tools.technician.keyboard import KeyboardError, _windows_key, pressed_keys, read_keys, timed


class Terminal:
    """A pseudo-terminal as standard input."""

    def __init__(self) -> None:
        self.person, self.device = os.openpty()

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.device

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.device)[3] & termios.ECHO)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    monkeypatch.setattr(sys, "stdin", made)
    return made


def test_a_key_comes_at_once_and_without_an_echo_and_the_terminal_is_left_as_it_was(
    terminal: Terminal,
) -> None:
    assert terminal.echoes()
    with pressed_keys(None) as keys:
        assert not terminal.echoes()
        os.write(terminal.person, b"1")
        assert keys(5.0) == "1"
        assert keys(0.0) is None
        os.write(terminal.person, b"\x1b[A")
        assert keys(5.0) == ""
    assert terminal.echoes()


def test_the_terminal_is_put_right_after_an_error_too(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), pressed_keys(None):
        raise KeyboardInterrupt
    assert terminal.echoes()


def test_without_a_terminal_the_file_of_keys_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(KeyboardError, match="--keys-from"), pressed_keys(None):
            pass


def test_keys_of_a_file_come_when_their_time_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text("# two bicycles\n0.5 1\n\n2 2  # the other way\n2 e\n")
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("zaehlwerk_tools.technician.keyboard.time.sleep", sleep)
    keys = timed(read_keys(tmp_path / "keys"), lambda: now)
    pressed = []
    while len(pressed) < 3:
        key = keys(0.2)
        if key is not None:
            pressed.append((key, round(now - 100.0, 3)))
    assert pressed == [("1", 0.5), ("2", 2.0), ("e", 2.0)]
    assert keys(0.2) is None


@pytest.mark.parametrize("text", ["1", "x 1", "1 11", "1 1 1", "2 1\n1 1", "nan 1"])
def test_a_line_that_is_no_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(f"0 1\n{text}\n")
    with pytest.raises(KeyboardError, match=r"keys, line [23]: SECONDS KEY is expected"):
        read_keys(tmp_path / "keys")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyboardError, match="cannot be read"):
        read_keys(tmp_path / "none")


def test_on_windows_keys_are_asked_for_and_ctrl_c_and_special_keys_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pressed = list("1\xe0H2\x03")
    windows = SimpleNamespace(kbhit=lambda: bool(pressed), getwch=lambda: pressed.pop(0))
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    assert [_windows_key(0.0) for _ in range(3)] == ["1", "", "2"]
    with pytest.raises(KeyboardInterrupt):
        _windows_key(0.0)
    assert _windows_key(0.0) is None
