"""GatewayService: what gateways are registered, and when each was last seen."""

from __future__ import annotations

from chirpstack_api.api import gateway_pb2
from chirpstack_api.common import common_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.errors import invalid
from zaehlwerk_tools.network_server.gateway_registry import DEFAULT_DOWNLINK_PRIORITY, Gateway
from zaehlwerk_tools.network_server.identifiers import eui, uuid_text
from zaehlwerk_tools.network_server.network import Network
from zaehlwerk_tools.network_server.scheduler import NS_PER_S

from .times import to_timestamp


class GatewayService:
    """Gateways of a tenant. As with devices, a tenant's key learns nothing of those of others."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def create(self, request: gateway_pb2.CreateGatewayRequest, caller: Caller) -> Empty:
        """Create a gateway."""
        if not request.HasField("gateway"):
            raise invalid("gateway is missing")
        message = request.gateway
        tenant_id = uuid_text(message.tenant_id)
        caller.require(tenant_id, write=True)
        gateway_id = eui(message.gateway_id)
        _require_name(message)
        tenant = self._network.registry.tenant(tenant_id)
        if not tenant.can_have_gateways:
            raise invalid("Not allowed (Tenant can not have gateways)")
        now = self._network.scheduler.now_ns
        gateway = Gateway(
            gateway_id=gateway_id,
            tenant_id=tenant_id,
            name=message.name,
            description=message.description,
            location=_place(message),
            tags=dict(message.tags),
            stats_interval_s=message.stats_interval,
            downlink_priority=message.downlink_priority or DEFAULT_DOWNLINK_PRIORITY,
            created_ns=now,
            updated_ns=now,
        )
        self._network.registry.gateways.add(gateway, tenant.max_gateway_count)
        return Empty()

    def get(self, request: gateway_pb2.GetGatewayRequest, caller: Caller) -> gateway_pb2.GetGatewayResponse:
        """A gateway by its id."""
        gateway = self._gateway(request.gateway_id, caller, write=False)
        return gateway_pb2.GetGatewayResponse(
            gateway=gateway_pb2.Gateway(
                gateway_id=gateway.gateway_id,
                name=gateway.name,
                description=gateway.description,
                location=_location(gateway),
                tenant_id=gateway.tenant_id,
                tags=gateway.tags,
                metadata=gateway.metadata,
                stats_interval=gateway.stats_interval_s,
                downlink_priority=gateway.downlink_priority,
            ),
            created_at=to_timestamp(gateway.created_ns),
            updated_at=to_timestamp(gateway.updated_ns),
            last_seen_at=to_timestamp(gateway.last_seen_ns),
        )

    def update(self, request: gateway_pb2.UpdateGatewayRequest, caller: Caller) -> Empty:
        """Change what is registered of a gateway; it stays with its tenant."""
        if not request.HasField("gateway"):
            raise invalid("gateway is missing")
        message = request.gateway
        gateway = self._gateway(message.gateway_id, caller, write=True)
        _require_name(message)
        if not message.downlink_priority:
            raise invalid("Validation error: downlink_priority must be > 0")
        gateway.name, gateway.description = message.name, message.description
        gateway.location = _place(message)
        gateway.tags = dict(message.tags)
        gateway.stats_interval_s = message.stats_interval
        gateway.downlink_priority = message.downlink_priority
        gateway.updated_ns = self._network.scheduler.now_ns
        return Empty()

    def delete(self, request: gateway_pb2.DeleteGatewayRequest, caller: Caller) -> Empty:
        """Delete a gateway."""
        self._gateway(request.gateway_id, caller, write=True)
        self._network.registry.gateways.remove(eui(request.gateway_id))
        return Empty()

    def list(
        self, request: gateway_pb2.ListGatewaysRequest, caller: Caller
    ) -> gateway_pb2.ListGatewaysResponse:
        """Gateways by name, of a tenant or, for an admin, of all; `limit` 0 gives their number only."""
        tenant_id = uuid_text(request.tenant_id) if request.tenant_id else None
        if tenant_id is None:
            caller.require_admin(write=False)
        else:
            caller.require(tenant_id, write=False)
        search = request.search.lower()
        gateways = sorted(
            (
                g
                for g in self._network.registry.gateways
                if tenant_id in (None, g.tenant_id) and search in g.name.lower()
            ),
            key=lambda g: (g.name, g.gateway_id),
        )
        return gateway_pb2.ListGatewaysResponse(
            total_count=len(gateways),
            result=[self._list_item(gateway) for gateway in gateways[request.offset :][: request.limit]],
        )

    def _gateway(self, gateway_id: str, caller: Caller, *, write: bool) -> Gateway:
        known = eui(gateway_id)
        caller.require(self._network.registry.gateways.tenant_of(known), write=write)
        return self._network.registry.gateways.get(known)

    def _list_item(self, gateway: Gateway) -> gateway_pb2.GatewayListItem:
        return gateway_pb2.GatewayListItem(
            tenant_id=gateway.tenant_id,
            gateway_id=gateway.gateway_id,
            name=gateway.name,
            description=gateway.description,
            location=_location(gateway),
            properties=gateway.metadata,
            created_at=to_timestamp(gateway.created_ns),
            updated_at=to_timestamp(gateway.updated_ns),
            last_seen_at=to_timestamp(gateway.last_seen_ns),
            state=self._state(gateway),
            downlink_priority=gateway.downlink_priority,
        )

    def _state(self, gateway: Gateway) -> gateway_pb2.GatewayState:
        if gateway.last_seen_ns is None:
            return gateway_pb2.NEVER_SEEN
        silent_ns = self._network.scheduler.now_ns - gateway.last_seen_ns
        late = silent_ns > 2 * gateway.stats_interval_s * NS_PER_S
        return gateway_pb2.OFFLINE if late else gateway_pb2.ONLINE


def _require_name(message: gateway_pb2.Gateway) -> None:
    if not message.name:
        raise invalid("Validation error: name is not set")


def _place(message: gateway_pb2.Gateway) -> tuple[float, float, float]:
    where = message.location
    return where.latitude, where.longitude, where.altitude


def _location(gateway: Gateway) -> common_pb2.Location:
    latitude, longitude, altitude = gateway.location
    return common_pb2.Location(latitude=latitude, longitude=longitude, altitude=altitude)
