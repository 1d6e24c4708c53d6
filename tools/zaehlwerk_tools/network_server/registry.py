"""Tenants, applications, device profiles and devices, in memory, with the refusals of ChirpStack's database (SQLite).

Gateways are beside it, in `gateway_registry`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chirpstack_api.api import device_profile_pb2

from .device import Device
from .errors import internal, invalid, not_found
from .gateway_registry import GatewayRegistry


@dataclass
class Tenant:
    """A tenant; times are ns of UTC Unix time, here and below."""

    id: str
    name: str
    description: str
    can_have_gateways: bool
    max_device_count: int
    max_gateway_count: int
    tags: dict[str, str]
    created_ns: int
    updated_ns: int


@dataclass
class Application:
    """An application of a tenant."""

    id: str
    tenant_id: str
    name: str
    description: str
    tags: dict[str, str]
    created_ns: int
    updated_ns: int


@dataclass
class Profile:
    """A device profile: the message as it was sent, of which the LoRaWAN side reads a few fields."""

    id: str
    tenant_id: str
    definition: device_profile_pb2.DeviceProfile
    created_ns: int
    updated_ns: int

    @property
    def name(self) -> str:
        """The profile's name."""
        return str(self.definition.name)

    @property
    def tags(self) -> dict[str, str]:
        """The profile's tags, which are merged into its devices' events."""
        return dict(self.definition.tags)


class Registry:
    """All that has been created over the API. Ids are handed in; objects may be changed in place."""

    def __init__(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.applications: dict[str, Application] = {}
        self.profiles: dict[str, Profile] = {}
        self.devices: dict[str, Device] = {}
        self.gateways = GatewayRegistry()

    def tenant(self, tenant_id: str) -> Tenant:
        """A tenant; ApiError NOT_FOUND."""
        return _get(self.tenants, tenant_id)

    def application(self, application_id: str) -> Application:
        """An application; ApiError NOT_FOUND."""
        return _get(self.applications, application_id)

    def profile(self, profile_id: str) -> Profile:
        """A device profile; ApiError NOT_FOUND."""
        return _get(self.profiles, profile_id)

    def device(self, dev_eui: str) -> Device:
        """A device; ApiError NOT_FOUND."""
        return _get(self.devices, dev_eui)

    def tenant_of(self, dev_eui: str) -> str | None:
        """Id of the tenant that a device belongs to, None for an unknown device."""
        device = self.devices.get(dev_eui)
        return self.applications[device.application_id].tenant_id if device else None

    def add_tenant(self, tenant: Tenant) -> None:
        """Add or replace a tenant; ApiError INVALID_ARGUMENT without a name."""
        _named(tenant.name)
        self.tenants[tenant.id] = tenant

    def add_application(self, application: Application) -> None:
        """Add or replace an application; ApiError INTERNAL for an unknown tenant."""
        _named(application.name)
        _refers(self.tenants, application.tenant_id)
        self.applications[application.id] = application

    def add_profile(self, profile: Profile) -> None:
        """Add or replace a device profile; ApiError INTERNAL for an unknown tenant."""
        _named(profile.name)
        _refers(self.tenants, profile.tenant_id)
        self.profiles[profile.id] = profile

    def add_device(self, device: Device) -> None:
        """Add a device; ApiError INTERNAL if its DevEUI is there already or its profile is unknown."""
        _named(device.name)
        application = _get(self.applications, device.application_id)
        tenant = self.tenants[application.tenant_id]
        if tenant.max_device_count and self._devices_of(tenant.id) >= tenant.max_device_count:
            raise invalid("Not allowed (Max number of devices exceeded for tenant)")
        if device.dev_eui in self.devices:
            raise internal("UNIQUE constraint failed: device.dev_eui")
        _refers(self.profiles, device.profile_id)
        self.devices[device.dev_eui] = device

    def change_device(
        self, dev_eui: str, *, name: str, application_id: str, profile_id: str, now_ns: int
    ) -> Device:
        """Rename a device or move it; ApiError as in `add_device`, NOT_FOUND for an unknown one. The rest is the caller's."""
        device = self.device(dev_eui)
        _named(name)
        _get(self.applications, application_id)
        _refers(self.profiles, profile_id)
        device.name, device.application_id, device.profile_id = name, application_id, profile_id
        device.updated_ns = now_ns
        return device

    def remove_device(self, dev_eui: str) -> None:
        """Remove a device with its keys, session and queue; ApiError NOT_FOUND."""
        self.device(dev_eui)
        del self.devices[dev_eui]

    def remove_application(self, application_id: str) -> None:
        """Remove an application with its devices; ApiError NOT_FOUND."""
        self.application(application_id)
        self._drop_devices(lambda device: device.application_id == application_id)
        del self.applications[application_id]

    def remove_profile(self, profile_id: str) -> None:
        """Remove a device profile with its devices; ApiError NOT_FOUND."""
        self.profile(profile_id)
        self._drop_devices(lambda device: device.profile_id == profile_id)
        del self.profiles[profile_id]

    def remove_tenant(self, tenant_id: str) -> None:
        """Remove a tenant and all that belongs to it; ApiError NOT_FOUND."""
        self.tenant(tenant_id)
        for application in [a for a in self.applications.values() if a.tenant_id == tenant_id]:
            self.remove_application(application.id)
        for profile in [p for p in self.profiles.values() if p.tenant_id == tenant_id]:
            self.remove_profile(profile.id)
        self.gateways.remove_tenant(tenant_id)
        del self.tenants[tenant_id]

    def with_dev_addr(self, dev_addr: int) -> list[Device]:
        """The enabled devices whose session has this DevAddr."""
        return [
            device
            for device in self.devices.values()
            if device.session and device.session.dev_addr == dev_addr and not device.is_disabled
        ]

    def device_info(self, device: Device, *, application_tags: bool = True) -> dict[str, object]:
        """`deviceInfo` of an event. Tags are merged, the device's win; a txack lacks the application's."""
        application = self.applications[device.application_id]
        tenant = self.tenants[application.tenant_id]
        profile = self.profiles[device.profile_id]
        tags = {**(application.tags if application_tags else {}), **profile.tags, **device.tags}
        return {
            "tenantId": tenant.id,
            "tenantName": tenant.name,
            "applicationId": application.id,
            "applicationName": application.name,
            "deviceProfileId": profile.id,
            "deviceProfileName": profile.name,
            "deviceName": device.name,
            "devEui": device.dev_eui,
            "deviceClassEnabled": "CLASS_A",
            "tags": dict(sorted(tags.items())),
        }

    def _devices_of(self, tenant_id: str) -> int:
        return sum(self.applications[d.application_id].tenant_id == tenant_id for d in self.devices.values())

    def _drop_devices(self, drop: Callable[[Device], bool]) -> None:
        self.devices = {eui: device for eui, device in self.devices.items() if not drop(device)}


_T = TypeVar("_T")


def _get(table: dict[str, _T], identity: str) -> _T:
    try:
        return table[identity]
    except KeyError:
        raise not_found(identity) from None


def _refers(table: dict[str, _T], identity: str) -> None:
    if identity not in table:
        raise internal("FOREIGN KEY constraint failed")


def _named(name: str) -> None:
    if not name:
        raise invalid("Validation error: name is not set")
