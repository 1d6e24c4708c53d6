"""DeviceService: the downlink queue."""

from __future__ import annotations

from chirpstack_api.api import device_pb2
from google.protobuf.empty_pb2 import Empty

from zaehlwerk_tools.network_server.api_keys import Caller
from zaehlwerk_tools.network_server.device import QueueItem
from zaehlwerk_tools.network_server.errors import internal, invalid
from zaehlwerk_tools.network_server.identifiers import eui
from zaehlwerk_tools.network_server.network import Network

from .times import from_timestamp, to_timestamp


class DeviceQueueMethods:
    """The methods around a device's queue."""

    _network: Network

    def enqueue(
        self, request: device_pb2.EnqueueDeviceQueueItemRequest, caller: Caller
    ) -> device_pb2.EnqueueDeviceQueueItemResponse:
        """Add a downlink. The FPort is cut to eight bits before it is checked: 257 becomes 1."""
        if not request.HasField("queue_item"):
            raise invalid("queue_item is missing")
        message = request.queue_item
        dev_eui = eui(message.dev_eui)
        caller.require(self._network.registry.tenant_of(dev_eui), write=True)
        device = self._network.registry.devices.get(dev_eui)
        if request.flush_queue and device:
            device.flush(pending_too=False)
        f_port = message.f_port & 0xFF
        if f_port == 0:
            raise invalid("Validation error: FPort must be between 1 - 255")
        if device is None:
            raise internal("FOREIGN KEY constraint failed")
        item = QueueItem(
            id=self._network.identities.uuid(f"queue {dev_eui}"),
            f_port=f_port,
            data=message.data,
            confirmed=message.confirmed,
            expires_ns=from_timestamp(message.expires_at) if message.HasField("expires_at") else None,
            is_encrypted=message.is_encrypted,
            f_cnt_down=message.f_cnt_down if message.is_encrypted else None,
        )
        device.queue.append(item)
        return device_pb2.EnqueueDeviceQueueItemResponse(id=item.id)

    def flush_queue(self, request: device_pb2.FlushDeviceQueueRequest, caller: Caller) -> Empty:
        """Empty a device's queue, pending items too; an unknown device's is empty already."""
        dev_eui = eui(request.dev_eui)
        caller.require(self._network.registry.tenant_of(dev_eui), write=True)
        device = self._network.registry.devices.get(dev_eui)
        if device:
            device.flush()
        return Empty()

    def get_queue(
        self, request: device_pb2.GetDeviceQueueItemsRequest, caller: Caller
    ) -> device_pb2.GetDeviceQueueItemsResponse:
        """What waits for a device, the next one first."""
        dev_eui = eui(request.dev_eui)
        caller.require(self._network.registry.tenant_of(dev_eui), write=False)
        device = self._network.registry.devices.get(dev_eui)
        items = device.queue if device else []
        return device_pb2.GetDeviceQueueItemsResponse(
            total_count=len(items),
            result=[
                device_pb2.DeviceQueueItem(
                    id=item.id,
                    dev_eui=dev_eui,
                    confirmed=item.confirmed,
                    f_port=item.f_port,
                    data=item.data,
                    is_pending=item.is_pending,
                    f_cnt_down=item.f_cnt_down or 0,
                    is_encrypted=item.is_encrypted,
                    expires_at=to_timestamp(item.expires_ns),
                )
                for item in items
            ],
        )
