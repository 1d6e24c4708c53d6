"""TenantService."""

from __future__ import annotations

from chirpstack_api.api import tenant_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.errors import invalid
from zaehlwerk_tools.network_server.identifiers import uuid_text
from zaehlwerk_tools.network_server.network import Network
from zaehlwerk_tools.network_server.registry import Tenant

from .times import to_timestamp


class TenantService:
    """Tenants. Only an admin key may list, create or change them."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def create(
        self, request: tenant_pb2.CreateTenantRequest, caller: Caller
    ) -> tenant_pb2.CreateTenantResponse:
        """Create a tenant."""
        if not request.HasField("tenant"):
            raise invalid("tenant is missing")
        caller.require_admin(write=True)
        now = self._network.scheduler.now_ns
        tenant = _tenant(self._network.identities.uuid("tenant"), request.tenant, now, now)
        self._network.registry.add_tenant(tenant)
        return tenant_pb2.CreateTenantResponse(id=tenant.id)

    def get(self, request: tenant_pb2.GetTenantRequest, caller: Caller) -> tenant_pb2.GetTenantResponse:
        """A tenant by its id."""
        tenant_id = uuid_text(request.id)
        caller.require(tenant_id, write=False)
        tenant = self._network.registry.tenant(tenant_id)
        return tenant_pb2.GetTenantResponse(
            tenant=tenant_pb2.Tenant(
                id=tenant.id,
                name=tenant.name,
                description=tenant.description,
                can_have_gateways=tenant.can_have_gateways,
                max_device_count=tenant.max_device_count,
                max_gateway_count=tenant.max_gateway_count,
                tags=tenant.tags,
            ),
            created_at=to_timestamp(tenant.created_ns),
            updated_at=to_timestamp(tenant.updated_ns),
        )

    def update(self, request: tenant_pb2.UpdateTenantRequest, caller: Caller) -> Empty:
        """Change a tenant."""
        if not request.HasField("tenant"):
            raise invalid("tenant is missing")
        tenant_id = uuid_text(request.tenant.id)
        caller.require_admin(write=True)
        created = self._network.registry.tenant(tenant_id).created_ns
        now = self._network.scheduler.now_ns
        self._network.registry.add_tenant(_tenant(tenant_id, request.tenant, created, now))
        return Empty()

    def delete(self, request: tenant_pb2.DeleteTenantRequest, caller: Caller) -> Empty:
        """Delete a tenant and all that belongs to it."""
        tenant_id = uuid_text(request.id)
        caller.require_admin(write=True)
        self._network.registry.remove_tenant(tenant_id)
        return Empty()

    def list(self, request: tenant_pb2.ListTenantsRequest, caller: Caller) -> tenant_pb2.ListTenantsResponse:
        """Tenants by name; `limit` 0 gives their number only."""
        caller.require_admin(write=False)
        search = request.search.lower()
        tenants = sorted(
            (t for t in self._network.registry.tenants.values() if search in t.name.lower()),
            key=lambda t: (t.name, t.id),
        )
        return tenant_pb2.ListTenantsResponse(
            total_count=len(tenants),
            result=[
                tenant_pb2.TenantListItem(
                    id=tenant.id,
                    created_at=to_timestamp(tenant.created_ns),
                    updated_at=to_timestamp(tenant.updated_ns),
                    name=tenant.name,
                    can_have_gateways=tenant.can_have_gateways,
                    max_device_count=tenant.max_device_count,
                    max_gateway_count=tenant.max_gateway_count,
                )
                for tenant in tenants[request.offset :][: request.limit]
            ],
        )


def _tenant(tenant_id: str, message: tenant_pb2.Tenant, created_ns: int, updated_ns: int) -> Tenant:
    return Tenant(
        id=tenant_id,
        name=message.name,
        description=message.description,
        can_have_gateways=message.can_have_gateways,
        max_device_count=message.max_device_count,
        max_gateway_count=message.max_gateway_count,
        tags=dict(message.tags),
        created_ns=created_ns,
        updated_ns=updated_ns,
    )
