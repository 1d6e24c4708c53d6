"""DeviceProfileService."""

from __future__ import annotations

from chirpstack_api.api import device_profile_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.errors import invalid
from zaehlwerk_tools.network_server.identifiers import uuid_text
from zaehlwerk_tools.network_server.network import Network
from zaehlwerk_tools.network_server.registry import Profile

from .times import to_timestamp

MAX_RX1_DELAY_S = 15


class DeviceProfileService:
    """Device profiles of a tenant."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def create(
        self, request: device_profile_pb2.CreateDeviceProfileRequest, caller: Caller
    ) -> device_profile_pb2.CreateDeviceProfileResponse:
        """Create a profile. What is not said has ChirpStack's defaults, the traps among them (no OTAA, LoRaWAN 1.0.0)."""
        if not request.HasField("device_profile"):
            raise invalid("device_profile is missing")
        tenant_id = uuid_text(request.device_profile.tenant_id)
        caller.require(tenant_id, write=True)
        now = self._network.scheduler.now_ns
        profile_id = self._network.identities.uuid("device profile")
        self._put(profile_id, tenant_id, request.device_profile, now, now)
        return device_profile_pb2.CreateDeviceProfileResponse(id=profile_id)

    def get(
        self, request: device_profile_pb2.GetDeviceProfileRequest, caller: Caller
    ) -> device_profile_pb2.GetDeviceProfileResponse:
        """A profile by its id."""
        profile_id = uuid_text(request.id)
        caller.require(self._tenant_of(profile_id), write=False)
        profile = self._network.registry.profile(profile_id)
        return device_profile_pb2.GetDeviceProfileResponse(
            device_profile=profile.definition,
            created_at=to_timestamp(profile.created_ns),
            updated_at=to_timestamp(profile.updated_ns),
        )

    def update(self, request: device_profile_pb2.UpdateDeviceProfileRequest, caller: Caller) -> Empty:
        """Replace a profile's definition."""
        if not request.HasField("device_profile"):
            raise invalid("device_profile is missing")
        profile_id = uuid_text(request.device_profile.id)
        caller.require(self._tenant_of(profile_id), write=True)
        present = self._network.registry.profile(profile_id)
        now = self._network.scheduler.now_ns
        self._put(profile_id, present.tenant_id, request.device_profile, present.created_ns, now)
        return Empty()

    def delete(self, request: device_profile_pb2.DeleteDeviceProfileRequest, caller: Caller) -> Empty:
        """Delete a profile with its devices."""
        profile_id = uuid_text(request.id)
        caller.require(self._tenant_of(profile_id), write=True)
        self._network.registry.remove_profile(profile_id)
        return Empty()

    def list(
        self, request: device_profile_pb2.ListDeviceProfilesRequest, caller: Caller
    ) -> device_profile_pb2.ListDeviceProfilesResponse:
        """Profiles of a tenant by name; `limit` 0 gives their number only."""
        tenant_id = uuid_text(request.tenant_id)
        caller.require(tenant_id, write=False)
        search = request.search.lower()
        profiles = sorted(
            (
                p
                for p in self._network.registry.profiles.values()
                if p.tenant_id == tenant_id and search in p.name.lower()
            ),
            key=lambda p: (p.name, p.id),
        )
        return device_profile_pb2.ListDeviceProfilesResponse(
            total_count=len(profiles),
            result=[
                device_profile_pb2.DeviceProfileListItem(
                    id=profile.id,
                    created_at=to_timestamp(profile.created_ns),
                    updated_at=to_timestamp(profile.updated_ns),
                    name=profile.name,
                    region=profile.definition.region,
                    mac_version=profile.definition.mac_version,
                    reg_params_revision=profile.definition.reg_params_revision,
                    supports_otaa=profile.definition.supports_otaa,
                    supports_class_b=profile.definition.supports_class_b,
                    supports_class_c=profile.definition.supports_class_c,
                )
                for profile in profiles[request.offset :][: request.limit]
            ],
        )

    def _put(
        self,
        profile_id: str,
        tenant_id: str,
        message: device_profile_pb2.DeviceProfile,
        created_ns: int,
        updated_ns: int,
    ) -> None:
        if message.rx1_delay > MAX_RX1_DELAY_S:
            raise invalid("Validation error: RX1 Delay must be between 0 - 15")
        definition = device_profile_pb2.DeviceProfile()
        definition.CopyFrom(message)
        definition.id = profile_id
        definition.tenant_id = tenant_id
        self._network.registry.add_profile(Profile(profile_id, tenant_id, definition, created_ns, updated_ns))

    def _tenant_of(self, profile_id: str) -> str | None:
        profile = self._network.registry.profiles.get(profile_id)
        return profile.tenant_id if profile else None
