"""Registers stations' nodes at ChirpStack, over its gRPC API with an API key: tenant, application, profile, devices, keys.

Running it twice changes nothing: it looks first, creates what is missing and corrects what differs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from chirpstack_api.api import application_pb2, device_pb2, device_profile_pb2, tenant_pb2
from chirpstack_api.common import common_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc import aio

from .provisioning_plan import CheckedNode, Node, Plan, Profile, ProvisioningError, check_nodes

__all__ = ["Node", "Plan", "Profile", "ProvisioningError", "Registered", "provision"]

PAGE = 100
"""Entries asked for in one list call."""

TIMEOUT_S = 30.0

_Response = TypeVar("_Response", bound=Message)


@dataclass(frozen=True)
class Registered:
    """Where everything stands; `created` and `changed` name what was not as planned before."""

    tenant_id: str
    application_id: str
    profile_id: str
    created: tuple[str, ...]
    changed: tuple[str, ...]


async def provision(channel: aio.Channel, token: str, plan: Plan) -> Registered:
    """Bring ChirpStack to what `plan` says; ProvisioningError if it refuses, before anything if the plan is wrong."""
    nodes = check_nodes(plan.nodes)
    registration = _Registration(_Api(channel, token))
    tenant_id = plan.tenant_id or await registration.tenant(plan.tenant)
    application_id = await registration.application(tenant_id, plan.application, plan.application_tags)
    profile_id = await registration.profile(tenant_id, plan.profile)
    known = await registration.devices_of(application_id)
    for node in nodes:
        await registration.device(application_id, profile_id, node, is_known=node.dev_eui in known)
        await registration.keys(node, replace=plan.replace_keys)
    return Registered(
        tenant_id, application_id, profile_id, tuple(registration.created), tuple(registration.changed)
    )


class _Api:
    """Calls with the token; errors name the call and its subject."""

    def __init__(self, channel: aio.Channel, token: str) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def call(self, method: str, request: Message, response: type[_Response], about: str) -> _Response:
        answer = await self.find(method, request, response, about)
        if answer is None:
            raise ProvisioningError(f"{method} for {about}: it has vanished meanwhile; run this again")
        return answer

    async def find(
        self, method: str, request: Message, response: type[_Response], about: str
    ) -> _Response | None:
        """The answer, or None for NOT_FOUND."""
        call: Any = self._channel.unary_unary(
            f"/api.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            answer: _Response = await call(request, metadata=self._metadata, timeout=TIMEOUT_S)
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise ProvisioningError(f"{method} for {about}: {_explain(error)}") from None
        return answer

    async def entries(
        self, method: str, request: Any, response: type[_Response], about: str
    ) -> AsyncIterator[Any]:
        """All entries of a list call, page after page."""
        request.limit = PAGE
        while True:
            page: Any = await self.call(method, request, response, about)
            for entry in page.result:
                yield entry
            request.offset += PAGE
            if request.offset >= page.total_count:
                return


def _explain(error: aio.AioRpcError) -> str:
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"the API key may not do this ({details or 'no more is said'}); use a writable key of the right tenant"
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"the server cannot be reached ({details}); check address and port"
    if "UNIQUE" in details or "unique constraint" in details or code is grpc.StatusCode.ALREADY_EXISTS:
        return f"it exists already, in another application or tenant ({details}); remove it there"
    return f"{code.name} {details}"


class _Registration:
    """One run; remembers what it created and changed."""

    def __init__(self, api: _Api) -> None:
        self._api = api
        self.created: list[str] = []
        self.changed: list[str] = []

    async def tenant(self, name: str) -> str:
        if not name:
            raise ProvisioningError("neither a tenant's name nor its id is given")
        about = f"tenant {name!r}"
        request = tenant_pb2.ListTenantsRequest(search=name)
        found = await self._named("TenantService", request, tenant_pb2.ListTenantsResponse, name, about)
        if found:
            return found
        wanted = tenant_pb2.Tenant(name=name, can_have_gateways=True)
        return await self._create(
            "TenantService",
            tenant_pb2.CreateTenantRequest(tenant=wanted),
            tenant_pb2.CreateTenantResponse,
            about,
        )

    async def application(self, tenant_id: str, name: str, tags: Mapping[str, str]) -> str:
        about = f"application {name!r}"
        wanted = application_pb2.Application(name=name, tenant_id=tenant_id, tags=tags)
        request = application_pb2.ListApplicationsRequest(search=name, tenant_id=tenant_id)
        response = application_pb2.ListApplicationsResponse
        found = await self._named("ApplicationService", request, response, name, about)
        if not found:
            return await self._create(
                "ApplicationService",
                application_pb2.CreateApplicationRequest(application=wanted),
                application_pb2.CreateApplicationResponse,
                about,
            )
        present = await self._api.call(
            "ApplicationService/Get",
            application_pb2.GetApplicationRequest(id=found),
            application_pb2.GetApplicationResponse,
            about,
        )
        wanted.id = found
        wanted.description = present.application.description
        if present.application != wanted:
            update = application_pb2.UpdateApplicationRequest(application=wanted)
            await self._change("ApplicationService/Update", update, about)
        return found

    async def profile(self, tenant_id: str, profile: Profile) -> str:
        about = f"device profile {profile.name!r}"
        wanted = _profile(tenant_id, profile)
        request = device_profile_pb2.ListDeviceProfilesRequest(search=profile.name, tenant_id=tenant_id)
        response = device_profile_pb2.ListDeviceProfilesResponse
        found = await self._named("DeviceProfileService", request, response, profile.name, about)
        if not found:
            return await self._create(
                "DeviceProfileService",
                device_profile_pb2.CreateDeviceProfileRequest(device_profile=wanted),
                device_profile_pb2.CreateDeviceProfileResponse,
                about,
            )
        present = await self._api.call(
            "DeviceProfileService/Get",
            device_profile_pb2.GetDeviceProfileRequest(id=found),
            device_profile_pb2.GetDeviceProfileResponse,
            about,
        )
        # What is not planned stays as it is: the server adds fields of its own.
        corrected = device_profile_pb2.DeviceProfile()
        corrected.CopyFrom(present.device_profile)
        for name in _PROFILE_FIELDS:
            corrected.ClearField(name)
        corrected.MergeFrom(wanted)
        if present.device_profile != corrected:
            update = device_profile_pb2.UpdateDeviceProfileRequest(device_profile=corrected)
            await self._change("DeviceProfileService/Update", update, about)
        return found

    async def devices_of(self, application_id: str) -> set[str]:
        """The DevEUIs that are there. (Asking for one that is not would fail as UNAUTHENTICATED with a tenant's key.)"""
        request = device_pb2.ListDevicesRequest(application_id=application_id)
        entries = self._api.entries("DeviceService/List", request, device_pb2.ListDevicesResponse, "devices")
        return {entry.dev_eui async for entry in entries}

    async def device(
        self, application_id: str, profile_id: str, node: CheckedNode, *, is_known: bool
    ) -> None:
        about = _about(node)
        wanted = device_pb2.Device(
            dev_eui=node.dev_eui,
            name=node.node.name,
            description=node.node.description,
            application_id=application_id,
            device_profile_id=profile_id,
            tags=node.node.tags,
            join_eui=node.join_eui,
        )
        if not is_known:
            request = device_pb2.CreateDeviceRequest(device=wanted)
            await self._api.call("DeviceService/Create", request, Empty, about)
            self.created.append(about)
            return
        present = await self._api.call(
            "DeviceService/Get",
            device_pb2.GetDeviceRequest(dev_eui=node.dev_eui),
            device_pb2.GetDeviceResponse,
            about,
        )
        wanted.skip_fcnt_check = present.device.skip_fcnt_check
        wanted.is_disabled = present.device.is_disabled
        wanted.variables.update(present.device.variables)
        if present.device != wanted:
            await self._change("DeviceService/Update", device_pb2.UpdateDeviceRequest(device=wanted), about)

    async def keys(self, node: CheckedNode, *, replace: bool) -> None:
        about = _about(node)
        present = await self._api.find(
            "DeviceService/GetKeys",
            device_pb2.GetDeviceKeysRequest(dev_eui=node.dev_eui),
            device_pb2.GetDeviceKeysResponse,
            about,
        )
        # A LoRaWAN 1.0.x AppKey goes into `nwk_key`; `app_key` is for 1.1.
        wanted = device_pb2.DeviceKeys(dev_eui=node.dev_eui, nwk_key=node.key.hex())
        if present is None:
            request = device_pb2.CreateDeviceKeysRequest(device_keys=wanted)
            await self._api.call("DeviceService/CreateKeys", request, Empty, about)
            self.created.append(f"keys of {about}")
        elif present.device_keys.nwk_key != wanted.nwk_key:
            if not replace:
                raise ProvisioningError(
                    f"{about}: the server has another AppKey; check whose it is, or ask for it to be replaced"
                )
            update = device_pb2.UpdateDeviceKeysRequest(device_keys=wanted)
            await self._change("DeviceService/UpdateKeys", update, f"keys of {about}")

    async def _named(
        self, service: str, request: Message, response: type[Message], name: str, about: str
    ) -> str | None:
        """Id of the entry with exactly this name."""
        async for entry in self._api.entries(f"{service}/List", request, response, about):
            if entry.name == name:
                return str(entry.id)
        return None

    async def _create(self, service: str, request: Message, response: type[Message], about: str) -> str:
        made: Any = await self._api.call(f"{service}/Create", request, response, about)
        self.created.append(about)
        return str(made.id)

    async def _change(self, method: str, request: Message, about: str) -> None:
        await self._api.call(method, request, Empty, about)
        self.changed.append(about)


def _about(node: CheckedNode) -> str:
    return f"device {node.node.name!r} ({node.dev_eui})"


_PROFILE_FIELDS = (
    "region",
    "mac_version",
    "reg_params_revision",
    "adr_algorithm_id",
    "payload_codec_runtime",
    "flush_queue_on_activate",
    "uplink_interval",
    "device_status_req_interval",
    "supports_otaa",
    "auto_detect_measurements",
    "tags",
)
"""What a plan says about a profile."""


def _profile(tenant_id: str, profile: Profile) -> device_profile_pb2.DeviceProfile:
    return device_profile_pb2.DeviceProfile(
        tenant_id=tenant_id,
        name=profile.name,
        region=common_pb2.EU868,
        mac_version=common_pb2.LORAWAN_1_0_4,
        reg_params_revision=common_pb2.RP002_1_0_3,
        adr_algorithm_id=profile.adr_algorithm_id,
        payload_codec_runtime=device_profile_pb2.NONE,
        flush_queue_on_activate=profile.flush_queue_on_activate,
        uplink_interval=profile.uplink_interval_s,
        device_status_req_interval=profile.device_status_req_interval,
        supports_otaa=True,
        auto_detect_measurements=False,
        tags=profile.tags,
    )
