"""Trees: compiled once per content, and the node's real firmware boots from one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.tests.simulator.small_city import ROOT, START_NS, City
from zaehlwerk_tools.simulator.board_spec import NAME_TABLE, STUB_HEAP, PowerCut
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, TreeError, build_tree
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

FIRMWARE, PROTOCOL = ROOT / "firmware", ROOT / "protocol" / "zaehlwerk_protocol"
JOIN_REQUEST = 0x00


def make_firmware(folder: Path) -> Path:
    (folder / "app" / "tests").mkdir(parents=True)
    (folder / "main.py").write_text("import app.thing\n")
    (folder / "app" / "thing.py").write_text("print('thing')\n")
    (folder / "app" / "tests" / "not_for_the_node.py").write_text("")
    (folder / "mypy.ini").write_text("")
    return folder


def files(tree: NodeTree) -> set[str]:
    return {path.relative_to(tree.node).as_posix() for path in tree.node.rglob("*") if path.is_file()}


def test_a_tree_holds_what_the_node_needs(tmp_path: Path) -> None:
    """main.py as it is, everything else compiled, no tests; the virtual board beside the firmware's own."""
    tree = build_tree(make_firmware(tmp_path / "firmware"), None, tmp_path / "cache")
    stand_ins = {"esp32.mpy"} | {f"virtual_{name}.mpy" for name in ("bus", "pcnt", "sleep", "uart")}
    assert files(tree) == {"main.py", "app/thing.mpy", *stand_ins}
    assert (tree.node / "main.py").read_text() == "import app.thing\n"


def test_a_tree_is_built_once_and_again_when_a_file_changes(tmp_path: Path) -> None:
    firmware = make_firmware(tmp_path / "firmware")
    first = build_tree(firmware, None, tmp_path / "cache")
    stamp = (first.node / "app" / "thing.mpy").stat().st_mtime_ns
    assert build_tree(firmware, None, tmp_path / "cache") == first
    assert (first.node / "app" / "thing.mpy").stat().st_mtime_ns == stamp
    (firmware / "app" / "thing.py").write_text("print('other')\n")
    assert build_tree(firmware, None, tmp_path / "cache") != first
    assert not list((tmp_path / "cache").glob("building-*"))


def test_a_file_that_does_not_compile_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    firmware = make_firmware(tmp_path / "firmware")
    (firmware / "app" / "thing.py").write_text("def broken(:\n")
    with pytest.raises(TreeError, match=r"app/thing\.py does not compile: (?s:.*)SyntaxError"):
        build_tree(firmware, None, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_without_main_is_no_firmware(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"main\.py is missing"):
        build_tree(tmp_path, None, tmp_path / "cache")


@pytest.mark.parametrize("bits", [32, 64])
def test_the_stub_takes_no_more_heap_than_is_granted_for_it(city: City, bits: int) -> None:
    """What a program finds free is the heap it was given without a node's table of names, to within 4 %."""
    loads = "import esp32, gc, machine\nmachine.SPI, machine.Counter, esp32.PCNT\n"
    city.add(loads + "gc.collect()\nprint(gc.mem_free(), gc.mem_alloc())", bits=bits, heap=128 * 1024)
    free, allocated = map(int, city.run(10)[0].split())
    assert allocated <= STUB_HEAP[bits] + NAME_TABLE[bits] + 1500
    assert free >= 0.96 * 128 * 1024 - NAME_TABLE[bits]


def settings() -> dict[str, bytes]:
    channels = [{"class": "bicycle", "direction": way, "pin": pin} for way, pin in (("in", 4), ("out", 5))]
    document = {
        "dev_eui": "00112233445566ff",
        "join_eui": "0011223344556688",
        "app_key": "00" * 16,
        "board": "heltec_v3",
        "channels": channels,
    }
    return {"settings.json": json.dumps(document).encode()}


@pytest.fixture(scope="session")
def real_tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NodeTree]:
    tree = build_tree(FIRMWARE, PROTOCOL, tmp_path_factory.mktemp("real"))
    return lambda program: tree


@pytest.mark.parametrize("bits", [32, 64])
def test_the_real_firmware_boots_and_asks_to_join(
    tmp_path: Path, real_tree: Callable[[str], NodeTree], bits: int
) -> None:
    """Unmodified, on both widths: join requests of 23 bytes with rising DevNonces, over a power cut too, and no crash."""
    city = City(tmp_path, real_tree)
    pulses = [START_NS + n * NS for n in range(3600)]
    board = city.add(
        "",
        PulseInputs({4: pulses, 5: pulses[::7]}),
        bits=bits,
        files=settings(),
        may_end=False,
        power_cuts=(PowerCut(START_NS + 1800 * NS, START_NS + 1810 * NS),),
    )
    lines = city.run(3600)
    assert not [line for line in lines if re.search("Traceback|Error|zaehlwerk:", line)]
    requests = [payload for _, payload, _ in city.uplinks]
    assert len(requests) > 3
    assert {len(payload) for payload in requests} == {23}
    assert {payload[0] for payload in requests} == {JOIN_REQUEST}
    nonces = [int.from_bytes(payload[17:19], "little") for payload in requests]
    assert nonces == sorted(set(nonces))
    assert any(at > START_NS + 1810 * NS for at, _, _ in city.uplinks)
    assert [reset.cause for reset in board.resets] == ["power"]
    assert city.air.duty_cycle.violations == []
