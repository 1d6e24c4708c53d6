"""A run is registered under names of its own, twice without effect, and leaves nothing of itself and all of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from chirpstack_api import api

from tools.tests.network_server.rig import Rig, rig
from zaehlwerk_tools.gateway_backend.addresses import ApiAddress
from zaehlwerk_tools.gateway_backend.identity import NAME_PREFIX, RunIdentity
from zaehlwerk_tools.gateway_backend.registration import Registration
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError, ServerApi
from zaehlwerk_tools.provisioning import Node

IDENTITY = RunIdentity("3fa9c1")
GATEWAYS = [IDENTITY.gateway_id(1), IDENTITY.gateway_id(2)]
KEY = bytes(range(1, 17))


def nodes(identity: RunIdentity = IDENTITY) -> list[Node]:
    return [Node(identity.dev_eui(number), f"station {number}", KEY) for number in (1, 2)]


@dataclass
class Server:
    """A server on which somebody else is already, and a run's registration there."""

    rig: Rig
    api: ServerApi

    def registration(self, tenant_id: str = "", identity: RunIdentity = IDENTITY) -> Registration:
        gateways = [identity.gateway_id(1), identity.gateway_id(2)]
        return Registration(self.api, identity, gateways, nodes(identity), tenant_id)

    async def names(self, method: str, request: Any) -> list[str]:
        request.limit = 100
        return [entry.name for entry in (await self.rig.call(method, request)).result]

    async def everything(self) -> dict[str, list[str]]:
        """The names of all that is there, of all tenants."""
        found = {
            "tenants": await self.names("TenantService/List", api.ListTenantsRequest()),
            "gateways": await self.names("GatewayService/List", api.ListGatewaysRequest()),
        }
        tenants = await self.rig.call("TenantService/List", api.ListTenantsRequest(limit=100))
        for tenant in tenants.result:
            for what, method, request in (
                ("applications", "ApplicationService/List", api.ListApplicationsRequest(tenant_id=tenant.id)),
                (
                    "profiles",
                    "DeviceProfileService/List",
                    api.ListDeviceProfilesRequest(tenant_id=tenant.id),
                ),
            ):
                found.setdefault(what, []).extend(await self.names(method, request))
        return found

    async def tenant(self, name: str, **more: Any) -> str:
        tenant = api.Tenant(name=name, can_have_gateways=True, **more)
        made = await self.rig.call("TenantService/Create", api.CreateTenantRequest(tenant=tenant))
        return str(made.id)


@asynccontextmanager
async def server(token: str | None = None) -> AsyncIterator[Server]:
    async with rig() as it:
        await it.provision()
        address = ApiAddress("127.0.0.1", it.channel_port)
        async with ServerApi(address, it.server.admin_key if token is None else token) as calls:
            yield Server(it, calls)


def test_names_and_euis_of_a_run_tell_it_from_all_others() -> None:
    other = RunIdentity.drawn()
    assert IDENTITY.name == "zaehlwerk-simulation-3fa9c1"
    assert other.name.startswith(NAME_PREFIX)
    assert IDENTITY.dev_eui(23) == "025a573fa9c10017"
    assert IDENTITY.gateway_id(1) == "025a573fa9c1ff01"
    assert int(IDENTITY.dev_eui(1)[:2], 16) & 0x03 == 0x02, "locally administered, and no group address"
    assert other.dev_eui(1) != RunIdentity.drawn().dev_eui(1)


async def test_everything_is_there_afterwards_and_all_of_it_is_named_after_the_run() -> None:
    async with server() as it:
        before = await it.everything()
        registration = it.registration()
        await registration.register()
        after = await it.everything()
        new = {
            what: [name for name in names if name not in before.get(what, [])]
            for what, names in after.items()
        }
        assert new == {
            "tenants": [IDENTITY.name],
            "gateways": [f"{IDENTITY.name} 1", f"{IDENTITY.name} 2"],
            "applications": [IDENTITY.name],
            "profiles": [IDENTITY.name],
        }
        gateway = await it.rig.call("GatewayService/Get", api.GetGatewayRequest(gateway_id=GATEWAYS[0]))
        assert gateway.gateway.tenant_id == registration.tenant_id
        assert gateway.gateway.stats_interval == 30
        for node in nodes():
            keys = await it.rig.call("DeviceService/GetKeys", api.GetDeviceKeysRequest(dev_eui=node.dev_eui))
            assert keys.device_keys.nwk_key == KEY.hex()


async def test_registering_twice_changes_nothing() -> None:
    async with server() as it:
        await it.registration().register()
        once = await it.everything()
        again = it.registration()
        await again.register()
        assert await it.everything() == once


async def test_removing_leaves_what_was_there_before() -> None:
    async with server() as it:
        await it.tenant(f"{IDENTITY.name} of somebody else")
        before = await it.everything()
        registration = it.registration()
        await registration.register()
        assert await registration.remove() == []
        assert await it.everything() == before
        assert await registration.remove() == [], "twice does no harm"


