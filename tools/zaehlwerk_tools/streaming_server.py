"""ChirpStack's gRPC API as the bridge's source calls it: one application, its devices, and a stream of each one's events."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc
import grpc.aio
from chirpstack_api import api

APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
Context = grpc.aio.ServicerContext[bytes, bytes]


class StreamingServer(grpc.GenericRpcHandler, ABC):
    """Lists `devices` (DevEUIs); what is streamed of them is `stream`'s. Bytes in and out: it costs a bench little."""

    def __init__(self, devices: Collection[str]) -> None:
        self._devices = tuple(devices)
        self._methods: dict[str, Any] = {
            "/api.ApplicationService/List": grpc.unary_unary_rpc_method_handler(self._list_applications),
            "/api.DeviceService/List": grpc.unary_unary_rpc_method_handler(self._list_devices),
            "/api.InternalService/StreamDeviceEvents": grpc.unary_stream_rpc_method_handler(self.stream),
        }

    @abstractmethod
    def stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Yield the LogItems of a StreamDeviceEventsRequest's device as bytes, first its whole history.

        As ChirpStack it sends its initial metadata before the first item: the stream is open then.
        """

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a method, None for one that the bridge's source does not call."""
        return self._methods.get(handler_call_details.method)

    async def _list_applications(self, _request: bytes, _context: Context) -> bytes:
        found = api.ApplicationListItem(id=APPLICATION, name="Counting")
        written: bytes = api.ListApplicationsResponse(total_count=1, result=[found]).SerializeToString()
        return written

    async def _list_devices(self, request: bytes, _context: Context) -> bytes:
        asked = api.ListDevicesRequest.FromString(request)
        page = self._devices[asked.offset : asked.offset + asked.limit]
        written: bytes = api.ListDevicesResponse(
            total_count=len(self._devices),
            result=[api.DeviceListItem(dev_eui=one, name=one) for one in page],
        ).SerializeToString()
        return written
