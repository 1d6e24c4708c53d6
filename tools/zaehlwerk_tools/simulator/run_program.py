"""Any MicroPython program on a virtual board, with the board's radio chip: a driver, an example, somebody else's stack.

`python -m zaehlwerk_tools.simulator.run_program main.py --board heltec_v3 --lib folder --seconds 60`

Several programs are several boards within earshot of each other. What each printed is shown as it ends; the last line of
standard output is JSON: what was on the air, and what each program did that its chip's datasheet forbids.
Exit status: 0, or 1 if a program crashed or broke a rule of its chip, 2 if it could not be run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.micropython_program import find_micropython
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import BoardError, BoardSpec
from zaehlwerk_tools.simulator.firmware_tree import build_tree
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

CHECKOUT = Path(__file__).resolve().parents[3]
START_NS = 1_781_733_600 * NS
"""2026-06-17 22:00 UTC: when all boards are switched on."""
GATEWAY = "0000000000000001"


async def run_programs(
    programs: list[Path], board: str, libraries: list[Path], seconds: float, bits: int, folder: Path
) -> tuple[list[list[str]], dict[str, object]]:
    """Run each program on a board of its own; (what each printed, the summary).

    libraries: folders whose content is importable on every board. Raises ZaehlwerkError, TreeError.
    """
    known = KNOWN_BOARDS.get(board)
    if known is None:
        raise ZaehlwerkError(f"--board {board}: known are {', '.join(KNOWN_BOARDS)}")
    scheduler = Scheduler(START_NS)
    air = Air(
        scheduler,
        seed=1,
        gateways=[Gateway(GATEWAY)],
        on_uplink=lambda at_ns, payload, heard: None,
        places={n: Place(50.0 * n, 0.0) for n in range(1, len(programs) + 1)},
    )
    micropython = find_micropython(CHECKOUT, bits).path
    boards = []
    for number, program in enumerate(programs, 1):
        firmware = _tree(program, libraries, folder / f"program-{number}")
        boards.append(
            Board(
                BoardSpec(
                    number,
                    {},
                    PulseInputs(),
                    START_NS,
                    bits=bits,
                    may_end=True,
                    hardware=known.hardware,
                    battery_mv=3900,
                ),
                scheduler=scheduler,
                air=air,
                tree=build_tree(firmware, None, folder / "cache"),
                micropython=micropython,
                folder=folder,
            )
        )
    crash = None
    try:
        for one in boards:
            one.start()
        await scheduler.run(START_NS + round(seconds * NS))
    except BoardError as error:
        crash = str(error).splitlines()[0]
    finally:
        for one in boards:
            one.stop()
    printed = [
        [line for line in one.log.read_text().splitlines() if not line.startswith("--- ")] for one in boards
    ]
    summary: dict[str, object] = {
        "board": board,
        "frames": [
            {key: entry[key] for key in ("sender", "frequency", "sf", "power", "payload", "lost")}
            for entry in air.log
            if entry["direction"] == "up"
        ],
        "violations": [
            {"board": one.spec.number, "at_s": (violation.at_ns - START_NS) / NS, "what": violation.what}
            for one in boards
            for violation in one.radio.violations
        ],
        "radio_seconds": [
            {state: ns / NS for state, ns in one.radio.chip.time_in(scheduler.now_ns).items()}
            for one in boards
        ],
        "crash": crash,
    }
    return printed, summary


def _tree(program: Path, libraries: list[Path], folder: Path) -> Path:
    """A folder as the node's file system would hold it: the program as main.py beside the libraries."""
    folder.mkdir(parents=True)
    if not program.is_file():
        raise ZaehlwerkError(f"{program} is missing: expected a MicroPython program")
    for library in libraries:
        if not library.is_dir():
            raise ZaehlwerkError(f"--lib {library}: expected a folder")
        for path in sorted(library.rglob("*.py")):
            target = folder / path.relative_to(library)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (folder / "main.py").write_bytes(program.read_bytes())
    return folder


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m zaehlwerk_tools.simulator.run_program",
        description=(__doc__ or "").splitlines()[0],
        epilog="example: %(prog)s send.py receive.py --board t3_s3 --lib lora --seconds 20",
    )
    parser.add_argument("programs", nargs="+", type=Path, metavar="PROGRAM", help="one board each")
    parser.add_argument("--board", default="heltec_v3", help=", ".join(KNOWN_BOARDS))
    parser.add_argument(
        "--lib", action="append", default=[], type=Path, help="folder of modules; may be repeated"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="virtual seconds (default 60)")
    parser.add_argument("--bits", type=int, choices=(64, 32), default=64, help="MicroPython's width")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-program-") as name:
        try:
            printed, summary = asyncio.run(
                run_programs(asked.programs, asked.board, asked.lib, asked.seconds, asked.bits, Path(name))
            )
        except (ZaehlwerkError, RuntimeError) as error:
            sys.stderr.write(f"zaehlwerk: {error}\n")
            return 2
    for program, lines in zip(asked.programs, printed, strict=True):
        for line in lines:
            sys.stdout.write(f"{program.name}: {line}\n")
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if summary["crash"] or summary["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
