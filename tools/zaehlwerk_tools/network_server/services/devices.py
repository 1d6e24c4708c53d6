"""DeviceService: devices themselves; their keys, activation and queue are in the modules beside this one."""

from __future__ import annotations

from chirpstack_api.api import device_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.device import Device
from zaehlwerk_tools.network_server.errors import invalid
from zaehlwerk_tools.network_server.identifiers import eui, uuid_text
from zaehlwerk_tools.network_server.network import Network

from .device_keys import DeviceKeysMethods
from .device_queue import DeviceQueueMethods
from .times import to_timestamp

_NO_BATTERY_LEVEL = -1.0


class DeviceService(DeviceKeysMethods, DeviceQueueMethods):
    """Devices. A tenant's key sees its own; of any other it learns no more than UNAUTHENTICATED."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def create(self, request: device_pb2.CreateDeviceRequest, caller: Caller) -> Empty:
        """Create a device."""
        if not request.HasField("device"):
            raise invalid("device is missing")
        message = request.device
        dev_eui = eui(message.dev_eui)
        application_id = uuid_text(message.application_id)
        profile_id = uuid_text(message.device_profile_id)
        join_eui = eui(message.join_eui)
        application = self._network.registry.applications.get(application_id)
        caller.require(application.tenant_id if application else None, write=True)
        now = self._network.scheduler.now_ns
        self._network.registry.add_device(
            Device(
                dev_eui=dev_eui,
                join_eui=join_eui,
                name=message.name,
                description=message.description,
                application_id=application_id,
                profile_id=profile_id,
                tags=dict(message.tags),
                variables=dict(message.variables),
                skip_f_cnt_check=message.skip_fcnt_check,
                is_disabled=message.is_disabled,
                created_ns=now,
                updated_ns=now,
            )
        )
        return Empty()

    def get(self, request: device_pb2.GetDeviceRequest, caller: Caller) -> device_pb2.GetDeviceResponse:
        """A device by its DevEUI."""
        device = self._device(request.dev_eui, caller, write=False)
        return device_pb2.GetDeviceResponse(
            device=device_pb2.Device(
                dev_eui=device.dev_eui,
                name=device.name,
                description=device.description,
                application_id=device.application_id,
                device_profile_id=device.profile_id,
                skip_fcnt_check=device.skip_f_cnt_check,
                is_disabled=device.is_disabled,
                variables=device.variables,
                tags=device.tags,
                join_eui=device.join_eui,
            ),
            created_at=to_timestamp(device.created_ns),
            updated_at=to_timestamp(device.updated_ns),
            last_seen_at=to_timestamp(device.last_seen_ns),
            device_status=_status(device),
        )

    def update(self, request: device_pb2.UpdateDeviceRequest, caller: Caller) -> Empty:
        """Change a device, or move it to another application or profile."""
        if not request.HasField("device"):
            raise invalid("device is missing")
        message = request.device
        dev_eui = eui(message.dev_eui)
        application_id = uuid_text(message.application_id)
        profile_id = uuid_text(message.device_profile_id)
        join_eui = eui(message.join_eui)
        registry = self._network.registry
        caller.require(registry.tenant_of(dev_eui), write=True)
        application = registry.applications.get(application_id)
        caller.require(application.tenant_id if application else None, write=False)
        profile = registry.profiles.get(profile_id)
        caller.require(profile.tenant_id if profile else None, write=False)
        device = registry.change_device(
            dev_eui,
            name=message.name,
            application_id=application_id,
            profile_id=profile_id,
            now_ns=self._network.scheduler.now_ns,
        )
        device.join_eui = join_eui
        device.description = message.description
        device.skip_f_cnt_check = message.skip_fcnt_check
        device.is_disabled = message.is_disabled
        device.tags = dict(message.tags)
        device.variables = dict(message.variables)
        return Empty()

    def delete(self, request: device_pb2.DeleteDeviceRequest, caller: Caller) -> Empty:
        """Delete a device; its event history stays."""
        dev_eui = eui(request.dev_eui)
        caller.require(self._network.registry.tenant_of(dev_eui), write=True)
        self._network.registry.remove_device(dev_eui)
        return Empty()

    def list(self, request: device_pb2.ListDevicesRequest, caller: Caller) -> device_pb2.ListDevicesResponse:
        """Devices of an application by name; `limit` 0 gives their number only."""
        registry = self._network.registry
        application_id = uuid_text(request.application_id)
        profile_id = uuid_text(request.device_profile_id) if request.device_profile_id else None
        application = registry.applications.get(application_id)
        caller.require(application.tenant_id if application else None, write=False)
        search = request.search.lower()
        devices = sorted(
            (
                d
                for d in registry.devices.values()
                if d.application_id == application_id
                and profile_id in (None, d.profile_id)
                and (search in d.name.lower() or search in d.dev_eui)
                and all(d.tags.get(key) == value for key, value in request.tags.items())
            ),
            key=lambda d: (d.name, d.dev_eui),
        )
        return device_pb2.ListDevicesResponse(
            total_count=len(devices),
            result=[self._list_item(device) for device in devices[request.offset :][: request.limit]],
        )

    def _list_item(self, device: Device) -> device_pb2.DeviceListItem:
        return device_pb2.DeviceListItem(
            dev_eui=device.dev_eui,
            created_at=to_timestamp(device.created_ns),
            updated_at=to_timestamp(device.updated_ns),
            last_seen_at=to_timestamp(device.last_seen_ns),
            name=device.name,
            description=device.description,
            device_profile_id=device.profile_id,
            device_profile_name=self._network.registry.profiles[device.profile_id].name,
            device_status=_status(device),
            tags=device.tags,
        )


def _status(device: Device) -> device_pb2.DeviceStatus | None:
    status = device.status
    if status is None:
        return None
    level = status.battery_percent
    return device_pb2.DeviceStatus(
        margin=status.margin,
        external_power_source=status.external_power,
        battery_level=_NO_BATTERY_LEVEL if level is None else level,
    )
