"""Calls to a real ChirpStack's gRPC API with an API key; every failure says what to check."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.gateway_backend.addresses import ApiAddress

TIMEOUT_S = 15.0
PAGE = 100

_Response = TypeVar("_Response", bound=Message)


class NetworkServerError(ZaehlwerkError):
    """The network server cannot be reached, refuses, or does not do what it must."""


class ServerApi:
    """Use as `async with ServerApi(address, token) as api`. The token is in no `repr` and no error."""

    def __init__(self, address: ApiAddress, token: str) -> None:
        self.address = address
        self.token = token
        self._channel: aio.Channel | None = None

    async def __aenter__(self) -> Self:
        # ChirpStack stands in the city's own network; a proxy for the web would not pass gRPC on.
        options = [("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
        target = str(self.address)
        if self.address.tls:
            authority = self.address.ca_file.read_bytes() if self.address.ca_file else None
            credentials = grpc.ssl_channel_credentials(root_certificates=authority)
            self._channel = aio.secure_channel(target, credentials, options=options)
        else:
            self._channel = aio.insecure_channel(target, options=options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    @property
    def channel(self) -> aio.Channel:
        """The open channel."""
        assert self._channel is not None, "use within `async with`"
        return self._channel

    async def call(self, method: str, request: Message, response: type[_Response]) -> _Response:
        """An answer to `Service/Method`. Raises NetworkServerError."""
        answer = await self.find(method, request, response)
        if answer is None:
            raise NetworkServerError(f"{method} at {self.address}: there is no such thing any more")
        return answer

    async def find(self, method: str, request: Message, response: type[_Response]) -> _Response | None:
        """An answer, or None for NOT_FOUND. Raises NetworkServerError."""
        call: Any = self.channel.unary_unary(
            f"/api.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        metadata = (("authorization", f"Bearer {self.token}"),)
        try:
            answer: _Response = await call(request, metadata=metadata, timeout=TIMEOUT_S)
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise NetworkServerError(self._explained(method, error)) from None
        return answer

    async def entries(self, method: str, request: Any, response: type[_Response]) -> AsyncIterator[Any]:
        """All entries of a list call, page after page."""
        request.limit, request.offset = PAGE, 0
        while True:
            page: Any = await self.call(method, request, response)
            for entry in page.result:
                yield entry
            request.offset += PAGE
            if request.offset >= page.total_count:
                return

    def _explained(self, method: str, error: aio.AioRpcError) -> str:
        code = error.code()
        details = " ".join((error.details() or "").split())
        if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
            return (
                f"the network server's API at {self.address} cannot be reached ({details or code.name}); check --api-url, "
                f"{'and --ca-file' if self.address.tls else 'and whether it wants https://'}"
            )
        if code is grpc.StatusCode.UNAUTHENTICATED and details:
            return f"the network server at {self.address} does not accept the API key ({details}); check --api-key-file"
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return (
                f"the API key may not call {method} at {self.address}: it takes a writable key, an admin's, or that of the "
                "tenant which --tenant-id names"
            )
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return f"what answers at {self.address} is no ChirpStack 4 ({method}: {details or code.name}); check --api-url"
        return f"{method} at {self.address}: {code.name} {details}".rstrip()
