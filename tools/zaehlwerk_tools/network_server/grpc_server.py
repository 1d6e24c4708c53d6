"""The gRPC side: ChirpStack's services on a port, with its authorization and its error codes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from chirpstack_api.api import (
    application_pb2,
    device_pb2,
    device_profile_pb2,
    gateway_pb2,
    internal_pb2,
    tenant_pb2,
)
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from .api_keys import ApiKeys, Caller
from .errors import ApiError
from .network import Network
from .services.applications import ApplicationService
from .services.device_profiles import DeviceProfileService
from .services.devices import DeviceService
from .services.gateways import GatewayService
from .services.internal import InternalService
from .services.tenants import TenantService

Context = aio.ServicerContext[Any, Any]
Method = Callable[[Any, Caller], Any]
Handler = Callable[[Any, Context], Awaitable[Any]]

_STREAM = "StreamDeviceEvents"


class PortInUse(OSError):
    """The address cannot be listened on; the text names it."""


class GrpcServer:
    """One listening server. Its methods run in the event loop that started it, one at a time, without waiting."""

    def __init__(self, network: Network, keys: ApiKeys) -> None:
        self._streams = network.streams
        self._keys = keys
        self._internal = InternalService(network)
        self._services: tuple[tuple[Any, object], ...] = (
            (tenant_pb2.DESCRIPTOR.services_by_name["TenantService"], TenantService(network)),
            (application_pb2.DESCRIPTOR.services_by_name["ApplicationService"], ApplicationService(network)),
            (
                device_profile_pb2.DESCRIPTOR.services_by_name["DeviceProfileService"],
                DeviceProfileService(network),
            ),
            (device_pb2.DESCRIPTOR.services_by_name["DeviceService"], DeviceService(network)),
            (gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"], GatewayService(network)),
            (internal_pb2.DESCRIPTOR.services_by_name["InternalService"], self._internal),
        )
        self._server: aio.Server | None = None
        self.pending = 0
        """Calls that have begun and not ended, streams not counted."""
        self.is_down = False
        """While True every call fails as it does when the server is not there."""

    async def start(self, host: str, port: int) -> int:
        """Listen; `port` 0 takes a free one. Returns the port. PortInUse if it is taken."""
        # Without SO_REUSEPORT a second server on the port is refused instead of taking half of its calls.
        server = aio.server(options=(("grpc.so_reuseport", 0),))
        for descriptor, service in self._services:
            handlers = self._handlers(descriptor, service)
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(descriptor.full_name, handlers),)
            )
        try:
            bound = server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise PortInUse(f"cannot listen on {host}:{port} for the gRPC API: {error}") from None
        await server.start()
        self._server = server
        return int(bound)

    async def stop(self) -> None:
        """End all streams and stop listening."""
        if self._server:
            self._streams.end_all()
            await self._server.stop(grace=None)
            self._server = None

    def _handlers(self, descriptor: ServiceDescriptor, service: object) -> dict[str, Any]:
        handlers: dict[str, Any] = {}
        for method in descriptor.methods:
            implementation = getattr(service, _snake_case(method.name), None)
            deserialize = GetMessageClass(method.input_type).FromString
            if method.name == _STREAM:
                handlers[method.name] = grpc.unary_stream_rpc_method_handler(
                    self._stream, request_deserializer=deserialize, response_serializer=_serialize
                )
            elif implementation is not None:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    self._unary(implementation),
                    request_deserializer=deserialize,
                    response_serializer=_serialize,
                )
        return handlers

    def _unary(self, method: Method) -> Handler:
        async def call(request: Any, context: Context) -> Any:
            self.pending += 1
            try:
                return method(request, self._caller(context))
            except ApiError as error:
                await context.abort(error.code, error.details)
            finally:
                self.pending -= 1

        return call

    async def _stream(self, request: internal_pb2.StreamDeviceEventsRequest, context: Context) -> None:
        try:
            stream = self._internal.open_stream(request, self._caller(context))
        except ApiError as error:
            await context.abort(error.code, error.details)
        try:
            await context.send_initial_metadata(())
            while (item := await stream.items.get()) is not None:
                await context.write(item)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the network server is not available")
        finally:
            self._streams.close(stream)

    def _caller(self, context: Context) -> Caller:
        if self.is_down:
            raise ApiError(grpc.StatusCode.UNAVAILABLE, "the network server is not available")
        metadata = dict(context.invocation_metadata() or ())
        value = metadata.get("authorization")
        return self._keys.caller(value.decode() if isinstance(value, bytes) else value)


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
