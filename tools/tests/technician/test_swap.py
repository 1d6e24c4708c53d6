"""`zaehlwerk swap` at the stand-in for ChirpStack."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from chirpstack_api import api

from tools.tests.technician.chirpstack import Chirpstack, chirpstack
from tools.tests.technician.test_unit import Ended, zaehlwerk
from zaehlwerk_tools.technician import swap as swapping
from zaehlwerk_tools.technician.place import take_place
from zaehlwerk_tools.technician.swap import Swap, make_swap
from zaehlwerk_tools.technician.troubles import NotRegisteredError, SelfTestError, Status, UnsuitableError
from zaehlwerk_tools.technician.unit import register_record

OLD, NEW, THIRD = "70b3d57ed0000001", "70b3d57ed0000002", "70b3d57ed0000003"
STATION: dict[str, Any] = {
    "name": "Hafenstraße",
    "position": [51.95, 7.63],
    "channels": ["inwards", "outwards"],
}
CHANNELS = [
    {"class": "bicycle", "direction": "in", "sensor": "pulse", "pin": 4},
    {"class": "bicycle", "direction": "out", "sensor": "pulse", "pin": 5},
]
NOW = 1_781_769_600.0
AT = "2026-06-18T08:00:00Z"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Chirpstack]:
    async with chirpstack(tmp_path) as running:
        yield running


def unit(folder: Path, dev_eui: str, counts: list[dict[str, Any]] = CHANNELS, **station: Any) -> Path:
    """A provisioned unit's record and key."""
    place = take_place({"channels": counts, "station": {**STATION, **station}}, "test")
    assert place is not None
    record = {
        "dev_eui": dev_eui,
        "join_eui": "70b3d57ed0000000",
        "station": {"name": place.name, "tags": dict(place.tags)},
        "self_test": [{"name": "radio", "passed": True, "detail": ""}],
        "status": 0,
    }
    path = folder / "records" / f"{dev_eui}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record))
    key = folder / "keys" / f"{dev_eui}.key"
    key.parent.mkdir(exist_ok=True)
    key.write_text(dev_eui * 2)
    key.chmod(0o600)
    return path


async def register(server: Chirpstack, record: Path) -> None:
    keys = record.parent.parent / "keys"
    outcome = await asyncio.to_thread(register_record, record, keys, server.named())
    assert outcome.error is None


@pytest.fixture
async def serving(server: Chirpstack, tmp_path: Path) -> Chirpstack:
    """The server with the old node at the station, to whose device an operator has added a tag."""
    await register(server, unit(tmp_path, OLD))
    device = await server.device(OLD)
    device.tags["corridor"] = "Kanal"
    await server.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
    return server


def at(server: Chirpstack) -> tuple[str, ...]:
    return ("--api-url", server.url, "--api-key-file", str(server.key_file()))


async def swapped(server: Chirpstack, folder: Path, *words: str, station: str = "Hafenstraße") -> Ended:
    command = ("swap", station, f"records/{NEW}.json", *at(server), "--json", *words)
    return await zaehlwerk(*command, cwd=folder)


def record(folder: Path, dev_eui: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "records" / f"{dev_eui}.json").read_text())
    return found


async def make(server: Chirpstack, folder: Path, **options: Any) -> dict[str, Any]:
    wanted = Swap(
        "Hafenstraße", folder / "records" / f"{NEW}.json", folder / "keys", server.named(), **options
    )
    return await asyncio.to_thread(make_swap, wanted, NOW)


async def test_the_station_goes_on_with_the_new_node_and_the_old_one_is_heard_no_more(
    serving: Chirpstack, tmp_path: Path
) -> None:
    unit(tmp_path, NEW)
    before = await serving.device(OLD)
    done = await make(serving, tmp_path)
    assert (done["result"], done["old"], done["new"], done["at"]) == ("swapped", OLD, NEW, AT)
    old, new = await serving.device(OLD), await serving.device(NEW)
    assert (new.name, dict(new.tags), new.is_disabled) == (before.name, dict(before.tags), False)
    assert old.is_disabled
    assert dict(old.tags) == {**before.tags, "replaced_at": AT}
    assert f"{AT}: replaced by {NEW}" in old.description
    assert await serving.key(NEW) == NEW * 2
    assert record(tmp_path, NEW)["swapped"] == {"for": OLD, "at": AT}
    assert record(tmp_path, NEW)["registration"]["result"] == "registered"
    assert record(tmp_path, OLD)["swapped"] == {"by": NEW, "at": AT}


