"""Which devices there are: every device of every application of the tenants."""

from dataclasses import dataclass

import grpc.aio
from chirpstack_api import api

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.sources.connection import Connection, describe

PAGE = 100
_MOST_PAGES = 10_000


class DiscoveryError(Exception):
    """The devices could not be listed; the text says at which request and why. What is known of them stays valid."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the server lists it."""

    dev_eui: str  # lower case
    name: str
    application_id: str
    last_seen_ms: int | None  # milliseconds of UTC Unix time of its last uplink by the server's clock


async def list_devices(connection: Connection, channel: grpc.aio.Channel) -> dict[str, Device]:
    """Return all devices of the tenants in the settings, by DevEUI.

    Raises DiscoveryError unless every page was read: an incomplete list must not look like removed devices.
    """
    devices: dict[str, Device] = {}
    for tenant in connection.settings.tenants:
        for application in await list_applications(connection, channel, tenant):
            for device in await _application_devices(connection, channel, application):
                devices[device.dev_eui] = device
    return devices


async def list_applications(connection: Connection, channel: grpc.aio.Channel, tenant: str) -> list[str]:
    """Return the ids of a tenant's applications. Raises DiscoveryError."""
    stub = api.ApplicationServiceStub(channel)  # type: ignore[no-untyped-call]
    found: list[str] = []
    for _ in range(_MOST_PAGES):
        request = api.ListApplicationsRequest(limit=PAGE, offset=len(found), tenant_id=tenant)
        try:
            answer = await stub.List(
                request, metadata=connection.metadata(), timeout=connection.settings.request_timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise DiscoveryError(f"listing the applications of tenant {tenant}: {describe(error)}") from None
        except SettingsError as error:
            raise DiscoveryError(str(error)) from None
        found += [item.id for item in answer.result]
        if not answer.result or len(found) >= answer.total_count:
            break
    return found


async def _application_devices(
    connection: Connection, channel: grpc.aio.Channel, application: str
) -> list[Device]:
    stub = api.DeviceServiceStub(channel)  # type: ignore[no-untyped-call]
    found: list[Device] = []
    for _ in range(_MOST_PAGES):
        request = api.ListDevicesRequest(limit=PAGE, offset=len(found), application_id=application)
        try:
            answer = await stub.List(
                request, metadata=connection.metadata(), timeout=connection.settings.request_timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise DiscoveryError(
                f"listing the devices of application {application}: {describe(error)}"
            ) from None
        except SettingsError as error:
            raise DiscoveryError(str(error)) from None
        for item in answer.result:
            seen = item.last_seen_at.ToMilliseconds() if item.HasField("last_seen_at") else None
            found.append(Device(item.dev_eui.lower(), item.name, application, seen))
        if not answer.result or len(found) >= answer.total_count:
            break
    return found
