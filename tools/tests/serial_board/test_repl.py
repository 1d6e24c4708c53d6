"""The REPL without a board: what it says to which bytes."""

from __future__ import annotations

import pytest

from zaehlwerk_tools.serial_board.continuation import continues
from zaehlwerk_tools.serial_board.repl import WINDOW, Repl, SoftResetError
from zaehlwerk_tools.serial_board.session import READ, Turn
from zaehlwerk_tools.serial_board.wire import Kind, Result

GREETING = b'MicroPython v1; Board\r\nType "help()" for more information.\r\n>>> '
RAW = b"raw REPL; CTRL-B to exit\r\n>"


class Host:
    """Types at a REPL whose board does every turn at once; `turns` are what it was given."""

    def __init__(self, *, raw_paste: bool = True, boot: Result = Result.DONE) -> None:
        self.said = b""
        self.turns: list[Turn] = []
        self.repl = Repl(self._say, "MicroPython v1; Board", raw_paste=raw_paste)
        self._session = self.repl.boot()
        self._wanted = next(self._session)
        self._results = [boot]
        self._work()

    def _say(self, data: bytes) -> None:
        self.said += data

    def _work(self) -> None:
        while isinstance(self._wanted, Turn):
            self.turns.append(self._wanted)
            result = self._results.pop() if self._results else Result.DONE
            self._wanted = self._session.send(result)

    def types(self, data: bytes) -> bytes:
        """What the board says to it."""
        self.said = b""
        for byte in data:
            assert self._wanted is READ
            self._wanted = self._session.send(byte)
            self._work()
        return self.said


def test_after_power_on_boot_and_main_run_and_then_the_banner_comes() -> None:
    host = Host()
    assert [turn.source for turn in host.turns] == [b"boot.py", b"main.py"]
    assert host.said == GREETING


def test_main_is_not_run_after_a_boot_that_failed() -> None:
    assert [turn.source for turn in Host(boot=Result.RAISED).turns] == [b"boot.py"]


def test_main_is_run_where_there_is_no_boot() -> None:
    assert [turn.source for turn in Host(boot=Result.MISSING).turns] == [b"boot.py", b"main.py"]


def test_ctrl_a_and_ctrl_b_change_between_raw_and_friendly() -> None:
    host = Host()
    assert host.types(b"\x01") == b"\r\n" + RAW
    assert host.types(b"\x01") == RAW
    assert host.types(b"\x02") == b"\r\n" + GREETING


def test_the_raw_repl_takes_source_up_to_ctrl_d_and_says_ok() -> None:
    host = Host()
    host.types(b"\x01")
    assert host.types(b"print(1)\r\nprint(2)\x04") == b"OK>"
    assert host.turns[-1] == Turn(Kind.EXEC, b"print(1)\r\nprint(2)", delimited=True)


def test_ctrl_c_takes_back_what_the_raw_repl_has_got() -> None:
    host = Host()
    host.types(b"\x01nonsense\x03x = 1\x04")
    assert host.turns[-1].source == b"x = 1"


def test_ctrl_d_alone_is_a_soft_reset_in_both_modes_and_the_mode_stays() -> None:
    friendly = Host()
    with pytest.raises(SoftResetError):
        friendly.types(b"\x04")
    assert friendly.said == b"\r\n"
    assert not friendly.repl.raw
    raw = Host()
    raw.types(b"\x01")
    with pytest.raises(SoftResetError):
        raw.types(b"\x04")
    assert raw.said == b"OK\r\n"
    assert raw.repl.raw


def test_main_is_not_run_by_a_soft_reset_of_the_raw_repl() -> None:
    repl = Host().repl
    repl.raw = True
    session = repl.boot()
    assert next(session) == Turn(Kind.FILE, b"boot.py")
    assert session.send(Result.DONE) is READ


