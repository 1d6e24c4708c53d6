from __future__ import annotations

import dataclasses

import pytest
from chirpstack_api import api
from grpc import aio

from tools.tests.network_server.rig import KEY, rig
from zaehlwerk_tools.provisioning import Node, Profile, ProvisioningError, provision

SECRET = "5ec4e75ec4e75ec4e75ec4e75ec4e75e"
EUI = "70b3d57ed0000001"


async def test_everything_is_created_as_the_firmware_and_the_bridge_need_it() -> None:
    async with rig() as it:
        made = await it.provision(profile=Profile(device_status_req_interval=4))
        assert made.created == (
            "tenant 'City'",
            "application 'Counters'",
            "device profile 'Zählwerk EU868'",
            f"device 'Hafenstraße' ({EUI})",
            f"keys of device 'Hafenstraße' ({EUI})",
        )
        assert made.changed == ()
        request = api.GetDeviceProfileRequest(id=made.profile_id)
        profile = (await it.call("DeviceProfileService/Get", request)).device_profile
        assert profile.supports_otaa
        assert not profile.auto_detect_measurements
        assert (profile.adr_algorithm_id, profile.device_status_req_interval) == ("default", 4)
        from chirpstack_api.common import common_pb2

        assert profile.mac_version == common_pb2.LORAWAN_1_0_4
        assert profile.reg_params_revision == common_pb2.RP002_1_0_3
        assert profile.region == common_pb2.EU868
        device = (await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI))).device
        assert dict(device.tags) == {"station": "hafenstrasse", "channels": "in,out"}
        keys = (await it.call("DeviceService/GetKeys", api.GetDeviceKeysRequest(dev_eui=EUI))).device_keys
        assert (keys.nwk_key, keys.app_key) == (KEY.hex(), "0" * 32)


async def test_a_second_run_changes_nothing() -> None:
    async with rig() as it:
        first = await it.provision()
        again = await it.provision()
        assert again == dataclasses.replace(first, created=(), changed=())


async def test_a_second_run_after_a_join_leaves_the_session_alone() -> None:
    async with rig() as it:
        await it.provision()
        it.join()
        assert (await it.provision()).changed == ()
        it.hear(it.device.uplink(b"x"))
        assert len(await it.bodies("up")) == 1


async def test_what_differs_is_corrected_and_named() -> None:
    async with rig() as it:
        await it.provision()
        changed = await it.provision(
            profile=Profile(device_status_req_interval=24),
            application_tags={"site": "north"},
            nodes=[Node(EUI, "Hafenstraße West", KEY, {"station": "west"})],
        )
        assert changed.created == ()
        assert changed.changed == (
            "application 'Counters'",
            "device profile 'Zählwerk EU868'",
            f"device 'Hafenstraße West' ({EUI})",
        )
        device = (await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI))).device
        assert dict(device.tags) == {"station": "west"}


@pytest.mark.parametrize(
    "node",
    [
        Node(EUI, "Hafenstraße", KEY, {"station": "west", "channels": "in,out"}),
        Node(EUI, "Hafenstraße", KEY, {"station": "hafenstrasse"}),
        Node(EUI, "Hafenstraße", KEY, {"station": "hafenstrasse", "channels": "in,out"}, "00000000000000a1"),
    ],
    ids=["another tag", "a tag less", "another JoinEUI"],
)
async def test_a_device_is_corrected_whatever_of_it_differs(node: Node) -> None:
    async with rig() as it:
        await it.provision()
        assert (await it.provision(nodes=[node])).changed == (f"device 'Hafenstraße' ({EUI})",)
        device = (await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI))).device
        assert (dict(device.tags), device.join_eui) == (dict(node.tags), node.join_eui)
        assert (await it.provision(nodes=[node])).changed == ()


async def test_what_the_plan_does_not_speak_of_stays() -> None:
    async with rig() as it:
        made = await it.provision()
        request = api.GetDeviceProfileRequest(id=made.profile_id)
        profile = (await it.call("DeviceProfileService/Get", request)).device_profile
        profile.description, profile.rx1_delay = "ours", 3
        update = api.UpdateDeviceProfileRequest(device_profile=profile)
        await it.call("DeviceProfileService/Update", update)
        device = (await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI))).device
        device.variables["site_key"] = "1"
        await it.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
        assert (await it.provision()).changed == ()
        await it.provision(profile=Profile(device_status_req_interval=9), nodes=[Node(EUI, "new", KEY)])
        profile = (await it.call("DeviceProfileService/Get", request)).device_profile
        assert (profile.description, profile.rx1_delay, profile.device_status_req_interval) == ("ours", 3, 9)
        device = (await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI))).device
        assert (device.name, dict(device.variables)) == ("new", {"site_key": "1"})


