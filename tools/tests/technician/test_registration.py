"""Registering units at the stand-in for ChirpStack, from the API's point of view."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from chirpstack_api import api
from chirpstack_api.common import common_pb2

from tools.tests.technician.chirpstack import Chirpstack, chirpstack
from zaehlwerk_bridge.station import Channel, from_tags
from zaehlwerk_tools.technician.node_key import NodeKey
from zaehlwerk_tools.technician.place import Place, take_place
from zaehlwerk_tools.technician.provision import SettingsFileError
from zaehlwerk_tools.technician.registration import Registered, register, wait_until_heard
from zaehlwerk_tools.technician.server import Server, ServerOptionsError, named_server
from zaehlwerk_tools.technician.troubles import NotHeardError, NotRegisteredError, Status
from zaehlwerk_tools.technician.unit import register_record
from zaehlwerk_tools.technician.unit import registered as unit_registered

ONE, OTHER = "70b3d57ed0000001", "70b3d57ed0000002"
KEY = NodeKey("8d41c0ffee8d41c0ffee8d41c0ffee8d")
UNIT = {"dev_eui": ONE, "join_eui": "70b3d57ed0000000"}
SETTINGS: dict[str, Any] = {
    "station": {"name": "Hafenstraße", "position": [51.95, 7.63], "channels": ["inwards", "outwards"]},
    "channels": [{"class": "bicycle", "direction": "in"}, {"class": "bicycle", "direction": "out"}],
}


def place(**station: Any) -> Place:
    found = take_place({**SETTINGS, "station": {**SETTINGS["station"], **station}}, "node.json")
    assert found is not None
    return found


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Chirpstack]:
    async with chirpstack(tmp_path) as running:
        yield running


async def registered(
    there: Server, where: Place | None = None, unit: dict[str, Any] | None = None, key: NodeKey = KEY
) -> Registered:
    return await asyncio.to_thread(register, there, unit or UNIT, where or place(), key)


async def test_a_node_is_registered_as_class_a_lorawan_1_0_4_in_eu868_with_its_key_and_its_place(
    server: Chirpstack,
) -> None:
    done = (await registered(server.named())).document
    assert done["result"] == "registered"
    request = api.GetDeviceProfileRequest(id=done["device_profile_id"])
    profile = (await server.call("DeviceProfileService/Get", request)).device_profile
    assert (profile.region, profile.mac_version) == (common_pb2.EU868, common_pb2.LORAWAN_1_0_4)
    assert profile.supports_otaa
    assert not profile.supports_class_b
    assert not profile.supports_class_c
    device = await server.device(ONE)
    assert (device.name, device.join_eui) == ("Hafenstraße", "70b3d57ed0000000")
    assert await server.key(ONE) == KEY.hex
    assert KEY.hex not in json.dumps(done)


async def test_the_bridge_reads_the_tags_as_the_settings_meant_them(server: Chirpstack) -> None:
    await registered(server.named())
    device = await server.device(ONE)
    station = from_tags(dict(device.tags), device.name)
    assert (station.name, station.slug, station.position) == ("Hafenstraße", "hafenstrasse", (51.95, 7.63))
    assert station.channels == (Channel("inwards", "bicycle", "in"), Channel("outwards", "bicycle", "out"))


async def test_a_second_run_changes_nothing_and_says_so(server: Chirpstack) -> None:
    await registered(server.named())
    again = (await registered(server.named())).document
    assert (again["result"], again["created"], again["changed"]) == ("unchanged", [], [])


async def test_what_an_operator_has_set_there_stays(server: Chirpstack) -> None:
    done = (await registered(server.named())).document
    request = api.GetDeviceProfileRequest(id=done["device_profile_id"])
    profile = (await server.call("DeviceProfileService/Get", request)).device_profile
    profile.uplink_interval, profile.tags["owner"] = 300, "city"
    await server.call("DeviceProfileService/Update", api.UpdateDeviceProfileRequest(device_profile=profile))
    application = (
        await server.call("ApplicationService/Get", api.GetApplicationRequest(id=done["application_id"]))
    ).application
    application.tags["district"] = "north"
    await server.call("ApplicationService/Update", api.UpdateApplicationRequest(application=application))
    device = await server.device(ONE)
    device.tags["cabinet"], device.description = "17", "behind the bus stop"
    await server.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
    assert (await registered(server.named())).document["result"] == "unchanged"
    moved = (await registered(server.named(), place(position=[52, 8]))).document
    assert moved["changed"] == [f"device 'Hafenstraße' ({ONE})"]
    device = await server.device(ONE)
    assert (device.tags["cabinet"], device.description) == ("17", "behind the bus stop")
    assert device.tags["position"] == "52.000000,8.000000"


@pytest.mark.parametrize(
    ("unit", "where", "key", "told"),
    [
        (UNIT, {"name": "Neutor"}, KEY, "is the device 'Hafenstraße' there, and not 'Neutor'"),
        ({**UNIT, "join_eui": "00" * 8}, {}, KEY, "has the JoinEUI 70b3d57ed0000000 there"),
        (UNIT, {}, NodeKey("ab" * 16), "the server has another AppKey"),
    ],
    ids=["another name", "another JoinEUI", "another key"],
)
async def test_somebody_elses_device_is_not_overwritten_unless_it_is_named(
    server: Chirpstack, unit: dict[str, Any], where: dict[str, Any], key: NodeKey, told: str
) -> None:
    await registered(server.named())
    before = await server.device(ONE)
    for replace in (None, OTHER):
        with pytest.raises(NotRegisteredError, match=told) as refused:
            await registered(server.named(replace=replace), place(**where), unit, key)
        assert key.hex not in str(refused.value)
    assert await server.device(ONE) == before
    assert await server.key(ONE) == KEY.hex
    done = (await registered(server.named(replace=ONE.upper()), place(**where), unit, key)).document
    assert done["result"] == "registered"
    assert await server.key(ONE) == key.hex


async def test_a_device_of_another_application_is_left_there(server: Chirpstack) -> None:
    await registered(server.named(application="Others"))
    for replace in (None, ONE):
        with pytest.raises(NotRegisteredError, match="it exists already, in another application or tenant"):
            await registered(server.named(replace=replace))


async def test_used_nonces_are_forgotten_only_when_the_node_is_named(server: Chirpstack) -> None:
    await registered(server.named())
    keys = server.server._network.registry.device(ONE).keys
    assert keys is not None
    keys.dev_nonces.add(17)
    for reset in (None, OTHER):
        assert not (await registered(server.named(reset_nonces=reset))).document["nonces_reset"]
        assert 17 in keys.dev_nonces
    done = (await registered(server.named(reset_nonces=ONE))).document
    assert (done["result"], done["nonces_reset"]) == ("registered", True)
    assert not keys.dev_nonces


async def test_the_tenant_must_be_named_where_there_are_several(server: Chirpstack) -> None:
    made = await server.call("TenantService/Create", api.CreateTenantRequest(tenant=api.Tenant(name="City")))
    with pytest.raises(NotRegisteredError, match=rf"name the tenant by --tenant-id.*City \({made.id}\)"):
        await registered(server.named())
    tenants_own = Server(server.url, server.key_file(server.server.tenant_key(made.id)), tenant_id=made.id)
    assert (await registered(tenants_own)).document["tenant_id"] == made.id
    assert (await registered(tenants_own)).document["result"] == "unchanged"


async def test_a_profile_for_another_class_is_not_used(server: Chirpstack) -> None:
    done = (await registered(server.named())).document
    request = api.GetDeviceProfileRequest(id=done["device_profile_id"])
    profile = (await server.call("DeviceProfileService/Get", request)).device_profile
    profile.supports_class_c = True
    await server.call("DeviceProfileService/Update", api.UpdateDeviceProfileRequest(device_profile=profile))
    with pytest.raises(NotRegisteredError, match="is for class B or C, and the nodes are class A"):
        await registered(server.named())


async def test_several_at_a_time_make_one_application_and_one_profile(server: Chirpstack) -> None:
    units = [{**UNIT, "dev_eui": f"70b3d57ed000000{number}", "station": {}} for number in range(1, 5)]
    there = server.named()
    done = await asyncio.gather(
        *(asyncio.to_thread(unit_registered, there, unit, place(), KEY) for unit in units)
    )
    assert len({one.document["application_id"] for one in done}) == 1
    tenant_id = done[0].document["tenant_id"]
    applications = await server.call(
        "ApplicationService/List", api.ListApplicationsRequest(limit=10, tenant_id=tenant_id)
    )
    profiles = await server.call(
        "DeviceProfileService/List", api.ListDeviceProfilesRequest(limit=10, tenant_id=tenant_id)
    )
    assert (applications.total_count, profiles.total_count) == (1, 1)


async def test_a_server_that_is_not_there_or_refuses_is_told_in_a_sentence(
    server: Chirpstack, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.key"
    wrong.write_text("nonsense\n")
    with pytest.raises(NotRegisteredError, match="does not accept the API key") as refused:
        await registered(Server(server.url, wrong))
    assert refused.value.status == Status.NOT_REGISTERED
    await server.server.stop()
    with pytest.raises(NotRegisteredError, match="cannot be reached") as refused:
        await registered(server.named())
    assert "\n" not in str(refused.value)
    with pytest.raises(NotRegisteredError, match=r"--api-key-file .*cannot be read"):
        await registered(Server(server.url, tmp_path / "none"))


async def test_a_silent_node_is_told_when_the_time_is_over(server: Chirpstack) -> None:
    before = (await registered(server.named())).before
    with pytest.raises(NotHeardError, match=f"has heard nothing of {ONE}") as silent:
        await asyncio.to_thread(wait_until_heard, server.named(wait_s=0.01), ONE, before)
    assert silent.value.status == Status.NOT_HEARD


async def test_a_unit_is_registered_from_its_record_and_the_record_says_so(
    server: Chirpstack, tmp_path: Path
) -> None:
    where = place()
    record = {**UNIT, "station": {"name": where.name, "tags": dict(where.tags)}, "self_test": []}
    path = tmp_path / "records" / f"{ONE}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    (tmp_path / "keys").mkdir()
    outcome = await asyncio.to_thread(register_record, path, tmp_path / "keys", server.named())
    assert "has no key of" in str(outcome.error)
    (tmp_path / "keys" / f"{ONE}.key").write_text(KEY.hex)
    (tmp_path / "keys" / f"{ONE}.key").chmod(0o600)
    outcome = await asyncio.to_thread(register_record, path, tmp_path / "keys", server.named())
    assert outcome.error is None
    kept = json.loads(path.read_text())
    assert kept["registration"]["result"] == "registered"
    assert kept["status"] == 0
    assert "error" not in kept
    assert KEY.hex not in path.read_text()
    outcome = await asyncio.to_thread(register_record, path, tmp_path / "keys", server.named())
    assert outcome.record["registration"]["result"] == "unchanged"
    path.write_text(json.dumps({**kept, "self_test": [{"passed": False}]}))
    outcome = await asyncio.to_thread(register_record, path, tmp_path / "keys", server.named())
    assert "its self-test found a fault" in str(outcome.error)


@pytest.mark.parametrize(
    ("station", "told"),
    [
        ("Neutor", "an object with a name"),
        ({"name": "..."}, "name: it needs a letter or digit"),
        ({"name": "Neutor", "colour": "red"}, "colour is unknown"),
        ({"name": "Neutor", "channels": ["in"]}, "a name for each of the 2 channels"),
        ({"name": "Neutor", "channels": ["a", "a"]}, "names must differ"),
        ({"name": "Neutor", "channels": ["a,b", "c"]}, "have no comma"),
        ({"name": "Neutor", "position": [91, 0]}, "latitude and longitude"),
        ({"name": "Neutor", "position": "nowhere"}, "latitude and longitude"),
        ({"name": "Neutor", "max_rate": 0}, "pulses per hour"),
    ],
)
def test_a_station_that_does_not_do_is_refused(station: Any, told: str) -> None:
    with pytest.raises(SettingsFileError, match=told):
        take_place({**SETTINGS, "station": station}, "node.json")


def test_channels_without_names_are_named_by_what_they_count() -> None:
    channels = [{"class": "kfz", "direction": "in"}, {"class": "kfz", "direction": "in"}, {"class": "kfz"}]
    found = take_place({"station": {"name": "Neutor"}, "channels": channels}, "node.json")
    assert found is not None
    assert found.tags["channels"] == "kfz-in,kfz-in-2,kfz-unknown"
    assert take_place({"channels": channels}, "node.json") is None


def test_a_server_is_named_with_the_key_for_it() -> None:
    with pytest.raises(ServerOptionsError, match=r"name the network server by .*, or go home"):
        named_server(None, None, otherwise=", or go home")
    with pytest.raises(ServerOptionsError, match="needs --api-key-file"):
        named_server("http://localhost", None)
