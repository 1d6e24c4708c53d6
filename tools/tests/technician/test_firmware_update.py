"""`zaehlwerk firmware update` on virtual boards that have counted: what they have stored stays, whatever is pulled when."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import ROOT
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.conftest import SMALL
from tools.tests.technician.conftest import write_build as write_any_build
from tools.tests.technician.counting_board import counting, waiting
from tools.tests.technician.test_flash import HASHES
from tools.tests.technician.test_provision import ONE, board, image
from tools.tests.technician.test_unit import zaehlwerk
from zaehlwerk_tools.serial_board.virtual_board import VirtualBoard
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.technician.firmware_build import build_firmware
from zaehlwerk_tools.technician.firmware_update import Updated, update
from zaehlwerk_tools.technician.firmware_update import told as told_update
from zaehlwerk_tools.technician.manifest import read_build
from zaehlwerk_tools.technician.troubles import (
    CutOffError,
    NotRunningError,
    NotVerifiedError,
    Status,
    UnsuitableError,
)

__all__ = ["board", "image"]


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the same firmware with another version."""
    folder = tmp_path_factory.mktemp("newer")
    shutil.copytree(ROOT / "firmware", folder / "firmware", ignore=shutil.ignore_patterns("tests"))
    source = folder / "firmware" / "app" / "__init__.py"
    before = source.read_text()
    after = before.replace("VERSION = (0,", "VERSION = (7,")
    assert after != before
    source.write_text(after)
    build_firmware(folder / "firmware", ROOT / "protocol" / "zaehlwerk_protocol", folder / "build")
    return folder / "build"


def another_protocol(build: Path, folder: Path) -> Path:
    """The same build, said to speak version 9."""
    shutil.copytree(build, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "protocol": 9}))
    return folder


def nothing(path: str, done: int, total: int) -> None:
    return None


async def updated(node: VirtualBoard, build: Path, *, dry_run: bool = False) -> Updated:
    manifest, contents = read_build(build)
    return await asyncio.to_thread(
        lambda: update(node.port.name, manifest, contents, protocol=None, dry_run=dry_run, progress=nothing)
    )


async def stored(node: VirtualBoard) -> dict[str, str]:
    """Settings and state, asked without any code of `update`; the node does not run meanwhile."""
    lines = (await told(node.port.name, "exec", HASHES)).splitlines()
    return {
        path: digest
        for path, digest in (line.split() for line in lines)
        if path.startswith(("state/", "settings.json"))
    }


