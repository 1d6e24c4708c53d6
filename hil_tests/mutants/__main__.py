"""`python -m hil_tests.mutants`: the suite against each mutant, on virtual boards; prints which test caught which.

The suite must pass on the firmware as it is first: a suite that fails anyway catches everything. Ends with status 0 if all are
caught, 1 if one is not, 2 if a mutant cannot be made or the firmware itself does not pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from hil_tests.mutants.application import MutantError, make, mutated, read_sources
from hil_tests.mutants.table import MUTANTS, Mutant

CHECKOUT = Path(__file__).resolve().parents[2]
FIRMWARE = CHECKOUT / "firmware"
SUITE = Path("hil_tests") / "suite"
JOBS = 2
_SECONDS = 3600
"""For a whole suite on a machine that has other work too; what takes longer stands still."""
_SLOW = ("Failed: Timeout (>", "TimeoutError")
"""What a test says that was given up: by pytest-timeout, or by itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`caught_by`: the first test that failed, None if none did; `broken`: why the suite could not run at all."""

    mutant: Mutant | None
    caught_by: str | None
    seconds: float
    broken: str | None = None


def judged(report: Path) -> tuple[str | None, str | None, int]:
    """(first test that failed, what was in the way of another one, tests that ran) of a JUnit report.

    An error before or after a test is no verdict: the firmware was not asked. Nor is a test that was given up after its time:
    on a machine with too much to do, the firmware as it is would fail in the same way.
    """
    failed = broken = None
    ran = 0
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{str(case.get('classname')).rpartition('.')[2]}::{case.get('name')}"
        if (error := case.find("error")) is not None:
            broken = broken or f"{name}: {error.get('message')}"
        elif (failure := case.find("failure")) is not None:
            message = str(failure.get("message"))
            if message.startswith(_SLOW):
                broken = broken or f"{name}: {message}"
            else:
                failed = failed or name
        ran += case.find("skipped") is None
    return failed, broken, ran


def ask(firmware: Path, where: str, folder: Path) -> tuple[str | None, str | None]:
    """Run the suite, or a module of it: (test that failed, why it could not run)."""
    report = folder / "report.xml"
    words = [sys.executable, "-m", "pytest", "-q", "--hil", "-o", f"cache_dir={folder / 'cache'}"]
    words += [f"--junitxml={report}", f"--basetemp={folder / 'rig'}"]
    words += ["--firmware", str(firmware), where, "-x"]
    try:
        done = subprocess.run(
            words, cwd=CHECKOUT, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"{where} has not ended for {_SECONDS} s"
    if not report.exists():
        return None, f"pytest ended with status {done.returncode}: {(done.stdout + done.stderr)[-300:]}"
    failed, broken, ran = judged(report)
    if not ran:
        return None, f"no test ran in {where}"
    return failed, broken


def verdict(mutant: Mutant) -> Verdict:
    """The module that should catch it is asked first, the whole suite if it does not."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        make(mutant, FIRMWARE, folder / "firmware")
        for where in (SUITE / f"{mutant.expected}.py", SUITE):
            failed, broken = ask(folder / "firmware", str(where), folder)
            if failed or broken:
                break
    return Verdict(mutant, failed, time.monotonic() - begun, None if failed else broken)


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each mutant; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hil_tests.mutants", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("--list", action="store_true", help="print names and what is broken, run nothing")
    parser.add_argument("--jobs", type=int, default=JOBS, help="mutants at once (%(default)s)")
    parser.add_argument(
        "--sound", action="store_true", help="the firmware itself has passed already: not again"
    )
    options = parser.parse_args(arguments)
    known = {mutant.name: mutant for mutant in MUTANTS}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        print(f"no mutant is called {unknown[0]}; --list names them", file=sys.stderr)
        return 2
    mutants = tuple(known[name] for name in options.names) or MUTANTS
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:30} {mutant.breaks}")
        return 0
    try:
        sources = read_sources(FIRMWARE, mutants)
        for mutant in mutants:
            mutated(mutant, sources)
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    return _run(mutants, options.jobs, sound=options.sound)


def _run(mutants: tuple[Mutant, ...], jobs: int, *, sound: bool) -> int:
    verdicts = []
    with Progress(console=Console(stderr=True), transient=True) as bar, ThreadPoolExecutor(jobs) as pool:
        task = bar.add_task("mutants", total=len(mutants) + (not sound))
        if not sound:
            with tempfile.TemporaryDirectory(prefix="firmware-") as name:
                failed, broken = ask(FIRMWARE, str(SUITE), Path(name))
            bar.advance(task)
            if failed or broken:
                print(f"the firmware as it is does not pass: {failed or broken}", file=sys.stderr)
                return 2
        for one in pool.map(verdict, mutants):
            bar.advance(task)
            verdicts.append(one)
            _tell(one)
    caught = sum(one.caught_by is not None for one in verdicts)
    print(f"{caught} of {len(verdicts)} mutants caught")
    if any(one.broken for one in verdicts):
        return 2
    return int(caught < len(verdicts))


def _tell(one: Verdict) -> None:
    assert one.mutant is not None
    said = f"caught by {one.caught_by}" if one.caught_by else one.broken or f"NOT CAUGHT: {one.mutant.breaks}"
    print(f"{one.mutant.name:30} {said} ({one.seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
