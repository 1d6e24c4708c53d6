"""The gateways that are registered, with the refusals of ChirpStack's database (SQLite)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import internal, invalid, not_found

DEFAULT_DOWNLINK_PRIORITY = 10


@dataclass
class Gateway:
    """A gateway as created over the API, and what became of it since. Times are ns of UTC Unix time."""

    gateway_id: str
    tenant_id: str
    name: str
    description: str
    location: tuple[float, float, float]
    """Latitude and longitude in degrees, altitude in metres."""
    tags: dict[str, str]
    stats_interval_s: int
    downlink_priority: int
    created_ns: int
    updated_ns: int
    last_seen_ns: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class GatewayRegistry:
    """All gateways by their id, 16 hexadecimal digits in lower case."""

    def __init__(self) -> None:
        self._gateways: dict[str, Gateway] = {}

    def __contains__(self, gateway_id: str) -> bool:
        return gateway_id in self._gateways

    def __iter__(self) -> Iterator[Gateway]:
        return iter(self._gateways.values())

    def get(self, gateway_id: str) -> Gateway:
        """A gateway; ApiError NOT_FOUND."""
        if gateway_id not in self._gateways:
            raise not_found(gateway_id)
        return self._gateways[gateway_id]

    def tenant_of(self, gateway_id: str) -> str | None:
        """Id of the tenant that a gateway belongs to, None for an unknown gateway."""
        gateway = self._gateways.get(gateway_id)
        return gateway.tenant_id if gateway else None

    def add(self, gateway: Gateway, most_of_tenant: int) -> None:
        """Add a gateway; ApiError if it is there already, or its tenant has `most_of_tenant` of them (0: no limit)."""
        owned = sum(other.tenant_id == gateway.tenant_id for other in self)
        if most_of_tenant and owned >= most_of_tenant:
            raise invalid("Not allowed (Max number of gateways exceeded for tenant)")
        if gateway.gateway_id in self._gateways:
            raise internal("UNIQUE constraint failed: gateway.gateway_id")
        self._gateways[gateway.gateway_id] = gateway

    def remove(self, gateway_id: str) -> None:
        """Remove a gateway; ApiError NOT_FOUND."""
        self.get(gateway_id)
        del self._gateways[gateway_id]

    def remove_tenant(self, tenant_id: str) -> None:
        """Remove all gateways of a tenant."""
        self._gateways = {g.gateway_id: g for g in self if g.tenant_id != tenant_id}