async def test_a_node_goes_on_with_its_totals_and_nonces_under_another_firmware(
    image: Path, newer: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        asked = asyncio.Event()
        node.on_uplink = lambda at_ns, payload, heard: asked.set()
        async with asyncio.timeout(60):
            await asked.wait()  # to join: a nonce is used
        before = await stored(node)
        assert {"settings.json", "state/totals", "state/boot", "state/nonces"} <= before.keys()
        done = await updated(node, newer)
        assert done.before.stored == before
        assert (done.before.firmware, done.before.dev_eui) == ("0.1.0", ONE)
        assert "has firmware 7.1.0 now, before 0.1.0" in told_update(done)
        await waiting(node)
        nonces = "from lorawan.records import Files\nf = Files('state')\nprint(f.read('boot')[1], f.read('nonces') is not None)"
        boots = "import app\nprint(app.VERSION[0])\n" + nonces
        assert (await told(node.port.name, "exec", boots)).split() == ["7", "2", "True"]


async def test_a_dry_run_says_what_would_be_written_and_changes_nothing(
    image: Path, newer: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        words = ("firmware", "update", node.port.name, "--build", str(newer), "--dry-run", "--json")
        ended = await zaehlwerk(*words, cwd=tmp_path)
        assert (ended.status, ended.err) == (0, "")
        said = json.loads(ended.out)
        assert (said["result"], said["dev_eui"]) == ("would update", ONE)
        assert (said["before"], said["firmware"]) == ({"firmware": "0.1.0", "protocol": 1}, "7.1.0")
        assert said["written"][-1] == "main.py"
        version = await told(node.port.name, "exec", "import app\nprint(app.VERSION)")
        assert version == "(0, 1, 0)\n"


async def test_a_second_run_changes_nothing_and_says_so(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        ended = await zaehlwerk("firmware", "update", node.port.name, "--build", str(built), cwd=tmp_path)
        assert ended.status == 0
        assert ended.out.endswith("has firmware 0.1.0 already, nothing written; it starts again\n")


@pytest.mark.long
@pytest.mark.parametrize("at", [0, 1, -1], ids=["at the first file", "at the second", "before main.py"])
async def test_after_a_pulled_cable_the_same_command_goes_on_and_what_was_stored_is_there(
    image: Path, newer: Path, stub: NodeTree, tmp_path: Path, at: int
) -> None:
    manifest, contents = read_build(newer)
    loop = asyncio.get_running_loop()
    async with counting(image, stub, tmp_path) as node:
        before = await stored(node)
        plan = (await updated(node, newer, dry_run=True)).flashed.plan
        begun = 0

        def pull(path: str, done: int, total: int) -> None:
            nonlocal begun
            if begun == at % len(plan.write):
                asyncio.run_coroutine_threadsafe(node.unplug(), loop).result()
            begun += 1

        with pytest.raises(CutOffError, match="run the same command again"):
            await asyncio.to_thread(
                lambda: update(
                    node.port.name, manifest, contents, protocol=None, dry_run=False, progress=pull
                )
            )
        await node.replug()
        await node.board.prompt.wait()
        there = await stored(node)
        assert there["settings.json"] == before["settings.json"]
        done = await updated(node, newer)
        assert done.before.stored == there
        assert done.flashed.result == "flashed"


async def test_another_protocol_is_refused_unless_it_is_named(
    image: Path, newer: Path, stub: NodeTree, tmp_path: Path
) -> None:
    other = another_protocol(newer, tmp_path / "other")
    async with counting(image, stub, tmp_path) as node:
        words = ("firmware", "update", node.port.name, "--build", str(other))
        refused = await zaehlwerk(*words, cwd=tmp_path)
        assert refused.status == Status.UNSUITABLE
        assert "the node speaks protocol 1 and this build 9" in refused.err
        assert "--protocol 9" in refused.err
        assert (await zaehlwerk(*words, "--protocol", "8", cwd=tmp_path)).status == Status.UNSUITABLE
        taken = await zaehlwerk(*words, "--protocol", "9", "--dry-run", cwd=tmp_path)
        assert (taken.status, taken.err) == (0, "")


async def test_a_board_that_has_counted_nothing_is_for_flash_and_provision(
    board: VirtualBoard, newer: Path
) -> None:
    with pytest.raises(NotRunningError, match="`zaehlwerk flash` and `zaehlwerk provision` make it one"):
        await updated(board, newer)


def build_with_state(folder: Path) -> Path:
    """Its folders belong to the firmware: all else that lies in state/ would go."""
    return write_any_build(folder, {**SMALL, "state/new": b"1"})


async def test_a_build_with_files_of_the_nodes_own_is_refused_before_the_port_is_opened(
    tmp_path: Path,
) -> None:
    strange = build_with_state(tmp_path / "strange")
    ended = await zaehlwerk("firmware", "update", "/dev/null", "--build", str(strange), cwd=tmp_path)
    assert ended.status == Status.REFUSED
    assert "the build has a file state/new, which is the node's own" in ended.err


async def test_stored_files_that_have_changed_are_noticed_before_the_node_starts(
    image: Path, stub: NodeTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zaehlwerk_tools.technician.firmware_update._require_harmless", lambda manifest: None)
    strange = build_with_state(tmp_path / "strange")
    async with counting(image, stub, tmp_path) as node:
        with pytest.raises(NotVerifiedError, match="is not what it was before"):
            await updated(node, strange)


async def test_another_chip_is_refused_as_by_flash(
    image: Path, stub: NodeTree, newer: Path, tmp_path: Path
) -> None:
    shutil.copytree(newer, tmp_path / "other")
    manifest = json.loads((newer / "manifest.json").read_text())
    (tmp_path / "other" / "manifest.json").write_text(json.dumps({**manifest, "chips": ["ESP32"]}))
    async with counting(image, stub, tmp_path) as node:
        with pytest.raises(UnsuitableError, match="has a chip ESP32S3"):
            await updated(node, tmp_path / "other")
