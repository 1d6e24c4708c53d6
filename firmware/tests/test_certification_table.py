"""docs/CERTIFICATION.md names tests that exist, and all of those that are named after the certification."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent / "on_micropython"
DOCUMENT = Path(__file__).parents[2] / "docs" / "CERTIFICATION.md"
ROW = re.compile(r"^\| (?P<requirement>[^|]+) \| (?P<section>[^|]+) \| `(?P<test>[^`|]+)` \|[^|]*\|$")


def rows() -> list[re.Match[str]]:
    """The rows of all tables that name a test."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    return [match for match in map(ROW.match, lines) if match]


def named_in(file: Path) -> set[str]:
    """The tests that a module defines, as the table writes them."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f"{file.name}::{name}" for name in names if name.startswith("test_")}


def every_test(pattern: str) -> set[str]:
    files = list(TESTS.glob(pattern))
    assert files
    return set().union(*map(named_in, files))


def test_every_line_of_a_table_is_read() -> None:
    named = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if ".py::" in line]
    assert len(named) == len(rows()) > 150


def test_every_row_names_a_test_that_exists() -> None:
    assert {row["test"] for row in rows()} <= every_test("test_*.py")


def test_every_certification_test_has_a_row() -> None:
    assert every_test("test_certification_*.py") <= {row["test"] for row in rows()}


def test_no_test_and_no_requirement_of_a_section_is_named_twice() -> None:
    twice = [test for test, count in Counter(row["test"] for row in rows()).items() if count > 1]
    assert twice == []
    headings = DOCUMENT.read_text(encoding="utf-8").split("\n### ")
    for part in headings:
        requirements = [match["requirement"] for match in map(ROW.match, part.splitlines()) if match]
        assert len(set(requirements)) == len(requirements)


def test_a_test_that_is_defined_twice_would_hide_the_first() -> None:
    for file in TESTS.glob("test_*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert len(set(names)) == len(names), file.name
