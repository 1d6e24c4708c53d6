"""`provision` killed, and its cable pulled, at every one of its steps: run again it ends the same, with the same key."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import ROOT
from tools.tests.technician.chirpstack import Chirpstack
from tools.tests.technician.cut_steps import STEPS, brought_up, cut
from tools.tests.technician.test_provision import NODE, ONE, board, image, on_board
from tools.tests.technician.test_unit import record, server, settings
from zaehlwerk_tools.serial_board.virtual_board import VirtualBoard

__all__ = ["board", "image", "server"]
KILLED = -9
WAITING = "the node is waited for"
AFTER_THE_SETTINGS = list(STEPS)[list(STEPS).index("the self-test begins") :]
"""Those before are in test_provision.py, exchange by exchange."""


def dev_nonces(board: VirtualBoard, server: Chirpstack) -> list[int]:
    """Filled as the board's join requests reach the server (LoRaWAN 1.0.4 section 6.2.5: MHDR, two EUIs, DevNonce, MIC)."""
    found: list[int] = []
    server.hears(board)
    to_server = board.on_uplink

    def heard(at_ns: int, payload: bytes, how: object) -> None:
        if payload[0] >> 5 == 0:
            found.append(int.from_bytes(payload[17:19], "little"))
        to_server(at_ns, payload, how)  # type: ignore[arg-type]

    board.on_uplink = heard
    return found


def keys_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "keys").glob("*")}


def key_is_not_in(document: object, folder: Path) -> bool:
    return not any(key.strip() in json.dumps(document) for key in keys_of(folder).values())


async def resumed(board: VirtualBoard, server: Chirpstack, folder: Path, nonces: list[int]) -> None:
    """The same command once more, and what there is to be afterwards whatever was before."""
    made = keys_of(folder)
    outcome = await asyncio.to_thread(brought_up, board.port.name, folder, server.url)
    assert outcome.error is None
    keys = keys_of(folder)
    assert list(keys) == [f"{ONE}.key"]
    assert not made or made == keys
    key = keys[f"{ONE}.key"].strip()
    kept = record(folder)
    assert key_is_not_in(kept, folder)
    assert (kept["status"], "error" in kept) == (0, False)
    assert all(check["passed"] for check in kept["self_test"])
    assert kept["registration"]["result"] in ("registered", "unchanged")
    assert kept["heard"]["dev_addr"]
    assert await on_board(board) == {**NODE, "app_key": key}
    assert await server.key(ONE) == key
    assert len(server.server._network.registry.devices) == 1
    assert nonces
    assert nonces == sorted(set(nonces))


SAMPLE = ("the key is made", "the server has it")


def sampled(steps: Iterable[str]) -> list[object]:
    """The steps as parameters: all but the sample take longer together than a test run should."""
    return [pytest.param(step, marks=() if step in SAMPLE else pytest.mark.long) for step in steps]


@pytest.mark.parametrize("step", sampled(STEPS))
async def test_killed_when(board: VirtualBoard, server: Chirpstack, tmp_path: Path, step: str) -> None:
    nonces = dev_nonces(board, server)
    settings(tmp_path)
    server.key_file()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tools.tests.technician.cut_steps", step),
        *(board.port.name, str(tmp_path), server.url),
        cwd=ROOT,
    )
    assert await process.wait() == KILLED
    await resumed(board, server, tmp_path, nonces)


@pytest.mark.parametrize("step", sampled(["nobody was asked anything", *AFTER_THE_SETTINGS]))
async def test_cable_pulled_when(
    board: VirtualBoard, server: Chirpstack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    nonces = dev_nonces(board, server)
    settings(tmp_path)
    server.key_file()
    loop = asyncio.get_running_loop()
    pulled = asyncio.Event()

    def pull() -> None:
        asyncio.run_coroutine_threadsafe(board.unplug(), loop).result()
        loop.call_soon_threadsafe(pulled.set)

    with monkeypatch.context() as patches:
        cut(STEPS[step], pull, patches.setattr)
        wait_s = 60.0 if step == WAITING else 0.0
        running = asyncio.create_task(
            asyncio.to_thread(brought_up, board.port.name, tmp_path, server.url, wait_s)
        )
        await pulled.wait()
        if step == WAITING:
            await board.replug()  # it has its power from the cable
        outcome = await running
    assert key_is_not_in(outcome.record, tmp_path)
    if not board.board.has_power:
        await board.replug()
    await resumed(board, server, tmp_path, nonces)
