"""Asks nodes to send again what is missing, by downlinks through ChirpStack's queue."""

from collections.abc import Sequence
from typing import Protocol

import grpc
import grpc.aio
from chirpstack_api import api
from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.ledger.gap_table import Want
from zaehlwerk_bridge.sources.connection import Connection, describe
from zaehlwerk_protocol.command import BACKFILL, Command
from zaehlwerk_protocol.errors import FrameError

NS = 1_000_000_000
_REFUSALS = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class Asked(Protocol):
    """Notes in the store that a node was asked, or could not be."""

    async def __call__(self, want: Want, now_ns: int) -> None:
        """Note it."""
        ...


class Healer:
    """Puts backfill commands into the devices' queues, at most one for a device at a time.

    `asked` is told of every want that was dealt with, so that the store decides when to try again. A want that the
    server could not be reached for is not: it stays due.
    """

    def __init__(self, connection: Connection, asked: Asked, log: FilteringBoundLogger) -> None:
        self._connection = connection
        self._asked = asked
        self._log = log
        self._channel: grpc.aio.Channel | None = None
        self.enqueued = 0
        self.trouble = ""

    async def heal(self, wants: Sequence[Want], now_ns: int) -> bool:
        """Ask for `wants`. Returns False if some could not be dealt with now and should be tried again later."""
        served: set[str] = set()
        for want in wants:
            if want.dev_eui in served:
                continue  # its queue holds a command; the answer may heal this one too, and the store asks again
            try:
                await self._ask(want, now_ns)
            except grpc.aio.AioRpcError as error:
                if error.code() in _REFUSALS:
                    self._troubled(
                        f"downlinks are refused: {describe(error)}; chirpstack.write_key_file names a key "
                        "that may enqueue, or healing.enabled = false"
                    )
                elif error.code() in _TRANSIENT:
                    # A timed-out Enqueue may have been done: the next try looks into the queue first.
                    self._troubled(f"downlinks fail: {describe(error)}")
                    return False
                else:
                    self._log.warning("node cannot be asked", dev_eui=want.dev_eui, reason=describe(error))
            except SettingsError as error:
                self._troubled(str(error))
                return False
            else:
                if self.trouble:
                    self._log.info("downlinks are accepted again")
                self.trouble = ""
            served.add(want.dev_eui)
            await self._asked(want, now_ns)
        return len(served) == len(wants)

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _troubled(self, reason: str) -> None:
        if reason != self.trouble:
            self._log.error("nodes cannot be asked", reason=reason)
        self.trouble = reason

    async def _ask(self, want: Want, now_ns: int) -> None:
        if self._channel is None:
            self._channel = self._connection.channel()
        stub = api.DeviceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        metadata = self._connection.metadata()
        timeout = self._connection.settings.request_timeout_s
        arguments = (int(want.unsynced), want.index, want.count)
        queue = await stub.GetQueue(
            api.GetDeviceQueueItemsRequest(dev_eui=want.dev_eui), metadata=metadata, timeout=timeout
        )
        if any(_is_backfill(item.f_port, item.data) for item in queue.result):
            return
        # Tokens tell one command from the next of the same node; two within 18 hours never have the same.
        command = Command(now_ns // NS % 65536, BACKFILL, arguments)
        item = api.DeviceQueueItem(dev_eui=want.dev_eui, f_port=Command.PORT, data=command.encode())
        await stub.Enqueue(
            api.EnqueueDeviceQueueItemRequest(queue_item=item), metadata=metadata, timeout=timeout
        )
        self.enqueued += 1
        self._log.info(
            "node is asked for what is missing", dev_eui=want.dev_eui, index=want.index, intervals=want.count
        )


def _is_backfill(f_port: int, data: bytes) -> bool:
    if f_port != Command.PORT:
        return False
    try:
        return Command.decode(data).kind == BACKFILL
    except FrameError:
        return False