async def test_more_devices_than_fit_on_a_page_are_found_again() -> None:
    nodes = [Node(f"70b3d57ed000{n:04x}", f"station {n}", KEY) for n in range(103)]
    async with rig() as it:
        assert len((await it.provision(nodes=nodes)).created) == 3 + 2 * 103
        assert (await it.provision(nodes=nodes)).created == ()


async def test_a_tenants_own_key_is_enough_if_the_tenant_is_named_by_its_id() -> None:
    async with rig() as it:
        tenant = await it.call(
            "TenantService/Create", api.CreateTenantRequest(tenant=api.Tenant(name="City"))
        )
        plan = it.plan(tenant_id=tenant.id)
        token = it.server.tenant_key(tenant.id)
        made = await provision(it.channel, token, plan)
        assert made.tenant_id == tenant.id
        assert (await provision(it.channel, token, plan)).created == ()
        reading = it.server.tenant_key(tenant.id, read_only=True)
        with pytest.raises(ProvisioningError, match=r"Application.*may not do this.*writable key"):
            await provision(it.channel, reading, dataclasses.replace(plan, application="Other"))
        with pytest.raises(ProvisioningError, match=r"TenantService/List for tenant 'City'.*may not"):
            await provision(it.channel, token, it.plan())


async def test_a_device_of_another_application_is_refused_with_what_to_do() -> None:
    async with rig() as it:
        await it.provision()
        with pytest.raises(ProvisioningError, match=f"{EUI}.*exists already, in another application.*remove"):
            await it.provision(application="Others")


async def test_another_key_is_replaced_only_if_that_is_asked_for() -> None:
    async with rig() as it:
        await it.provision()
        node = Node(EUI, "Hafenstraße", SECRET, {"station": "hafenstrasse", "channels": "in,out"})
        with pytest.raises(ProvisioningError, match="the server has another AppKey") as refused:
            await it.provision(nodes=[node])
        assert SECRET not in str(refused.value)
        assert KEY.hex() not in str(refused.value)
        replaced = await it.provision(nodes=[node], replace_keys=True)
        assert replaced.changed == (f"keys of device 'Hafenstraße' ({EUI})",)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (Node("", "a", KEY), "device 'a': DevEUI ''"),
        (Node("70b3d57ed000000", "a", KEY), "device 'a': DevEUI"),
        (Node("70b3d57ed00000zz", "a", KEY), "16 hexadecimal digits"),
        (Node("0" * 16, "a", KEY), "DevEUI is all zeros"),
        (Node(EUI, "a", KEY, join_eui="x"), "device 'a': JoinEUI 'x'"),
        (Node(EUI, "", KEY), "has no name"),
        (Node(EUI, "a", ""), "device 'a': AppKey: a key is 16 bytes"),
        (Node(EUI, "a", SECRET[:-1]), "a key is 16 bytes"),
        (Node(EUI, "a", SECRET + "00"), "a key is 16 bytes"),
        (Node(EUI, "a", "zz" + SECRET[2:]), "a key is 16 bytes"),
        (Node(EUI, "a", bytes(16)), "all zeros"),
    ],
)
async def test_a_wrong_plan_is_refused_before_anything_is_sent(node: Node, says: str) -> None:
    async with aio.insecure_channel("127.0.0.1:1") as nowhere, rig() as it:
        with pytest.raises(ProvisioningError, match=says) as refused:
            await provision(nowhere, "", it.plan(nodes=[node]))
        assert SECRET[2:-2] not in str(refused.value)


async def test_a_dev_eui_given_twice_is_refused() -> None:
    async with rig() as it:
        with pytest.raises(ProvisioningError, match="given twice: 'a' and 'b'"):
            await it.provision(nodes=[Node(EUI, "a", KEY), Node("70-B3-D5-7E-D0-00-00-01", "b", KEY)])


async def test_euis_may_be_written_as_on_a_label() -> None:
    async with rig() as it:
        await it.provision(nodes=[Node("70:B3:D5:7E:D0:00:00:01", "a", KEY)])
        assert (await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=EUI))).device.name == "a"


async def test_a_server_that_is_not_there_is_named() -> None:
    async with aio.insecure_channel("127.0.0.1:1") as nowhere, rig() as it:
        with pytest.raises(ProvisioningError, match="cannot be reached"):
            await provision(nowhere, "", it.plan())


def test_a_node_does_not_show_its_key() -> None:
    assert SECRET not in repr(Node(EUI, "a", SECRET))