async def test_no_key_is_told_and_a_second_run_changes_nothing_and_says_so(
    serving: Chirpstack, tmp_path: Path
) -> None:
    unit(tmp_path, NEW)
    first = await swapped(serving, tmp_path)
    assert (first.status, first.err) == (0, "")
    assert NEW * 2 not in first.out + (tmp_path / "records" / f"{NEW}.json").read_text()
    devices = [await serving.device(dev_eui) for dev_eui in (OLD, NEW)]
    second = await swapped(serving, tmp_path)
    again = json.loads(second.out)
    assert (second.status, again["result"], again["at"]) == (0, "unchanged", json.loads(first.out)["at"])
    assert [await serving.device(dev_eui) for dev_eui in (OLD, NEW)] == devices


async def test_a_dry_run_names_both_and_changes_nothing(serving: Chirpstack, tmp_path: Path) -> None:
    path = unit(tmp_path, NEW)
    before, text = await serving.device(OLD), path.read_text()
    ended = await swapped(serving, tmp_path, "--dry-run")
    assert (ended.status, json.loads(ended.out)["result"]) == (0, "would swap")
    assert await serving.device(OLD) == before
    assert path.read_text() == text
    request = api.ListDevicesRequest(limit=99, application_id=before.application_id)
    there = (await serving.call("DeviceService/List", request)).result
    assert [entry.dev_eui for entry in there] == [OLD]


async def test_cut_off_between_the_two_devices_the_same_command_goes_on(
    serving: Chirpstack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit(tmp_path, NEW)

    async def cut(*what: Any) -> None:
        raise NotRegisteredError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(swapping, "_disable", cut)
        with pytest.raises(NotRegisteredError, match="cut off"):
            await make(serving, tmp_path)
    assert not (await serving.device(OLD)).is_disabled
    assert (await make(serving, tmp_path))["result"] == "swapped"
    assert (await serving.device(OLD)).is_disabled


async def test_the_node_that_came_can_be_swapped_itself(serving: Chirpstack, tmp_path: Path) -> None:
    unit(tmp_path, NEW)
    await make(serving, tmp_path)
    unit(tmp_path, THIRD)
    wanted = Swap("hafenstrasse", tmp_path / "records" / f"{THIRD}.json", tmp_path / "keys", serving.named())
    done = await asyncio.to_thread(make_swap, wanted, NOW + 60)
    assert (done["old"], done["result"]) == (NEW, "swapped")
    assert "replaced_at" not in (await serving.device(THIRD)).tags


@pytest.mark.parametrize(
    ("channels", "station", "sentence"),
    [
        (CHANNELS[:1], {"channels": ["inwards"]}, "has the classes bicycle, and the station bicycle,bicycle"),
        (CHANNELS[::-1], {}, "has the directions out,in, and the station in,out"),
        (CHANNELS, {"name": "Neutor"}, "name Neutor and not Hafenstraße"),
    ],
    ids=["fewer channels", "the other way round", "another station"],
)
async def test_a_unit_that_would_count_under_others_names_is_refused(
    serving: Chirpstack,
    tmp_path: Path,
    channels: list[dict[str, Any]],
    station: dict[str, Any],
    sentence: str,
) -> None:
    unit(tmp_path, NEW, channels, **station)
    with pytest.raises(UnsuitableError, match=sentence):
        await make(serving, tmp_path)
    assert not (await serving.device(OLD)).is_disabled


async def test_of_several_nodes_the_one_that_goes_must_be_named(serving: Chirpstack, tmp_path: Path) -> None:
    await register(serving, unit(tmp_path, THIRD))
    unit(tmp_path, NEW)
    with pytest.raises(NotRegisteredError, match=f"--old: {OLD}, {THIRD}"):
        await make(serving, tmp_path)
    assert (await make(serving, tmp_path, old=THIRD))["old"] == THIRD
    assert [(await serving.device(dev_eui)).is_disabled for dev_eui in (OLD, THIRD)] == [False, True]


async def test_a_station_that_nobody_serves_and_a_server_that_is_away_are_told(
    serving: Chirpstack, tmp_path: Path
) -> None:
    unit(tmp_path, NEW, name="Neutor")
    nobody = await swapped(serving, tmp_path, station="Neutor")
    assert nobody.status == Status.NOT_REGISTERED
    assert "no node serves Neutor" in nobody.err
    serving.server.outage(True)
    away = await swapped(serving, tmp_path)
    assert away.status == Status.NOT_REGISTERED
    assert away.err.count("\n") == 1


async def test_a_unit_with_a_fault_is_not_taken(serving: Chirpstack, tmp_path: Path) -> None:
    path = unit(tmp_path, NEW)
    failed = [{"name": "radio", "passed": False, "detail": "no answer"}]
    path.write_text(json.dumps({**json.loads(path.read_text()), "self_test": failed}))
    with pytest.raises(SelfTestError, match="its self-test found a fault"):
        await make(serving, tmp_path)
