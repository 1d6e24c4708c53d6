"""The node's receive windows are hit at every data rate, however late its code and its interrupts and however wrong its clock.

The firmware's MAC, device and radio driver run on a board whose code wakes late, whose interrupt handlers run late and
whose crystal is off; a scripted gateway answers exactly in time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from tools.tests.simulator.small_city import GATEWAY, ROOT, City
from zaehlwerk_tools.simulator.air_frames import Heard
from zaehlwerk_tools.simulator.board_spec import Lateness
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.simulator.scheduler import NS

ADDRESS = bytes.fromhex("04030201")
NETWORK_KEY = bytes(range(16))
RX2_HZ, RX2_SF = 869_525_000, 12
PPB = 100_000

PROGRAM = """
import asyncio, time
from boards.{board} import radio
from lorawan import eu868
from lorawan.device import Device
from lorawan.mac import Identity, Mac
from lorawan.session import Session
from lorawan.store import Store

class Memory:
    def read(self, name):
        return None
    def replace(self, name, data):
        pass

begun = time.ticks_ms()
def uptime():
    return time.ticks_diff(time.ticks_ms(), begun)

async def main():
    mac = Mac(eu868, Store(Memory(), eu868, bytes(16)), Identity(bytes(8), bytes(8), bytes(16)), lambda n: 0)
    mac.session = Session(eu868, 0x01020304, bytes(range(16)), bytes(range(16, 32)), bytes(3))
    device = Device(mac, radio(), asyncio.Lock(), uptime, lambda n: 0)
    device.start()
    for data_rate in range(6):
        for window in (1, 2):
            mac.session.data_rate = data_rate
            done = await device.send(1, b"")
            print(data_rate, window, done.heard)
asyncio.run(main())
"""


class Network:
    """Answers even counters in the first window, odd ones in the second, with the shortest frame there is."""

    def __init__(self) -> None:
        self.counter = 0

    def answer(self, city: City, at_ns: int, payload: bytes, heard: Heard) -> None:
        first = payload[6] % 2 == 0
        frame = b"\x60" + ADDRESS + b"\0" + self.counter.to_bytes(2, "little")
        block = b"\x49" + bytes(4) + b"\x01" + ADDRESS + self.counter.to_bytes(4, "little") + b"\0"
        mac = CMAC(AES(NETWORK_KEY))
        mac.update(block + bytes([len(frame)]) + frame)
        self.counter += 1
        start_ns = at_ns + (1 if first else 2) * NS
        frequency, sf = (heard.frequency, heard.sf) if first else (RX2_HZ, RX2_SF)
        refused = city.air.downlink(GATEWAY, start_ns, frequency, sf, 125_000, 14, frame + mac.finalize()[:4])
        assert refused is None


@pytest.fixture(scope="session")
def lorawan_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NodeTree]:
    folder = tmp_path_factory.mktemp("windows")

    def build(program: str) -> NodeTree:
        firmware = folder / f"firmware-{abs(hash(program))}"
        if not firmware.exists():
            for room in ("boards", "lorawan", "radio"):
                shutil.copytree(ROOT / "firmware" / room, firmware / room)
            (firmware / "main.py").write_text(program)
        return build_tree(firmware, None, folder / "cache")

    return build


@pytest.mark.parametrize(
    ("board", "code_ms", "irq_ms", "ppb"),
    [(board, *how) for board in ("heltec_v3", "t3_v16") for how in product((0, 30), (0, 50), (-PPB, 0, PPB))],
)
def test_both_windows_are_hit_at_every_data_rate(
    tmp_path: Path,
    lorawan_tree: Callable[[str], NodeTree],
    board: str,
    code_ms: int,
    irq_ms: int,
    ppb: int,
) -> None:
    city = City(tmp_path, lorawan_tree, on_uplink=Network().answer)
    known = KNOWN_BOARDS[board]
    node = city.add(
        PROGRAM.format(board=known.file),
        hardware=known.hardware,
        lateness=Lateness(code_ms, irq_ms, always=True),
        crystal_ppb=ppb,
        battery_mv=3900,
        strict=True,
    )
    assert city.run(7200) == [f"{rate} {window} True" for rate in range(6) for window in (1, 2)]
    assert [violation.what for violation in node.radio.violations] == []


@pytest.mark.parametrize("board", list(KNOWN_BOARDS))
def test_both_windows_are_hit_when_everything_is_late_by_chance(
    tmp_path: Path, lorawan_tree: Callable[[str], NodeTree], board: str
) -> None:
    city = City(tmp_path, lorawan_tree, on_uplink=Network().answer)
    known = KNOWN_BOARDS[board]
    node = city.add(
        PROGRAM.format(board=known.file),
        hardware=known.hardware,
        lateness=Lateness(30, 50),
        crystal_ppb=-PPB,
        battery_mv=3900,
    )
    assert city.run(7200) == [f"{rate} {window} True" for rate in range(6) for window in (1, 2)]
    assert [violation.what for violation in node.radio.violations] == []


def test_a_clock_far_beyond_what_is_allowed_for_misses_the_windows(
    tmp_path: Path, lorawan_tree: Callable[[str], NodeTree]
) -> None:
    """The test above could fail: with 10 per cent the fast data rates are lost."""
    city = City(tmp_path, lorawan_tree, on_uplink=Network().answer)
    city.add(PROGRAM.format(board="heltec_v3"), crystal_ppb=100_000_000)
    assert "5 1 False" in city.run(7200)