@pytest.mark.parametrize("admin", [True, False])
async def test_a_tenant_that_was_given_stays_with_all_that_is_not_the_runs(admin: bool) -> None:
    async with server() as it:
        tenant_id = await it.tenant("Somebody's")
        token = it.rig.server.admin_key if admin else it.rig.server.tenant_key(tenant_id)
        theirs = f"{IDENTITY.name} of somebody else"
        application = api.Application(name=theirs, tenant_id=tenant_id)
        await it.rig.call("ApplicationService/Create", api.CreateApplicationRequest(application=application))
        profile = api.DeviceProfile(name=theirs, tenant_id=tenant_id)
        await it.rig.call(
            "DeviceProfileService/Create", api.CreateDeviceProfileRequest(device_profile=profile)
        )
        before = await it.everything()
        async with ServerApi(it.api.address, token) as calls:
            registration = Registration(calls, IDENTITY, GATEWAYS, nodes(), tenant_id)
            await registration.register()
            await registration.register()
            assert registration.tenant_id == tenant_id
            assert len((await it.everything())["gateways"]) == 2
            assert await registration.remove() == []
        assert await it.everything() == before


async def test_a_tenant_with_devices_of_others_is_not_used() -> None:
    async with server() as it:
        before = await it.everything()
        registration = it.registration(it.rig.registered.tenant_id)
        with pytest.raises(NetworkServerError, match="has 1 devices in its application 'Counters'"):
            await registration.register()
        assert await registration.remove() == []
        assert await it.everything() == before


async def test_two_runs_do_not_get_in_each_others_way() -> None:
    async with server() as it:
        other = it.registration(identity=RunIdentity("00000a"))
        await other.register()
        with_other = await it.everything()
        registration = it.registration()
        await registration.register()
        await registration.remove()
        assert await it.everything() == with_other


async def test_what_failed_half_way_is_removed_too() -> None:
    async with server() as it:
        before = await it.everything()
        registration = Registration(it.api, IDENTITY, GATEWAYS, [Node("not an EUI", "x", KEY)])
        with pytest.raises(
            NetworkServerError, match=r"the nodes cannot be registered: .*16 hexadecimal digits"
        ):
            await registration.register()
        assert (await it.everything())["gateways"] != before["gateways"]
        assert await registration.remove() == []
        assert await it.everything() == before


async def test_what_cannot_be_removed_is_named() -> None:
    async with server() as it:
        registration = it.registration()
        await registration.register()
        it.rig.server.outage(True)
        (left,) = await registration.remove()
        assert left.startswith(f"tenant {IDENTITY.name} (the network server's API at")


async def test_a_tenant_without_gateways_is_told() -> None:
    async with server() as it:
        tenant = api.Tenant(name="None allowed")
        made = await it.rig.call("TenantService/Create", api.CreateTenantRequest(tenant=tenant))
        with pytest.raises(NetworkServerError, match="Tenant can not have gateways"):
            await it.registration(str(made.id)).register()


async def test_a_gateway_that_was_never_seen_has_no_time() -> None:
    async with server() as it:
        registration = it.registration()
        await registration.register()
        assert await registration.last_seen_ns(GATEWAYS[0]) is None
        it.rig.server.gateway_seen(GATEWAYS[0], {})
        assert await registration.last_seen_ns(GATEWAYS[0]) == it.rig.scheduler.now_ns


async def refused(it: Server, token: str, tenant_id: str = "") -> str:
    async with ServerApi(it.api.address, token) as calls:
        registration = Registration(calls, IDENTITY, GATEWAYS, nodes(), tenant_id)
        with pytest.raises(NetworkServerError) as error:
            await registration.register()
        assert await registration.remove() == [], "nothing was begun"
    assert token not in str(error.value)
    return str(error.value)


async def test_a_wrong_key_is_told_by_its_file() -> None:
    async with server() as it:
        assert "does not accept the API key (InvalidToken); check --api-key-file" in await refused(
            it, "wrong"
        )


async def test_a_tenants_key_without_its_tenant_is_told() -> None:
    async with server() as it:
        key = it.rig.server.tenant_key(await it.tenant("Own"))
        assert "that of the tenant which --tenant-id names" in await refused(it, key)


async def test_a_key_that_may_only_read_is_told() -> None:
    async with server() as it:
        tenant_id = await it.tenant("Own")
        key = it.rig.server.tenant_key(tenant_id, read_only=True)
        async with ServerApi(it.api.address, key) as calls:
            with pytest.raises(NetworkServerError, match="takes a writable key"):
                await Registration(calls, IDENTITY, GATEWAYS, nodes(), tenant_id).register()


async def test_a_server_that_is_not_there_is_told() -> None:
    async with server() as it:
        port = it.api.address.port
        await it.rig.server.stop()
        told = await refused(it, "any")
    assert told.startswith(f"the network server's API at 127.0.0.1:{port} cannot be reached")
    assert "check --api-url" in told


async def test_a_server_that_wants_another_scheme_is_told() -> None:
    async with server() as it:
        address = ApiAddress("127.0.0.1", it.api.address.port, tls=True)
        async with ServerApi(address, "any") as calls:
            with pytest.raises(NetworkServerError, match="check --api-url, and --ca-file"):
                await Registration(calls, IDENTITY, GATEWAYS, nodes()).register()
