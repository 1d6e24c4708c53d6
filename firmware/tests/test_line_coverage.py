"""The marks of the coverage: one for each statement that is reached, and the program does what it did."""

import builtins

import pytest

from firmware.tests.line_coverage import MARK, instrumented

PROGRAM = """
total = 0
class Ring:
    size = 3
    def add(self, value):
        '''Add.'''
        global total
        if value > 2:
            total += value
        else:
            total -= 1
        try:
            return [n for n in range(value)]
        finally:
            total += 100
ring = Ring()
kept = ring.add(3)
"""


def run(source: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, set[int]]:
    marks: set[int] = set()
    monkeypatch.setattr(builtins, MARK, marks.add, raising=False)
    names: dict = {}
    exec(compile(source, "program", "exec"), names)
    return names, marks


def test_a_marked_program_does_the_same_and_tells_the_lines_that_it_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked, lines = instrumented(PROGRAM, 7)
    names, marks = run(marked, monkeypatch)
    plain, none = run(PROGRAM, monkeypatch)
    assert (names["kept"], names["total"]) == (plain["kept"], plain["total"]) == ([0, 1, 2], 103)
    assert none == set()
    assert lines == {2, 3, 4, 5, 8, 9, 11, 12, 13, 15, 16, 17}
    assert {mark - 70_000 for mark in marks} == lines - {11}
