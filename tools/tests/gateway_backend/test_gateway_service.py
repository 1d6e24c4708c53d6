"""The stand-in's GatewayService, with the rights and refusals that ChirpStack's source gives it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from chirpstack_api import api
from grpc import aio

from tools.tests.network_server.rig import NEAR, Rig, rig


def gateway(of_tenant: str, **more: Any) -> api.Gateway:
    return api.Gateway(
        **{"gateway_id": NEAR, "name": "near", "tenant_id": of_tenant, "stats_interval": 30, **more}
    )


async def create(it: Rig, token: str | None = None, **more: Any) -> None:
    made = gateway(it.registered.tenant_id, **more)
    await it.call("GatewayService/Create", api.CreateGatewayRequest(gateway=made), token)


async def refusal(it: Rig, method: str, request: Any, token: str | None = None) -> tuple[str, str]:
    with pytest.raises(aio.AioRpcError) as failed:
        await it.call(f"GatewayService/{method}", request, token)
    return failed.value.code().name, failed.value.details() or ""


async def test_a_gateway_is_as_it_was_made_and_changed() -> None:
    async with rig() as it:
        await it.provision()
        await create(it, tags={"roof": "town hall"}, location={"latitude": 49.44, "longitude": 7.77})
        request = api.GetGatewayRequest(gateway_id=NEAR.upper())
        made = (await it.call("GatewayService/Get", request)).gateway
        assert (made.name, made.stats_interval, made.downlink_priority) == ("near", 30, 10)
        assert (dict(made.tags), made.location.latitude) == ({"roof": "town hall"}, 49.44)
        made.name = "renamed"
        await it.call("GatewayService/Update", api.UpdateGatewayRequest(gateway=made))
        assert (await it.call("GatewayService/Get", request)).gateway.name == "renamed"
        await it.call("GatewayService/Delete", api.DeleteGatewayRequest(gateway_id=NEAR))
        assert await refusal(it, "Get", request) == ("NOT_FOUND", f"Object does not exist (id: {NEAR})")


async def test_a_gateway_is_listed_by_tenant_and_by_name_and_shows_its_state() -> None:
    async with rig() as it:
        await it.provision()
        await create(it)
        tenant_id = it.registered.tenant_id

        async def listed(**more: Any) -> list[tuple[str, int]]:
            request = api.ListGatewaysRequest(limit=10, **more)
            found = await it.call("GatewayService/List", request)
            assert found.total_count == len(found.result)
            return [(one.gateway_id, one.state) for one in found.result]

        assert await listed() == await listed(tenant_id=tenant_id, search="NEA") == [(NEAR, api.NEVER_SEEN)]
        assert await listed(search=NEAR) == [], "only names are searched"
        it.server.gateway_seen(NEAR, {})
        it.scheduler.run_for(60)
        assert await listed() == [(NEAR, api.ONLINE)]
        it.scheduler.run_for(1)
        assert await listed() == [(NEAR, api.OFFLINE)]


@pytest.mark.parametrize(
    ("changes", "code", "details"),
    [
        ({}, "INTERNAL", "UNIQUE constraint failed: gateway.gateway_id"),
        ({"name": ""}, "INVALID_ARGUMENT", "Validation error: name is not set"),
        ({"gateway_id": "xyz"}, "INTERNAL", "Odd number of digits"),
        ({"tenant_id": "x"}, "INVALID_ARGUMENT", "invalid length: found 1"),
    ],
)
async def test_a_gateway_that_cannot_be_is_refused(changes: dict[str, str], code: str, details: str) -> None:
    async with rig() as it:
        await it.provision()
        await create(it)
        request = api.CreateGatewayRequest(gateway=gateway(it.registered.tenant_id, **changes))
        assert await refusal(it, "Create", request) == (code, details)


async def test_a_tenant_has_no_more_gateways_than_it_may() -> None:
    async with rig() as it:
        await it.provision()
        for limits, text in (
            ({"can_have_gateways": False}, "Not allowed (Tenant can not have gateways)"),
            (
                {"can_have_gateways": True, "max_gateway_count": 1},
                "Not allowed (Max number of gateways exceeded for tenant)",
            ),
        ):
            tenant = api.Tenant(name=f"{limits}", **limits)
            made = await it.call("TenantService/Create", api.CreateTenantRequest(tenant=tenant))
            if limits["can_have_gateways"]:
                first = gateway(made.id, gateway_id="0102030405060710")
                await it.call("GatewayService/Create", api.CreateGatewayRequest(gateway=first))
            request = api.CreateGatewayRequest(gateway=gateway(made.id))
            assert await refusal(it, "Create", request) == ("INVALID_ARGUMENT", text)


async def test_a_tenants_key_sees_its_own_gateways_and_of_others_not_even_that_they_are_none() -> None:
    async with rig() as it:
        await it.provision()
        await create(it)
        own = it.server.tenant_key(it.registered.tenant_id)
        reading = it.server.tenant_key(it.registered.tenant_id, read_only=True)
        stranger = await it.call(
            "TenantService/Create", api.CreateTenantRequest(tenant=api.Tenant(name="Other"))
        )
        other = it.server.tenant_key(stranger.id)
        get = api.GetGatewayRequest(gateway_id=NEAR)
        for key in (own, reading):
            assert (await it.call("GatewayService/Get", get, key)).gateway.name == "near"
        assert await refusal(it, "Get", get, other) == ("UNAUTHENTICATED", "")
        unknown = api.GetGatewayRequest(gateway_id="ff" * 8)
        assert await refusal(it, "Get", unknown, own) == ("UNAUTHENTICATED", "")
        delete = api.DeleteGatewayRequest(gateway_id=NEAR)
        for key in (reading, other):
            assert await refusal(it, "Delete", delete, key) == ("UNAUTHENTICATED", "")
        assert await refusal(it, "List", api.ListGatewaysRequest(), own) == ("UNAUTHENTICATED", "")
        request = api.CreateGatewayRequest(gateway=gateway(it.registered.tenant_id, gateway_id="ff" * 8))
        assert await refusal(it, "Create", request, reading) == ("UNAUTHENTICATED", "")
        await it.call("GatewayService/Create", request, own)


async def test_gateways_go_with_their_tenant() -> None:
    async with rig() as it:
        await it.provision()
        await create(it)
        request = api.DeleteTenantRequest(id=it.registered.tenant_id)
        await it.call("TenantService/Delete", request)
        assert (await it.call("GatewayService/List", api.ListGatewaysRequest())).total_count == 0
        assert not it.server.knows_gateway(NEAR)


async def test_an_update_without_a_name_or_a_priority_is_refused() -> None:
    async with rig() as it:
        await it.provision()
        await create(it)
        for changes, text in (
            ({"name": ""}, "Validation error: name is not set"),
            ({}, "Validation error: downlink_priority must be > 0"),
        ):
            request = api.UpdateGatewayRequest(gateway=gateway(it.registered.tenant_id, **changes))
            code, details = await refusal(it, "Update", request)
            assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT.name, text)
