"""The table of mutants fits the firmware, and its command tells what is wrong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hil_tests.mutants.__main__ import FIRMWARE, ask, judged, main
from hil_tests.mutants.application import MutantError, make, mutated, read_sources
from hil_tests.mutants.table import MUTANTS, Edit, Mutant

SUITE = Path(__file__).parents[1] / "suite"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_text_is_found_once_and_the_mutant_is_still_a_program(mutant: Mutant) -> None:
    sources = read_sources(FIRMWARE, (mutant,))
    changed = mutated(mutant, sources)
    for file, text in changed.items():
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(sources[file]))
    assert (SUITE / f"{mutant.expected}.py").is_file()


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTANTS) >= 15
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (Edit("a.py", "x = 3", "x = 4"), "'x = 3' is not found"),
        (Edit("a.py", "= 1", "= 2"), "'= 1' is found 2 times"),
        (Edit("b.py", "x", "y"), "there is no b.py any more"),
    ],
)
def test_a_text_that_is_not_there_is_an_error_and_no_mutant(edit: Edit, told: str) -> None:
    with pytest.raises(MutantError) as error:
        mutated(Mutant("m", "", "test_pulses", (edit,)), {"a.py": "x = 1\ny = 1\n"})
    assert told in str(error.value)


def test_a_mutant_is_a_copy_and_nothing_else_is_touched(tmp_path: Path) -> None:
    mutant = MUTANTS[0]
    before = read_sources(FIRMWARE, MUTANTS)
    make(mutant, FIRMWARE, tmp_path / "firmware")
    assert read_sources(FIRMWARE, MUTANTS) == before
    after = read_sources(tmp_path / "firmware", MUTANTS)
    assert {file for file in before if before[file] != after[file]} == {edit.file for edit in mutant.edits}


REPORT = """<testsuites><testsuite>
<testcase classname="hil_tests.suite.test_a" name="test_passes"/>
<testcase classname="hil_tests.suite.test_a" name="test_waits"><skipped/></testcase>
{more}
</testsuite></testsuites>
"""
TIMED_OUT = '<testcase classname="hil_tests.suite.test_b" name="test_x"><failure message="{}"/></testcase>'


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", (None, None, 1)),
        (
            '<testcase classname="hil_tests.suite.test_b" name="test_x"><failure message="no"/></testcase>',
            ("test_b::test_x", None, 2),
        ),
        (
            '<testcase classname="hil_tests.suite.test_b" name="test_x"><error message="no board"/></testcase>',
            (None, "test_b::test_x: no board", 2),
        ),
        (
            TIMED_OUT.format("Failed: Timeout (&gt;300.0s) from pytest-timeout."),
            (None, "test_b::test_x: Failed: Timeout (>300.0s) from pytest-timeout.", 2),
        ),
        (TIMED_OUT.format("TimeoutError"), (None, "test_b::test_x: TimeoutError", 2)),
    ],
)
def test_only_a_failure_that_is_not_the_machines_slowness_is_a_verdict(
    tmp_path: Path, more: str, told: tuple[object, ...]
) -> None:
    path = tmp_path / "report.xml"
    path.write_text(REPORT.format(more=more))
    assert judged(path) == told


def test_the_list_names_all_and_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        mutant.name for mutant in MUTANTS
    ]
    assert main(["no-such-mutant"]) == 2
    assert "no mutant is called no-such-mutant" in capsys.readouterr().err


def test_a_suite_that_stands_still_is_told_and_the_next_mutant_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil_tests.mutants.__main__._SECONDS", 0.01)
    assert ask(tmp_path, "hil_tests/suite", tmp_path) == (None, "hil_tests/suite has not ended for 0.01 s")
