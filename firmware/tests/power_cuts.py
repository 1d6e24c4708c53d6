"""A node's power goes at 1,000 random moments of its days: `make power-cuts`.

Days of CUTS_A_DAY cuts, each from a seed of its own, on the MicroPython with the ESP32's word size; see
`on_micropython/power_cuts_day.py` for what is judged. The last line of the output is the sum of all days as JSON. Ends with
status 1 if a cut took more than is stated, counted twice or was not told, or if the flash did not give back the rest; 2
if a day did not come to its end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from rich.console import Console
from rich.progress import Progress

from firmware.tests.conftest import ON_MICROPYTHON, compiled, interpreter

CUTS = 1000
CUTS_A_DAY = 50
HEAP = "8m"
JOBS = 2
_SECONDS = 900
_SUMS = ("cuts", "unflagged", "misplaced", "unread")


def day(seed: int, cuts: int, micropython: str) -> dict[str, int]:
    """The sums of one day. Raises RuntimeError with what it printed if it did not come to its end."""
    paths = [str(path) for path in (ON_MICROPYTHON, ON_MICROPYTHON / "fakes", compiled())]
    program = str(ON_MICROPYTHON / "power_cuts_day.py")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [micropython, "-X", f"heapsize={HEAP}", program, str(seed), str(cuts), *paths],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(
            f"the day of seed {seed} ended by itself: {done.stdout[-600:]}{done.stderr[-600:]}"
        )
    sums: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return sums


def together(days: list[dict[str, int]]) -> dict[str, Any]:
    """The sums of all days, and whether all is as stated."""
    sums: dict[str, Any] = {"days": len(days), **{name: sum(one[name] for one in days) for name in _SUMS}}
    sums["lost_most_s"] = max((one["lost_most_s"] for one in days), default=0)
    sums["loss_bound_s"] = max((one["loss_bound_s"] for one in days), default=0)
    # Fewer than none would be counted twice.
    sums["twice"] = sum(one["lost_least_s"] < -one["border_s"] for one in days)
    wrong = sums["unflagged"] + sums["misplaced"] + sums["unread"] + sums["twice"]
    sums["held"] = bool(days) and not wrong and sums["lost_most_s"] <= sums["loss_bound_s"]
    return sums


def main(arguments: list[str] | None = None) -> int:
    """Run all days, show how far they are, print the sums; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=CUTS, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first day (%(default)s)")
    parser.add_argument("--jobs", type=int, default=JOBS, help="days at once (%(default)s)")
    parser.add_argument("--json", action="store_true", help="no progress bar, one line of JSON")
    options = parser.parse_args(arguments)
    micropython = interpreter("32") or interpreter("64")
    if micropython is None:
        print("no MicroPython: run `make setup`", file=sys.stderr)
        return 2
    shares = [min(CUTS_A_DAY, options.cuts - first) for first in range(0, options.cuts, CUTS_A_DAY)]
    days: list[dict[str, int]] = []
    wrong: list[str] = []
    compiled()
    bar = Progress(console=Console(stderr=True), disable=options.json)
    with bar, ThreadPoolExecutor(options.jobs) as pool:
        task = bar.add_task("power cuts", total=options.cuts)
        runs = [pool.submit(day, options.seed + n, cuts, micropython) for n, cuts in enumerate(shares)]
        for run in as_completed(runs):
            try:
                days.append(run.result())
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                wrong.append(str(error))
                continue
            bar.advance(task, days[-1]["cuts"])
    sums = together(days)
    sums["failed_days"] = len(wrong)
    for trouble in wrong:
        print(trouble, file=sys.stderr)
    print(json.dumps(sums))
    return 2 if wrong else int(not sums["held"])


if __name__ == "__main__":
    raise SystemExit(main())
