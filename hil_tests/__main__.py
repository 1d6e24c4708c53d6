"""`python -m hil_tests`: look at a rig before tests are run on it: its description, its power switches, its pulse generator."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hil_tests.generator_link import GeneratorLink, install
from hil_tests.interface import RigError
from hil_tests.programme import S_US, Line
from hil_tests.real_rig import port_of
from hil_tests.rig_file import read_rig


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 if it did what it should, 2 if the rig or the command line did not do."""
    parser = argparse.ArgumentParser(prog="python -m hil_tests", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="read a rig's description and say what it has")
    check.add_argument("rig", type=Path)
    check.add_argument("--ports", action="store_true", help="and find its boards")
    switch = commands.add_parser("switch", help="give a node its power, or take it")
    switch.add_argument("rig", type=Path)
    switch.add_argument("node")
    switch.add_argument("power", choices=("on", "off"))
    generator = commands.add_parser("install-generator", help="make the board at a port the pulse generator")
    generator.add_argument("port")
    play = commands.add_parser("play", help="let the pulse generator play a burst")
    play.add_argument("port")
    play.add_argument("--pin", type=int, required=True)
    play.add_argument("--count", type=int, default=10)
    play.add_argument("--hertz", type=int, default=5)
    options = parser.parse_args(arguments)
    try:
        return {"check": _check, "switch": _switch, "install-generator": _install, "play": _play}[
            options.command
        ](options)
    except (RigError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def _check(options: argparse.Namespace) -> int:
    rig = read_rig(options.rig)
    for node in rig.nodes:
        print(
            f"{node.name}: {node.board}, {len(node.inputs)} inputs; {', '.join(sorted(node.capabilities)) or 'nothing'}"
        )
        if options.ports:
            print(f"  at {port_of(node.port, node.serial_id, f'node {node.name}')}")
            if node.generator is not None:
                one = node.generator
                print(f"  pulses from {port_of(one.port, one.serial_id, f'pulse generator {one.name}')}")
    return 0


def _switch(options: argparse.Namespace) -> int:
    node = read_rig(options.rig).node(options.node)
    if node.switch is None:
        raise RigError(f"{node.name} has no power switch")
    (node.switch.on if options.power == "on" else node.switch.off)()
    print(f"{node.name}: {options.power}")
    return 0


def _install(options: argparse.Namespace) -> int:
    install(options.port)
    print(f"{options.port} is a pulse generator")
    return 0


def _play(options: argparse.Namespace) -> int:
    if not 0 < options.hertz <= 1000 or options.count < 1:
        raise ValueError("--hertz 1 to 1000, --count 1 or more")
    line = Line(start_us=100_000).burst(options.count, S_US // options.hertz)
    link = GeneratorLink(options.port)
    try:
        link.arm([options.pin], [line])
        link.go()
        edges, latest_us = link.finished(line.end_us / S_US + 10)
    finally:
        link.close()
    print(f"{edges // 2} pulses played, the latest edge {latest_us} us late")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