def test_raw_paste_grants_a_window_at_a_time_and_acknowledges_the_end() -> None:
    host = Host()
    host.types(b"\x01")
    assert host.types(b"\x05A\x01") == b"R\x01" + WINDOW.to_bytes(2, "little") + b"\x01"
    assert host.types(b"#" * (WINDOW - 1)) == b""
    assert host.types(b"#") == b"\x01"
    assert host.types(b"\x04") == b"\x04>"
    assert host.turns[-1] == Turn(Kind.EXEC, b"#" * WINDOW, delimited=True)


def test_raw_paste_is_ended_by_ctrl_c_with_a_keyboard_interrupt() -> None:
    host = Host()
    host.types(b"\x01\x05A\x01")
    turns = len(host.turns)
    assert (
        host.types(b"x\x03") == b"\x04\x04Traceback (most recent call last):\r\nKeyboardInterrupt: \r\n\x04>"
    )
    assert len(host.turns) == turns


def test_a_board_without_raw_paste_says_so_and_stays_at_its_prompt() -> None:
    host = Host(raw_paste=False)
    host.types(b"\x01")
    assert host.types(b"\x05A\x01") == b"R\x00>"
    assert host.types(b"x = 1\x04") == b"OK>"


def test_a_line_is_echoed_and_run_as_a_single_statement() -> None:
    host = Host()
    assert host.types(b"1 + 1\r") == b"1 + 1\r\n>>> "
    assert host.turns[-1] == Turn(Kind.SINGLE, b"1 + 1")


def test_an_empty_line_and_ctrl_c_give_a_new_prompt_and_run_nothing() -> None:
    host = Host()
    turns = len(host.turns)
    assert host.types(b"\r") == b"\r\n>>> "
    assert host.types(b"abc\x03") == b"abc\r\n>>> "
    assert len(host.turns) == turns


def test_a_compound_statement_is_indented_and_ends_with_an_empty_line() -> None:
    host = Host()
    assert host.types(b"for i in (1, 2):\r") == b"for i in (1, 2):\r\n...     "
    assert host.types(b"print(i)\r") == b"print(i)\r\n...     "
    assert host.types(b"\x7f\r") == b"\x08\x1b[4D\x1b[K\r\n>>> ".replace(b"\x08\x1b", b"\x1b")
    assert host.turns[-1].source == b"for i in (1, 2):\n    print(i)\n"


def test_keys_edit_the_line_and_bring_lines_back() -> None:
    host = Host()
    host.types(b"abd\x1b[Dc\x1b[F\x7f\r")
    assert host.turns[-1].source == b"abc"
    host.types(b"second\r\x1b[A\x1b[A\r")
    assert host.turns[-1].source == b"abc"
    host.types(b"bc\x1b[Ha\x1b[4~d\x1b[D\x1b[3~\r")
    assert host.turns[-1].source == b"abc"


def test_paste_mode_runs_what_was_pasted_as_it_is() -> None:
    host = Host()
    shown = host.types(b"\x05def f():\r    return 1\r\x04")
    assert shown == (
        b"\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== def f():\r\n===     return 1\r\n=== \r\n>>> "
    )
    assert host.turns[-1] == Turn(Kind.EXEC, b"def f():\r    return 1\r")


@pytest.mark.parametrize(
    ("source", "goes_on"),
    [
        ("", False),
        ("x = 1", False),
        ("if x:", True),
        ("if x:\n    y\n", False),
        ("@decorator", True),
        ("iffy = 1", False),
        ("async def f():", True),
        ("x = (1,", True),
        ("x = (1,\n2)", False),
        ("x = '('", False),
        ("x = '''a", True),
        ("x = '''a\nb'''", False),
        ("x = 1 + \\", True),
        ("x = 'it\\'s'", False),
        ("f(x) # (", False),
    ],
)
def test_a_statement_goes_on_as_long_as_it_is_not_whole(source: str, goes_on: bool) -> None:
    assert continues(source) is goes_on
