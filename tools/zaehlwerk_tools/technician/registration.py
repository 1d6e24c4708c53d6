"""Registers a unit at ChirpStack: application, device profile, device with its tags, AppKey. Looks first, so twice is once.

Nobody else's device is changed: one of another name or JoinEUI, or with another key, only if its DevEUI is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from chirpstack_api.api import application_pb2, device_pb2, device_profile_pb2, tenant_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools import provisioning
from zaehlwerk_tools.gateway_backend.addresses import AddressError, api_address, read_secret
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError, ServerApi
from zaehlwerk_tools.technician.node_key import NodeKey
from zaehlwerk_tools.technician.place import Place
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.troubles import NotHeardError, NotRegisteredError

_Answer = TypeVar("_Answer")

ASK_S = 2.0
"""Between two looks at whether the node was heard."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the server knew of a node's session and of its last uplink at some moment; compared, never interpreted."""

    dev_addr: str
    last_seen: int


@dataclass(frozen=True, slots=True)
class Registered:
    """What was done. `before`: what the server had heard of the node by then."""

    document: dict[str, Any]
    before: Heard


def register(server: Server, unit: dict[str, Any], place: Place, key: NodeKey) -> Registered:
    """Bring ChirpStack to what `unit` (dev_eui, join_eui, interval_s) and `place` say. Raises NotRegisteredError."""
    return asyncio.run(ask_server(server, lambda api: _register(api, server, unit, place, key)))


def wait_until_heard(server: Server, dev_eui: str, before: Heard) -> dict[str, Any]:
    """Wait for a join or an uplink after `before`, for `server.wait_s`. Raises NotHeardError, NotRegisteredError."""
    return asyncio.run(ask_server(server, lambda api: _wait(api, server, dev_eui, before)))


async def ask_server(server: Server, ask: Callable[[ServerApi], Awaitable[_Answer]]) -> _Answer:
    """What `ask` says with an open line to the server. Raises NotRegisteredError."""
    try:
        address = api_address(server.api_url, ca_file=server.ca_file)
        token = read_secret(server.api_key_file, "--api-key-file")
        async with ServerApi(address, token) as api:
            return await ask(api)
    except (AddressError, NetworkServerError, provisioning.ProvisioningError) as error:
        raise NotRegisteredError(f"not registered: {error}") from None


async def _register(
    api: ServerApi, server: Server, unit: dict[str, Any], place: Place, key: NodeKey
) -> Registered:
    dev_eui, join_eui = unit["dev_eui"], unit["join_eui"]
    may_replace = (server.replace or "").lower() == dev_eui
    tenant_id = server.tenant_id or await only_tenant(api)
    application = await find_application(api, tenant_id, server.application)
    present = None if application is None else await _device(api, application.id, dev_eui)
    if present is not None and not may_replace:
        _require_same(present, place, join_eui)
    node = provisioning.Node(
        dev_eui,
        place.name,
        key.hex,
        {**({} if present is None else present.tags), **place.tags},
        join_eui,
        "" if present is None else present.description,
    )
    plan = provisioning.Plan(
        server.application,
        [node],
        tenant_id=tenant_id,
        profile=await _profile(api, tenant_id),
        application_tags={} if application is None else dict(application.tags),
        replace_keys=may_replace,
    )
    done = await provisioning.provision(api.channel, api.token, plan)
    reset = (server.reset_nonces or "").lower() == dev_eui
    if reset:
        await api.call(
            "DeviceService/FlushDevNonces", device_pb2.FlushDevNoncesRequest(dev_eui=dev_eui), Empty
        )
    document = {
        "result": "registered" if done.created or done.changed or reset else "unchanged",
        "api": str(api.address),
        "tenant_id": done.tenant_id,
        "application_id": done.application_id,
        "device_profile_id": done.profile_id,
        "created": list(done.created),
        "changed": list(done.changed),
        "nonces_reset": reset,
    }
    return Registered(document, await _heard(api, dev_eui))


def _require_same(present: Any, place: Place, join_eui: str) -> None:
    if present.name != place.name:
        raise provisioning.ProvisioningError(
            f"the DevEUI {present.dev_eui} is the device {present.name!r} there, and not {place.name!r}: take the right "
            f"settings, or say --replace {present.dev_eui}"
        )
    if present.join_eui not in ("", join_eui):
        raise provisioning.ProvisioningError(
            f"the device {present.name!r} has the JoinEUI {present.join_eui} there, and not {join_eui}: "
            f"take the right settings, or say --replace {present.dev_eui}"
        )


