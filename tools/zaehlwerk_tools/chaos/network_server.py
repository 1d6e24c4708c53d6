"""ChirpStack's gRPC API as the bridge's source needs it, as a process of its own that can be killed.

Run as `python -m zaehlwerk_tools.chaos.network_server PORT REDIS_PORT`. What it streams stands in Redis, a stream for each
device, as with ChirpStack: it has nothing of its own to lose. Each new stream of a device gets the whole history first;
while Redis is away, the open ones end with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from chirpstack_api import api, integration
from google.protobuf.json_format import MessageToJson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from zaehlwerk_tools.chaos.offered import STATIONS, dev_eui
from zaehlwerk_tools.streaming_server import Context, StreamingServer

HOST = "127.0.0.1"
LOOK_S = 0.2
"""Between two looks into Redis; ChirpStack's are a second."""
REDIS_S = 2.0


def device_key(device: str) -> str:
    """Where ChirpStack 4 keeps what a device has sent (its key prefix aside)."""
    return f"device:{{{device}}}:stream:event"


def log_item(entry_id: str, value: bytes) -> bytes:
    """An uplink, written as in the stream of all devices, as an item of its device's stream."""
    event = integration.UplinkEvent.FromString(value)
    item = api.LogItem(id=entry_id, description="up", body=MessageToJson(event, indent=None))
    item.time.CopyFrom(event.time)
    written: bytes = item.SerializeToString()
    return written


class NetworkServer(StreamingServer):
    """The services, for the devices `devices`."""

    def __init__(self, redis: Redis, devices: list[str]) -> None:
        super().__init__(devices)
        self._redis = redis
        self._histories: dict[str, list[bytes]] = {device: [] for device in devices}
        self._read_to = dict.fromkeys(devices, "0-0")
        self._came = asyncio.Condition()
        self._trouble = ""

    async def look_for_ever(self) -> None:
        """Read what is new in Redis, again and again."""
        while True:
            try:
                new = await self._look()
                trouble = ""
            except (RedisError, OSError) as error:
                new, trouble = False, str(error)[:100] or "Redis is away"
            if new or trouble != self._trouble:
                self._trouble = trouble
                async with self._came:
                    self._came.notify_all()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> bool:
        keys = {device_key(device): device for device in self._histories}
        asked: Any = {key: self._read_to[device] for key, device in keys.items()}
        found: Any = await self._redis.xread(asked)
        for key, entries in found:
            device = keys[bytes(key).decode()]
            for entry_id, fields in entries:
                name = bytes(entry_id).decode()
                self._histories[device].append(log_item(name, fields[b"up"]))
                self._read_to[device] = name
        return bool(found)

    async def stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Yield what Redis holds of the device, and what comes."""
        history = self._histories[api.StreamDeviceEventsRequest.FromString(request).dev_eui]
        await context.send_initial_metadata(())
        sent = 0
        while True:
            if self._trouble:
                await context.abort(grpc.StatusCode.INTERNAL, self._trouble)
            while sent < len(history):
                sent += 1
                yield history[sent - 1]
            async with self._came:
                if sent == len(history) and not self._trouble:
                    await self._came.wait()


async def serve(port: int, redis_port: int) -> None:
    """Serve until killed."""
    redis = Redis(host=HOST, port=redis_port, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S)
    handler = NetworkServer(redis, [dev_eui(number) for number in range(STATIONS)])
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await handler.look_for_ever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
