"""The calls to ChirpStack's downlink queue, and what each failure of them says."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from chirpstack_api import api

from zaehlwerk_bridge.sources.connection import Connection, describe
from zaehlwerk_protocol.command import Command

NS = 1_000_000_000

_RIGHTS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_IN_VAIN = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_OF_THE_SERVER = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_UNKNOWN_DEVICE = "FOREIGN KEY"
"""In what ChirpStack says as INTERNAL of a device that it does not have."""


class Failure(enum.Enum):
    """What a failed call says."""

    RIGHTS = "rights"
    """The key may not do it."""
    IN_VAIN = "in vain"
    """This command will never be taken."""
    SERVER = "server"
    """The server cannot be reached, or is too slow; whether it did anything is not known."""
    DOUBTFUL = "doubtful"
    """Something went wrong, perhaps because of this command; whether it was done is not known."""


class CallFailed(Exception):
    """A call that failed; the text is one line without key material."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a device's queue."""

    id: str
    f_port: int
    data: bytes


class QueueCalls:
    """Calls on one channel that is opened by need. All of them raise CallFailed, and SettingsError about keys."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: grpc.aio.Channel | None = None

    async def items(self, dev_eui: str) -> Sequence[Item]:
        """Return what waits for a device."""
        request = api.GetDeviceQueueItemsRequest(dev_eui=dev_eui)
        if self._connection.rotated():
            await self.close()
        try:
            answer = await self._stub().GetQueue(request, metadata=self._metadata(), timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from None
        return [Item(item.id, item.f_port, item.data) for item in answer.result]

    async def enqueue(self, dev_eui: str, payload: bytes, expires_ns: int, *, confirmed: bool) -> str:
        """Put a command's frame into a device's queue and return the item's id. Never to be called again after a failure
        that does not say that nothing was done."""
        item = api.DeviceQueueItem(dev_eui=dev_eui, f_port=Command.PORT, data=payload, confirmed=confirmed)
        item.expires_at.FromNanoseconds(expires_ns)
        request = api.EnqueueDeviceQueueItemRequest(queue_item=item)
        try:
            answer = await self._stub().Enqueue(request, metadata=self._metadata(), timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failed(error) from None
        return str(answer.id)

    async def close(self) -> None:
        """Close the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    @property
    def _timeout_s(self) -> float:
        return self._connection.settings.request_timeout_s

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return self._connection.metadata()

    def _stub(self) -> api.DeviceServiceStub:
        if self._channel is None:
            self._channel = self._connection.channel()
        return api.DeviceServiceStub(self._channel)  # type: ignore[no-untyped-call]


def _failed(error: grpc.aio.AioRpcError) -> CallFailed:
    code = error.code()
    if code in _RIGHTS:
        failure = Failure.RIGHTS
    elif code in _IN_VAIN or _UNKNOWN_DEVICE in (error.details() or ""):
        failure = Failure.IN_VAIN
    elif code in _OF_THE_SERVER:
        failure = Failure.SERVER
    else:
        failure = Failure.DOUBTFUL
    return CallFailed(failure, describe(error))
