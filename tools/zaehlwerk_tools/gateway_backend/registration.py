"""The run's gateways and nodes at a real network server: registered under names of their own, and removed again.

Everything carries the name of the run, so that whoever finds it knows what it is, and nothing of anybody else's is touched.
Registering twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from chirpstack_api.api import application_pb2, device_pb2, device_profile_pb2, gateway_pb2, tenant_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.gateway_backend.gateway_stats import INTERVAL_S
from zaehlwerk_tools.gateway_backend.identity import RunIdentity
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError, ServerApi
from zaehlwerk_tools.provisioning import Node, Plan, Profile, ProvisioningError, provision


class Registration:
    """The things of one run at the server. `tenant_id`: a tenant to use; empty: one is made for the run."""

    def __init__(
        self,
        api: ServerApi,
        identity: RunIdentity,
        gateway_ids: Sequence[str],
        nodes: Sequence[Node],
        tenant_id: str = "",
    ) -> None:
        self._api = api
        self._identity = identity
        self._gateway_ids = gateway_ids
        self._nodes = nodes
        self._given_tenant = tenant_id
        self.tenant_id = tenant_id
        self._begun = False

    async def register(self) -> None:
        """Everything there, as planned. Raises NetworkServerError, having left what it made so far: see `remove`."""
        if self._given_tenant:
            await self._require_empty()
        else:
            self.tenant_id = await self._own_tenant()
        self._begun = True
        for number, gateway_id in enumerate(self._gateway_ids, 1):
            await self._gateway(number, gateway_id)
        plan = Plan(
            self._identity.name,
            self._nodes,
            tenant_id=self.tenant_id,
            profile=Profile(self._identity.name),
        )
        try:
            await provision(self._api.channel, self._api.token, plan)
        except ProvisioningError as error:
            raise NetworkServerError(f"the nodes cannot be registered: {error}") from error

    async def remove(self) -> list[str]:
        """Removes all that carries the run's name; what could not be removed, in words."""
        left: list[str] = []
        if not self._begun:
            return left
        if self._given_tenant:
            for gateway_id in self._gateway_ids:
                await _attempt(self._remove_gateway(gateway_id), f"gateway {gateway_id}", left)
            await _attempt(self._remove_application(), f"application {self._identity.name}", left)
            await _attempt(self._remove_profile(), f"device profile {self._identity.name}", left)
        else:
            await _attempt(self._remove_tenant(), f"tenant {self._identity.name}", left)
        return left

    async def last_seen_ns(self, gateway_id: str) -> int | None:
        """When the server last saw a gateway, by the server's clock, UTC Unix nanoseconds; None: never."""
        request = gateway_pb2.GetGatewayRequest(gateway_id=gateway_id)
        seen = await self._api.call("GatewayService/Get", request, gateway_pb2.GetGatewayResponse)
        return seen.last_seen_at.ToNanoseconds() if seen.HasField("last_seen_at") else None

    async def _require_empty(self) -> None:
        """A bridge reads, and asks, all devices of its tenant: it must not meet anybody else's."""
        request = application_pb2.ListApplicationsRequest(tenant_id=self.tenant_id)
        entries = self._api.entries(
            "ApplicationService/List", request, application_pb2.ListApplicationsResponse
        )
        async for application in entries:
            if application.name == self._identity.name:
                continue
            devices = await self._api.call(
                "DeviceService/List",
                device_pb2.ListDevicesRequest(application_id=application.id),
                device_pb2.ListDevicesResponse,
            )
            if devices.total_count:
                raise NetworkServerError(
                    f"the tenant {self.tenant_id} has {devices.total_count} devices in its application "
                    f"'{application.name}', which the bridge of this run would read and write to; name a tenant without "
                    "devices, or none and an admin's key"
                )

    async def _own_tenant(self) -> str:
        name = self._identity.name
        found = await self._tenant()
        if found:
            return found
        self._begun = True
        wanted = tenant_pb2.Tenant(
            name=name, description="A simulated city; may be deleted.", can_have_gateways=True
        )
        made = await self._api.call(
            "TenantService/Create",
            tenant_pb2.CreateTenantRequest(tenant=wanted),
            tenant_pb2.CreateTenantResponse,
        )
        return str(made.id)

    async def _tenant(self) -> str | None:
        request = tenant_pb2.ListTenantsRequest(search=self._identity.name)
        async for tenant in self._api.entries("TenantService/List", request, tenant_pb2.ListTenantsResponse):
            if tenant.name == self._identity.name:
                return str(tenant.id)
        return None

    async def _gateway(self, number: int, gateway_id: str) -> None:
        if await self._has_gateway(gateway_id):
            return
        gateway = gateway_pb2.Gateway(
            gateway_id=gateway_id,
            name=f"{self._identity.name} {number}",
            description="A virtual gateway; may be deleted.",
            tenant_id=self.tenant_id,
            stats_interval=INTERVAL_S,
        )
        request = gateway_pb2.CreateGatewayRequest(gateway=gateway)
        await self._api.call("GatewayService/Create", request, Empty)

    async def _has_gateway(self, gateway_id: str) -> bool:
        # Asking for one that is not there would fail as UNAUTHENTICATED with a tenant's key.
        request = gateway_pb2.ListGatewaysRequest(tenant_id=self.tenant_id, search=self._identity.name)
        entries = self._api.entries("GatewayService/List", request, gateway_pb2.ListGatewaysResponse)
        return gateway_id in [gateway.gateway_id async for gateway in entries]

    async def _remove_tenant(self) -> None:
        tenant_id = await self._tenant()
        if tenant_id:  # with it go its gateways, applications, profiles and devices
            await self._api.find("TenantService/Delete", tenant_pb2.DeleteTenantRequest(id=tenant_id), Empty)

    async def _remove_gateway(self, gateway_id: str) -> None:
        if await self._has_gateway(gateway_id):
            request = gateway_pb2.DeleteGatewayRequest(gateway_id=gateway_id)
            await self._api.find("GatewayService/Delete", request, Empty)

    async def _remove_application(self) -> None:
        request = application_pb2.ListApplicationsRequest(
            tenant_id=self.tenant_id, search=self._identity.name
        )
        response = application_pb2.ListApplicationsResponse
        async for application in self._api.entries("ApplicationService/List", request, response):
            if application.name == self._identity.name:
                delete = application_pb2.DeleteApplicationRequest(id=application.id)
                await self._api.find("ApplicationService/Delete", delete, Empty)

    async def _remove_profile(self) -> None:
        request = device_profile_pb2.ListDeviceProfilesRequest(
            tenant_id=self.tenant_id, search=self._identity.name
        )
        response = device_profile_pb2.ListDeviceProfilesResponse
        async for profile in self._api.entries("DeviceProfileService/List", request, response):
            if profile.name == self._identity.name:
                delete = device_profile_pb2.DeleteDeviceProfileRequest(id=profile.id)
                await self._api.find("DeviceProfileService/Delete", delete, Empty)


async def _attempt(removal: Awaitable[None], what: str, left: list[str]) -> None:
    try:
        await removal
    except NetworkServerError as error:
        left.append(f"{what} ({error})")
