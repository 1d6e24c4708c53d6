"""Makes a mutant's sources: a copy of firmware/ with its edits."""

from __future__ import annotations

import shutil
from pathlib import Path

from hil_tests.mutants.table import Mutant


class MutantError(Exception):
    """A mutant that cannot be made; the text says which and why."""


def mutated(mutant: Mutant, sources: dict[str, str]) -> dict[str, str]:
    """The changed files of `sources` (text by path below firmware/). Raises MutantError."""
    changed: dict[str, str] = {}
    for edit in mutant.edits:
        text = changed.get(edit.file, sources.get(edit.file))
        if text is None:
            raise MutantError(f"{mutant.name}: there is no {edit.file} any more")
        times = text.count(edit.old)
        if times != 1:
            found = "not found" if not times else f"found {times} times"
            raise MutantError(
                f"{mutant.name}: in {edit.file} {edit.old!r} is {found}: mend hil_tests/mutants/table.py"
            )
        changed[edit.file] = text.replace(edit.old, edit.new)
    return changed


def read_sources(firmware: Path, mutants: tuple[Mutant, ...]) -> dict[str, str]:
    """The files that the mutants name, as far as they are there."""
    files = {edit.file for mutant in mutants for edit in mutant.edits}
    return {
        file: (firmware / file).read_text(encoding="utf-8")
        for file in sorted(files)
        if (firmware / file).is_file()
    }


def make(mutant: Mutant, firmware: Path, to: Path) -> None:
    """A copy of `firmware` at `to` that is this mutant. Raises MutantError before anything is written."""
    changed = mutated(mutant, read_sources(firmware, (mutant,)))
    shutil.copytree(firmware, to, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    for file, text in changed.items():
        (to / file).write_text(text, encoding="utf-8")
