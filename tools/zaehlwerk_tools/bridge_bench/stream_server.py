"""ChirpStack's gRPC API as the bridge's source needs it, as a process of its own: lists devices and streams their events.

Run as `python -m zaehlwerk_tools.bridge_bench.stream_server DEVICES STREAMS`; `STREAMS`: so many it lets through on one
connection, as a proxy does; 0: any number. It listens on a free port of the loopback interface. Told on standard input,
a line each, and answered on standard output where an answer is named:

- `put DEVEUI ITEM`: an event of a device; ITEM is a LogItem as base64. Open streams get it at once: what ChirpStack's
  look every second adds is the source's, and is not measured here.
- `how`: answered with one line of JSON: port, open, opened, last_opened_s (monotonic clock), calls by connection.

It ends when its standard input does. As ChirpStack does, it sends the whole history of a device to each new stream.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import grpc.aio
from chirpstack_api import api

from zaehlwerk_tools.bridge_bench.offered import dev_eui
from zaehlwerk_tools.streaming_server import Context, StreamingServer

HOST = "127.0.0.1"
TENANT = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242"
LINE_BYTES = 1 << 20


class _History:
    """What a device has sent; `woken` are the open streams that wait for more."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.woken: list[asyncio.Future[None]] = []

    def put(self, item: bytes) -> None:
        self.items.append(item)
        for waiter in self.woken:
            if not waiter.done():
                waiter.set_result(None)
        self.woken.clear()


class StreamServer(StreamingServer):
    """The services. Items go out as the bytes they came as, so that the server is not what is measured."""

    def __init__(self, devices: int) -> None:
        self.histories = {dev_eui(number): _History() for number in range(devices)}
        super().__init__(self.histories)
        self.open = self.opened = 0
        self.last_opened_s = 0.0
        self.by_connection: Counter[str] = Counter()

    def how(self, port: int) -> dict[str, object]:
        """How far it is."""
        return {
            "port": port,
            "open": self.open,
            "opened": self.opened,
            "last_opened_s": self.last_opened_s,
            "connections": len(self.by_connection),
            "most_on_one": max(self.by_connection.values(), default=0),
        }

    async def stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Yield what the device was told to have sent, and what comes."""
        history = self.histories[api.StreamDeviceEventsRequest.FromString(request).dev_eui]
        await context.send_initial_metadata(())
        self.open += 1
        self.opened += 1
        self.last_opened_s = time.monotonic()
        peer = context.peer()
        self.by_connection[peer] += 1
        sent = 0
        try:
            while True:
                while sent < len(history.items):
                    sent += 1
                    yield history.items[sent - 1]
                waiter = asyncio.get_running_loop().create_future()
                history.woken.append(waiter)
                await waiter
        finally:
            self.open -= 1
            self.by_connection[peer] -= 1


async def serve(devices: int, streams: int) -> None:
    """Serve until standard input ends."""
    options = [("grpc.max_concurrent_streams", streams)] if streams else []
    server = grpc.aio.server(options=options)
    fleet = StreamServer(devices)
    server.add_generic_rpc_handlers((fleet,))
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    lines = asyncio.StreamReader(LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        word, *rest = line.decode("ascii").split()
        if word == "put":
            fleet.histories[rest[0]].put(base64.b64decode(rest[1]))
        else:
            sys.stdout.write(json.dumps(fleet.how(port)) + "\n")
            sys.stdout.flush()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
