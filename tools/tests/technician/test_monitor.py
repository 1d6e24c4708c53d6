"""`zaehlwerk monitor` on a virtual board that counts."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.open_port import open_port
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.conftest import SMALL, write_build
from tools.tests.technician.counting_board import counting, undisturbed
from tools.tests.technician.test_provision import ONE, board, image
from tools.tests.technician.test_unit import Ended, zaehlwerk
from zaehlwerk_tools.serial_board.virtual_board import VirtualBoard
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.technician.cable_watch import watching
from zaehlwerk_tools.technician.node_observer import read_observer
from zaehlwerk_tools.technician.troubles import CutOffError, Status

__all__ = ["board", "image"]


async def monitored(node: VirtualBoard, build: Path, folder: Path, *words: str) -> Ended:
    command = ("monitor", node.port.name, "--build", str(build), *words)
    return await undisturbed(node, lambda: zaehlwerk(*command, cwd=folder))


def states(ended: Ended) -> list[dict[str, Any]]:
    assert (ended.status, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


async def test_a_node_is_seen_every_second_and_counts_every_pulse_meanwhile(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    pulses = {4: range(3000, 11_000, 100), 5: range(3000, 11_000, 1000)}
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        async with counting(image, stub, folder, pulses) as node:
            seen = states(await monitored(node, built, folder, "--json", "--seconds", "4"))
            again = states(await monitored(node, built, folder, "--json", "--seconds", "8"))
            resets = len(node.board.resets)
        if not resets:  # it was struck at work, and that was told: see below
            break
    counts = [state["channels"][0]["count"] for state in [*seen, *again]]
    assert len(seen) >= 3
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert [channel["count"] for channel in again[-1]["channels"]] == [80, 8]
    assert again[-1]["dev_eui"] == ONE
    assert again[-1]["boots"] == 1
    assert not resets


@pytest.mark.long
async def test_nothing_of_the_look_stays_on_the_node(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        states(await monitored(node, built, tmp_path, "--json", "--seconds", "2"))
        states(await monitored(node, built, tmp_path, "--json", "--once"))
        names = await told(node.port.name, "resume", "exec", "print(sorted(globals()))")
        assert "'node'" in names
        assert "zw" not in names


async def test_when_the_cable_is_pulled_that_is_told_and_the_node_goes_on(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with counting(image, stub, tmp_path) as node:

        def watch() -> None:
            with watching(node.port.name, read_observer(built), time.time) as watched:
                asyncio.run_coroutine_threadsafe(node.unplug(power=False), loop).result()
                while True:
                    watched.news(0.1)

        with pytest.raises(CutOffError, match="look at the cable; the node goes on counting"):
            await asyncio.to_thread(watch)
        await node.replug()
        assert not node.board.resets
        assert states(await monitored(node, built, tmp_path, "--once", "--json"))[0]["dev_eui"] == ONE


async def test_people_are_told_in_lines_of_79(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        ended = await monitored(node, built, tmp_path, "--once")
    assert (ended.status, ended.err) == (0, "")
    assert max(len(line) for line in ended.out.splitlines()) <= 79
    for word in ("NOT JOINED", "duty cycle", "3.90 V", "bicycle-in", "bicycle-out", "no faults"):
        assert word in ended.out
    assert "\x1b" not in ended.out


async def test_a_board_without_a_node_is_told_and_left_at_its_prompt(
    plugged_in: Boards, built: Path, tmp_path: Path
) -> None:
    async with plugged_in() as node:
        await node.board.prompt.wait()
        ended = await monitored(node, built, tmp_path, "--once", "--json")
        assert ended.status == Status.NOT_RUNNING
        assert "no program runs on the board" in ended.err
        assert json.loads(ended.out)["status"] == Status.NOT_RUNNING


async def test_another_program_is_started_again(plugged_in: Boards, built: Path, tmp_path: Path) -> None:
    main = (
        b"import asyncio\nprint('begun')\nasync def main(): await asyncio.sleep(1000)\nasyncio.run(main())\n"
    )
    async with plugged_in() as node:
        await told(node.port.name, "exec", f"with open('main.py', 'wb') as f: f.write({main!r})")
        async with open_port(node.port.name) as port:
            port.send(b"\x04")
            await port.until(b"begun\r\n")
        ended = await monitored(node, built, tmp_path, "--once")
        assert ended.status == Status.NOT_RUNNING
        assert "is no node of ours" in ended.err
        assert node.board.resets[-1].cause == "HARD"


@pytest.mark.long
async def test_a_program_that_is_struck_at_work_is_started_anew_and_that_is_told(
    plugged_in: Boards, built: Path, tmp_path: Path
) -> None:
    main = b"import time\nprint('begun')\nwhile True: time.sleep_ms(10)\n"
    async with plugged_in() as node:
        await told(node.port.name, "exec", f"with open('main.py', 'wb') as f: f.write({main!r})")
        async with open_port(node.port.name) as port:
            port.send(b"\x04")
            await port.until(b"begun\r\n")
        ended = await zaehlwerk("monitor", node.port.name, "--build", str(built), "--once", cwd=tmp_path)
        assert ended.status == Status.NOT_RUNNING
        assert "interrupted in the middle of something" in ended.err
        assert node.board.resets[-1].cause == "HARD"


async def test_a_node_of_another_build_goes_on_and_the_build_is_asked_for(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    other = write_build(tmp_path / "other", SMALL)
    (other / "names.json").write_text('{"": {}}')
    async with counting(image, stub, tmp_path) as node:
        ended = await monitored(node, other, tmp_path, "--once")
        assert ended.status == Status.UNSUITABLE
        assert "the node runs another firmware" in ended.err
        assert states(await monitored(node, built, tmp_path, "--once", "--json"))[0]["dev_eui"] == ONE


@pytest.mark.parametrize("names", [None, "{", "[]"], ids=["none", "no JSON", "no table"])
async def test_a_build_without_its_names_is_refused_before_the_port_is_opened(
    small_build: Path, tmp_path: Path, names: str | None
) -> None:
    if names is not None:
        (small_build / "names.json").write_text(names)
    ended = await zaehlwerk("monitor", "/dev/null", "--build", str(small_build), cwd=tmp_path)
    assert ended.status == Status.REFUSED
    assert "names.json" in ended.err
