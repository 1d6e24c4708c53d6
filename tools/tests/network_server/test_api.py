"""The API's rights and refusals, as ChirpStack has them; those that were recorded are in test_replay.py."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from chirpstack_api import api
from grpc import aio

from tools.tests.network_server.rig import Rig, joined_rig, rig, until
from zaehlwerk_tools.network_server import NetworkServer, PortInUse
from zaehlwerk_tools.network_server.api_keys import ApiKeys
from zaehlwerk_tools.network_server.errors import ApiError

UNKNOWN = "00000000-0000-4000-8000-000000000001"


async def refusal(it: Rig, method: str, request: Any, token: str | None = None) -> tuple[str, str]:
    with pytest.raises(aio.AioRpcError) as failed:
        await it.call(method, request, token)
    return failed.value.code().name, failed.value.details() or ""


def requests(it: Rig) -> dict[str, tuple[Any, bool]]:
    """One request for each method, and whether it writes; all are harmless if they are let through twice."""
    registered = it.registered
    eui = it.device.dev_eui
    device = api.Device(
        dev_eui=eui,
        name="x",
        application_id=registered.application_id,
        device_profile_id=registered.profile_id,
    )
    keys = api.DeviceKeys(dev_eui=eui, nwk_key="11" * 16)
    application = api.Application(id=registered.application_id, name="x", tenant_id=registered.tenant_id)
    profile = api.DeviceProfile(id=registered.profile_id, name="x", supports_otaa=True)
    return {
        "TenantService/Get": (api.GetTenantRequest(id=registered.tenant_id), False),
        "ApplicationService/List": (api.ListApplicationsRequest(tenant_id=registered.tenant_id), False),
        "ApplicationService/Get": (api.GetApplicationRequest(id=registered.application_id), False),
        "ApplicationService/Update": (api.UpdateApplicationRequest(application=application), True),
        "DeviceProfileService/List": (api.ListDeviceProfilesRequest(tenant_id=registered.tenant_id), False),
        "DeviceProfileService/Get": (api.GetDeviceProfileRequest(id=registered.profile_id), False),
        "DeviceProfileService/Update": (api.UpdateDeviceProfileRequest(device_profile=profile), True),
        "DeviceService/List": (api.ListDevicesRequest(application_id=registered.application_id), False),
        "DeviceService/Get": (api.GetDeviceRequest(dev_eui=eui), False),
        "DeviceService/GetKeys": (api.GetDeviceKeysRequest(dev_eui=eui), False),
        "DeviceService/GetActivation": (api.GetDeviceActivationRequest(dev_eui=eui), False),
        "DeviceService/GetQueue": (api.GetDeviceQueueItemsRequest(dev_eui=eui), False),
        "DeviceService/Update": (api.UpdateDeviceRequest(device=device), True),
        "DeviceService/UpdateKeys": (api.UpdateDeviceKeysRequest(device_keys=keys), True),
        "DeviceService/FlushDevNonces": (api.FlushDevNoncesRequest(dev_eui=eui), True),
        "DeviceService/Enqueue": (
            api.EnqueueDeviceQueueItemRequest(queue_item=api.DeviceQueueItem(dev_eui=eui, f_port=1)),
            True,
        ),
        "DeviceService/FlushQueue": (api.FlushDeviceQueueRequest(dev_eui=eui), True),
        "DeviceService/Deactivate": (api.DeactivateDeviceRequest(dev_eui=eui), True),
    }


async def test_a_key_may_do_what_its_tenant_and_its_kind_allow() -> None:
    async with joined_rig() as it:
        own = it.server.tenant_key(it.registered.tenant_id)
        reading = it.server.tenant_key(it.registered.tenant_id, read_only=True)
        other = await it.call(
            "TenantService/Create", api.CreateTenantRequest(tenant=api.Tenant(name="Other"))
        )
        foreign = it.server.tenant_key(other.id)
        for method, (request, writes) in requests(it).items():
            assert await refusal(it, method, request, "") == ("UNAUTHENTICATED", "no authorization provided")
            assert await refusal(it, method, request, foreign) == ("UNAUTHENTICATED", ""), method
            if writes:
                assert await refusal(it, method, request, reading) == ("UNAUTHENTICATED", ""), method
            else:
                await it.call(method, request, reading)
            await it.call(method, request, own)
            await it.call(method, request)


async def test_only_an_admins_key_may_list_or_change_tenants() -> None:
    async with joined_rig() as it:
        own = it.server.tenant_key(it.registered.tenant_id)
        tenant = api.Tenant(id=it.registered.tenant_id, name="x")
        for method, request in (
            ("TenantService/List", api.ListTenantsRequest(limit=10)),
            ("TenantService/Create", api.CreateTenantRequest(tenant=tenant)),
            ("TenantService/Update", api.UpdateTenantRequest(tenant=tenant)),
            ("TenantService/Delete", api.DeleteTenantRequest(id=tenant.id)),
        ):
            assert await refusal(it, method, request, own) == ("UNAUTHENTICATED", "")
            await it.call(method, request)


async def test_no_key_may_make_keys_or_ask_for_the_version() -> None:
    async with rig() as it:
        key = api.ApiKey(name="x", is_admin=True)
        request = api.CreateApiKeyRequest(api_key=key)
        assert await refusal(it, "InternalService/CreateApiKey", request) == ("UNAUTHENTICATED", "")


@pytest.mark.parametrize(
    ("token", "details"),
    [
        ("abc", "InvalidToken"),
        ("a.b.c", "InvalidToken"),
        ("!.!.!", "InvalidToken"),
        ("e30.e30.e30", "InvalidToken"),
    ],
)
def test_what_is_no_token_is_refused(token: str, details: str) -> None:
    keys = ApiKeys(b"secret", lambda: UNKNOWN)
    with pytest.raises(ApiError) as refused:
        keys.caller(f"Bearer {token}")
    assert refused.value.details == details


def test_a_token_is_good_only_for_the_server_that_made_it() -> None:
    mine, other = ApiKeys(b"mine", lambda: UNKNOWN), ApiKeys(b"other", lambda: UNKNOWN)
    token = mine.create(None)
    assert mine.caller(f"Bearer {token}").key_id == UNKNOWN
    with pytest.raises(ApiError, match="InvalidSignature"):
        other.caller(f"Bearer {token}")
    with pytest.raises(ApiError, match="must be in format"):
        mine.caller(token)


async def test_what_does_not_exist_is_not_found() -> None:
    async with rig() as it:
        details = f"Object does not exist (id: {UNKNOWN})"
        for method, request in (
            ("TenantService/Get", api.GetTenantRequest(id=UNKNOWN)),
            ("TenantService/Delete", api.DeleteTenantRequest(id=UNKNOWN)),
            ("ApplicationService/Get", api.GetApplicationRequest(id=UNKNOWN)),
            ("ApplicationService/Delete", api.DeleteApplicationRequest(id=UNKNOWN)),
            ("DeviceProfileService/Get", api.GetDeviceProfileRequest(id=UNKNOWN)),
            ("DeviceProfileService/Delete", api.DeleteDeviceProfileRequest(id=UNKNOWN)),
        ):
            assert await refusal(it, method, request) == ("NOT_FOUND", details)
        eui = "70b3d57ed00000ff"
        for method, request in (
            ("DeviceService/Delete", api.DeleteDeviceRequest(dev_eui=eui)),
            ("DeviceService/GetActivation", api.GetDeviceActivationRequest(dev_eui=eui)),
            ("DeviceService/DeleteKeys", api.DeleteDeviceKeysRequest(dev_eui=eui)),
        ):
            assert await refusal(it, method, request) == (
                "NOT_FOUND",
                f"Object does not exist (id: {eui})",
            )


@pytest.mark.parametrize(
    ("eui", "details"),
    [
        ("70b3d57ed000000", "Odd number of digits"),
        ("70b3d57ed00000", "Invalid string length"),
        ("70b3d57ed00000zz", "Invalid character 'z' at position 14"),
    ],
)
async def test_a_malformed_eui_is_an_internal_error(eui: str, details: str) -> None:
    async with rig() as it:
        request = api.GetDeviceRequest(dev_eui=eui)
        assert await refusal(it, "DeviceService/Get", request) == ("INTERNAL", details)


async def test_a_malformed_uuid_is_an_invalid_argument() -> None:
    async with rig() as it:
        for text in ("", "x", "z" * 36):
            request = api.GetApplicationRequest(id=text)
            assert (await refusal(it, "ApplicationService/Get", request))[0] == "INVALID_ARGUMENT"


async def test_an_empty_eui_or_key_is_silently_all_zeros() -> None:
    async with joined_rig() as it:
        device = api.Device(
            name="zeros",
            application_id=it.registered.application_id,
            device_profile_id=it.registered.profile_id,
        )
        await it.call("DeviceService/Create", api.CreateDeviceRequest(device=device))
        await it.call("DeviceService/CreateKeys", api.CreateDeviceKeysRequest(device_keys=api.DeviceKeys()))
        got = await it.call("DeviceService/GetKeys", api.GetDeviceKeysRequest(dev_eui="0" * 16))
        assert got.device_keys.nwk_key == "0" * 32


async def test_a_wrong_key_does_not_come_back_in_the_error() -> None:
    async with joined_rig() as it:
        for key in ("5ec4e7" * 6, "5ec4e7" * 5):
            keys = api.DeviceKeys(dev_eui=it.device.dev_eui, nwk_key=key)
            request = api.UpdateDeviceKeysRequest(device_keys=keys)
            code, details = await refusal(it, "DeviceService/UpdateKeys", request)
            assert (code, "5ec4e7" in details) == ("INTERNAL", False)


async def test_names_and_references_are_checked() -> None:
    async with joined_rig() as it:
        unnamed = ("INVALID_ARGUMENT", "Validation error: name is not set")
        application = api.Application(tenant_id=it.registered.tenant_id)
        request = api.CreateApplicationRequest(application=application)
        assert await refusal(it, "ApplicationService/Create", request) == unnamed
        assert (
            await refusal(it, "TenantService/Create", api.CreateTenantRequest(tenant=api.Tenant())) == unnamed
        )
        request.application.name, request.application.tenant_id = "x", UNKNOWN
        foreign_key = ("INTERNAL", "FOREIGN KEY constraint failed")
        assert await refusal(it, "ApplicationService/Create", request) == foreign_key
        device = api.Device(
            dev_eui="70b3d57ed00000ff",
            name="x",
            application_id=it.registered.application_id,
            device_profile_id=UNKNOWN,
        )
        create = api.CreateDeviceRequest(device=device)
        assert await refusal(it, "DeviceService/Create", create) == foreign_key
        keys = api.CreateDeviceKeysRequest(device_keys=api.DeviceKeys(dev_eui="70b3d57ed00000ff"))
        assert await refusal(it, "DeviceService/CreateKeys", keys) == foreign_key
        assert await refusal(it, "DeviceService/Create", api.CreateDeviceRequest()) == (
            "INVALID_ARGUMENT",
            "device is missing",
        )


async def test_lists_are_paged_searched_and_counted() -> None:
    async with joined_rig() as it:
        for number in range(7):
            device = api.Device(
                dev_eui=f"70b3d57ed00001{number:02x}",
                name=f"Bridge {number}",
                application_id=it.registered.application_id,
                device_profile_id=it.registered.profile_id,
                tags={"works": str(number % 2)},
            )
            await it.call("DeviceService/Create", api.CreateDeviceRequest(device=device))

        async def listed(**request: Any) -> tuple[int, list[str]]:
            request = {"application_id": it.registered.application_id, "limit": 100, **request}
            answer = await it.call("DeviceService/List", api.ListDevicesRequest(**request))
            return answer.total_count, [entry.name for entry in answer.result]

        everything = [*(f"Bridge {n}" for n in range(7)), "Hafenstraße"]
        assert await listed() == (8, everything)
        assert await listed(limit=0) == (8, [])
        assert await listed(limit=3, offset=6) == (8, everything[6:])
        assert await listed(search="bridge 3") == (1, ["Bridge 3"])
        assert await listed(search="0104") == (1, ["Bridge 4"])
        assert await listed(tags={"works": "1"}) == (3, ["Bridge 1", "Bridge 3", "Bridge 5"])
        assert await listed(device_profile_id=UNKNOWN) == (0, [])


async def test_what_is_removed_takes_what_belongs_to_it() -> None:
    async with joined_rig() as it:
        await it.call("TenantService/Delete", api.DeleteTenantRequest(id=it.registered.tenant_id))
        for method, request in (
            ("DeviceService/Get", api.GetDeviceRequest(dev_eui=it.device.dev_eui)),
            ("ApplicationService/Get", api.GetApplicationRequest(id=it.registered.application_id)),
            ("DeviceProfileService/Get", api.GetDeviceProfileRequest(id=it.registered.profile_id)),
        ):
            assert (await refusal(it, method, request))[0] == "NOT_FOUND"


async def test_no_call_is_pending_when_all_are_answered() -> None:
    async with joined_rig() as it:
        await it.enqueue(b"x")
        await refusal(it, "DeviceService/Get", api.GetDeviceRequest(dev_eui="x"))
        # The caller may hear of a refusal a moment before the server is done with the call.
        await until(lambda: it.server.pending_work == 0)


async def test_a_port_in_use_is_named() -> None:
    async with rig() as it:
        other = NetworkServer(it.scheduler, it.transmit, seed=1)
        port = int(it.channel_port)
        with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
            await other.start(port=port)


async def test_what_is_not_served_says_so() -> None:
    async with rig() as it:
        stub = api.MulticastGroupServiceStub(it.channel)
        with pytest.raises(aio.AioRpcError) as failed:
            await stub.List(api.ListMulticastGroupsRequest(), metadata=it.metadata())
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