async def only_tenant(api: ServerApi) -> str:
    """The id of the only tenant there is. Raises ProvisioningError."""
    entries = api.entries(
        "TenantService/List", tenant_pb2.ListTenantsRequest(), tenant_pb2.ListTenantsResponse
    )
    tenants = [tenant async for tenant in entries]
    if len(tenants) == 1:
        return str(tenants[0].id)
    names = ", ".join(f"{tenant.name} ({tenant.id})" for tenant in tenants) or "none"
    raise provisioning.ProvisioningError(f"name the tenant by --tenant-id; there are: {names}")


async def find_application(api: ServerApi, tenant_id: str, name: str) -> Any:
    """The application as it is, None if there is none: its tags stay."""
    request = application_pb2.ListApplicationsRequest(search=name, tenant_id=tenant_id)
    async for entry in api.entries(
        "ApplicationService/List", request, application_pb2.ListApplicationsResponse
    ):
        if entry.name == name:
            get = application_pb2.GetApplicationRequest(id=entry.id)
            found = await api.call("ApplicationService/Get", get, application_pb2.GetApplicationResponse)
            return found.application
    return None


async def _profile(api: ServerApi, tenant_id: str) -> provisioning.Profile:
    """Ours; where it is there already with what an operator may choose as chosen."""
    ours = provisioning.Profile()
    request = device_profile_pb2.ListDeviceProfilesRequest(search=ours.name, tenant_id=tenant_id)
    response = device_profile_pb2.ListDeviceProfilesResponse
    async for entry in api.entries("DeviceProfileService/List", request, response):
        if entry.name == ours.name:
            get = device_profile_pb2.GetDeviceProfileRequest(id=entry.id)
            found: Any = await api.call(
                "DeviceProfileService/Get", get, device_profile_pb2.GetDeviceProfileResponse
            )
            present = found.device_profile
            if present.supports_class_b or present.supports_class_c:
                raise provisioning.ProvisioningError(
                    f"the device profile {ours.name!r} is for class B or C, and the nodes are class A: correct it there"
                )
            return provisioning.Profile(
                uplink_interval_s=present.uplink_interval,
                device_status_req_interval=present.device_status_req_interval,
                adr_algorithm_id=present.adr_algorithm_id,
                flush_queue_on_activate=present.flush_queue_on_activate,
                tags=dict(present.tags),
            )
    return ours


async def _device(api: ServerApi, application_id: str, dev_eui: str) -> Any:
    # Asking for one that is not there would fail as UNAUTHENTICATED with a tenant's key.
    request = device_pb2.ListDevicesRequest(application_id=application_id)
    async for entry in api.entries("DeviceService/List", request, device_pb2.ListDevicesResponse):
        if entry.dev_eui == dev_eui:
            get = device_pb2.GetDeviceRequest(dev_eui=dev_eui)
            return (await api.call("DeviceService/Get", get, device_pb2.GetDeviceResponse)).device
    return None


async def _heard(api: ServerApi, dev_eui: str) -> Heard:
    device: Any = await api.call(
        "DeviceService/Get", device_pb2.GetDeviceRequest(dev_eui=dev_eui), device_pb2.GetDeviceResponse
    )
    session: Any = await api.find(
        "DeviceService/GetActivation",
        device_pb2.GetDeviceActivationRequest(dev_eui=dev_eui),
        device_pb2.GetDeviceActivationResponse,
    )
    seen = device.last_seen_at.ToNanoseconds() if device.HasField("last_seen_at") else 0
    return Heard("" if session is None else session.device_activation.dev_addr, seen)


async def _wait(api: ServerApi, server: Server, dev_eui: str, before: Heard) -> dict[str, Any]:
    clock = asyncio.get_running_loop().time
    until = clock() + server.wait_s
    while True:
        now = await _heard(api, dev_eui)
        if now != before:
            what = "uplink" if now.last_seen != before.last_seen else "join"
            return {"heard": what, "dev_addr": now.dev_addr}
        if clock() >= until:
            raise NotHeardError(
                f"the network server has heard nothing of {dev_eui} for {server.wait_s:.0f} s: antenna, a gateway "
                "in reach, its AppKey there? The node goes on trying by itself"
            )
        await asyncio.sleep(min(ASK_S, max(0.0, until - clock())))
