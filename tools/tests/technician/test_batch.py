"""`zaehlwerk provision --batch`: a table of units, several ports, one virtual board after the other at each."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.technician.chirpstack import chirpstack
from tools.tests.technician.test_provision import COMMAND, NODE, image
from tools.tests.technician.test_unit import zaehlwerk
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options
from zaehlwerk_tools.technician.batch import read_units
from zaehlwerk_tools.technician.provision import SettingsFileError
from zaehlwerk_tools.technician.troubles import Status

__all__ = ["image"]
PORTS, PER_PORT = 4, 5
TIMEOUT_S = 240


def eui(number: int) -> str:
    return f"70b3d57ed00000{number:02x}"


def table(folder: Path, units: int) -> None:
    (folder / "node.json").write_text(json.dumps(NODE))
    rows = [f"{eui(number)},Station {number},51.9 7.6" for number in range(1, units + 1)]
    (folder / "units.csv").write_text("dev_eui,station,position\n" + "\n".join(rows) + "\n")


async def played(
    folder: Path,
    plugged_in: Boards,
    boards: dict[str, list[int]],
    where: tuple[str, ...] = ("--offline",),
    kinds: Mapping[int, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """What the command tells while somebody puts one board after the other at each port; `kinds`: those of other boards."""
    words = ("provision", "--batch", "units.csv", "--settings", "node.json", *where, "--json")
    ports = [word for port in boards for word in ("--port", port)]
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, *words, *ports), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    told: dict[str, asyncio.Queue[dict[str, Any]]] = {port: asyncio.Queue() for port in boards}

    async def somebody(port: str, numbers: list[int]) -> list[dict[str, Any]]:
        records = []
        for number in numbers:
            options = Options(number=number, slow_flash=False, board=kinds.get(number, "heltec_v3"))
            async with plugged_in(PtyPort(Path(port)), options):
                records.append(await told[port].get())
            if number != numbers[-1]:
                empty = await told[port].get()
                assert empty == {"port": port, "result": "empty"}
        return records

    async def listen(lines: asyncio.StreamReader) -> None:
        async for line in lines:
            record = json.loads(line)
            told[record["port"]].put_nowait(record)

    try:
        async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as group:
            people = [group.create_task(somebody(port, numbers)) for port, numbers in boards.items()]
            group.create_task(listen(process.stdout))
        _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    wrong = [record["error"] for person in people for record in person.result() if "error" in record]
    assert err.decode() == "".join(f"zaehlwerk: {error}\n" for error in wrong)
    return [record for person in people for record in person.result()]


async def test_every_board_becomes_one_unit_and_a_second_run_changes_nothing(
    plugged_in: Boards, image: Path, tmp_path: Path
) -> None:
    units = PORTS * PER_PORT
    table(tmp_path, units)
    (tmp_path / "boards").mkdir()
    for number in range(1, units + 1):
        shutil.copyfile(image, tmp_path / "boards" / f"board-{number:03}.flash")
    boards = {
        str(tmp_path / f"port-{port}"): list(range(port + 1, units + 1, PORTS)) for port in range(PORTS)
    }
    records = await played(tmp_path, plugged_in, boards)
    assert {record["dev_eui"] for record in records} == {eui(number) for number in range(1, units + 1)}
    assert len({record["board"]["unique_id"] for record in records}) == units
    assert {record["status"] for record in records} == {Status.DONE}
    keys = {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}
    assert len(set(keys.values())) == units
    kept = {path.name: path.read_text() for path in (tmp_path / "records").iterdir()}
    assert {json.loads(text)["station"]["name"] for text in kept.values()} == {
        f"Station {number}" for number in range(1, units + 1)
    }
    words = ("provision", "--batch", "units.csv", "--settings", "node.json", "--offline", "--port", "nowhere")
    again = await zaehlwerk(*words, cwd=tmp_path)
    assert (again.status, again.err) == (0, "")
    assert again.out == f"units.csv: {units} of {units} units are done already, nothing changed\n"
    assert {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()} == keys
    assert {path.name: path.read_text() for path in (tmp_path / "records").iterdir()} == kept


async def test_a_faulty_board_is_neither_registered_nor_in_the_way_and_a_spare_one_becomes_its_unit(
    plugged_in: Boards, image: Path, tmp_path: Path
) -> None:
    table(tmp_path, 3)
    (tmp_path / "boards").mkdir()
    for number in range(1, 5):
        shutil.copyfile(image, tmp_path / "boards" / f"board-{number:03}.flash")
    boards = {str(tmp_path / "port-0"): [2, 4], str(tmp_path / "port-1"): [1, 3]}
    async with chirpstack(tmp_path) as server:
        where = ("--api-url", server.url, "--api-key-file", str(server.key_file()))
        # Board 2 has its radio at other pins than the settings say.
        faulty, spare, *others = await played(tmp_path, plugged_in, boards, where, {2: "t3_s3"})
        assert faulty["status"] == Status.SELF_TEST
        assert "registration" not in faulty
        assert {record["status"] for record in (spare, *others)} == {Status.DONE}
        assert {record["dev_eui"] for record in (spare, *others)} == {eui(1), eui(2), eui(3)}
        assert {record["registration"]["result"] for record in (spare, *others)} == {"registered"}
        assert len({record["registration"]["application_id"] for record in (spare, *others)}) == 1
        for number in (1, 2, 3):
            key = (tmp_path / "keys" / f"{eui(number)}.key").read_text().strip()
            assert await server.key(eui(number)) == key
            assert (await server.device(eui(number))).name == f"Station {number}"
        assert len(server.server._network.registry.devices) == 3
        words = ("provision", "--batch", "units.csv", "--settings", "node.json", *where, "--port", "nowhere")
        again = await zaehlwerk(*words, cwd=tmp_path)
    assert (again.status, again.err) == (0, "")
    assert again.out == "units.csv: 3 of 3 units are done already, nothing changed\n"


async def test_a_strange_board_is_put_aside_and_the_batch_goes_on(
    plugged_in: Boards, image: Path, tmp_path: Path
) -> None:
    port = str(tmp_path / "port")
    (tmp_path / "boards").mkdir()
    for number in (1, 2):
        shutil.copyfile(image, tmp_path / "boards" / f"board-{number:03}.flash")
    table(tmp_path, 1)
    await played(tmp_path, plugged_in, {port: [1]})
    (tmp_path / "units.csv").write_text(f"dev_eui,station\n{eui(2)},Neutor\n")
    strange, fresh = await played(tmp_path, plugged_in, {port: [1, 2]})
    assert strange["status"] == Status.ANOTHER_IDENTITY
    assert f"this board is the node {eui(1)}, which is not in the table" in strange["error"]
    assert (fresh["dev_eui"], fresh["result"], fresh["status"]) == (eui(2), "provisioned", Status.DONE)


def test_a_unit_has_the_settings_of_the_table_over_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text(json.dumps({**NODE, "station": {"name": "x", "works": "bridge"}}))
    (tmp_path / "own.json").write_text(json.dumps({**NODE, "interval_s": 300}))
    (tmp_path / "units.csv").write_text(
        f'\ufeffdev_eui,station,position,settings\n{eui(1).upper()},Neutor,"51.9, 7.6",\n{eui(2)},,,own.json\n'
    )
    first, second = read_units(tmp_path / "units.csv", tmp_path / "node.json")
    assert first.settings == {**NODE, "dev_eui": eui(1)}
    assert first.place is not None
    assert (first.place.name, first.place.tags["works"]) == ("Neutor", "bridge")
    assert first.place.tags["position"] == "51.900000,7.600000"
    assert second.settings == {**NODE, "dev_eui": eui(2), "interval_s": 300}
    assert second.place is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("station\nNeutor\n", "columns: dev_eui"),
        (f"dev_eui,colour\n{eui(1)},red\n", "columns: dev_eui"),
        (f"dev_eui\n{eui(1)}\n{eui(1)}\n", "line 3: .* is there twice"),
        ("dev_eui\n12\n", "dev_eui: 16 hex digits"),
        ("dev_eui\n", "has no units"),
        (f"dev_eui,settings\n{eui(1)},none.json\n", "cannot be read"),
        (f"dev_eui,station,position\n{eui(1)},Neutor,far\n", "latitude and longitude"),
    ],
)
def test_a_table_that_does_not_do_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "node.json").write_text(json.dumps(NODE))
    (tmp_path / "units.csv").write_text(text)
    with pytest.raises(SettingsFileError, match=told):
        read_units(tmp_path / "units.csv", tmp_path / "node.json")


@pytest.mark.parametrize(
    "words",
    [
        ("provision", "--offline"),
        ("provision", "port", "--settings", "node.json", "--port", "a", "--offline"),
        ("provision", "--batch", "units.csv", "--port", "a", "--port", "a", "--offline"),
        ("provision", "--batch", "units.csv", "--port", "a", "--dry-run", "--offline"),
    ],
)
async def test_one_unit_and_many_are_not_mixed_up(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = await zaehlwerk(*words, cwd=tmp_path)
    assert ended.status == Status.REFUSED
    assert "--batch" in ended.err
