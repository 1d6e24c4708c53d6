"""A small stand-in for ChirpStack's API: lists, streams and queues, and fails in the ways that a test asks for."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from chirpstack_api import api

from bridge.tests.service.node import Item

TENANT = "11111111-2222-3333-4444-555555555555"
APPLICATION = "aaaaaaaa-2222-3333-4444-555555555555"
KEY = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LWtleS1vZi10aGUtdGVzdA.c2lnbmF0dXJlLW9mLWl0"


@dataclass
class FakeDevice:
    """A device as the server has it. `items` is its history; a stream that is open gets what is added."""

    items: list[Item] = field(default_factory=list)
    queue: list[api.DeviceQueueItem] = field(default_factory=list)
    last_seen_ms: int | None = None
    opened: int = 0
    open: int = 0
    refuse: tuple[grpc.StatusCode, str] | None = None
    break_after: int | None = None
    """End the next stream with UNAVAILABLE after so many items."""
    sends: int | None = None
    """A stream sends no more than so many items for the time being: ChirpStack sends ten a second."""
    mute: bool = False
    """The stream opens and stays silent."""
    listed: bool = True


class ChirpStack(
    api.TenantServiceServicer,
    api.ApplicationServiceServicer,
    api.DeviceServiceServicer,
    api.InternalServiceServicer,
):
    """The services. `changed` wakes streams; calls are counted in `calls`."""

    def __init__(self) -> None:
        self.devices: dict[str, FakeDevice] = {}
        self.calls: dict[str, int] = {}
        self.keys = {KEY}
        self.writable = True
        self.list_error: tuple[grpc.StatusCode, str] | None = None
        self.enqueue_hangs = False
        """The answer to an Enqueue that was done never comes."""
        self.enqueue_lost = False
        """An Enqueue is neither done nor answered."""
        self.enqueue_fails: tuple[grpc.StatusCode, str] | None = None
        """An Enqueue is not done, and this is said."""
        self.queue_fails: tuple[grpc.StatusCode, str] | None = None
        self.enqueued: list[api.DeviceQueueItem] = []
        """All that was ever put into a queue."""
        self.mute_headers = False
        self.device_service = _Devices(self)
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self._changed = asyncio.Condition()

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server()
        api.add_ApplicationServiceServicer_to_server(self, self._server)
        api.add_DeviceServiceServicer_to_server(self.device_service, self._server)
        api.add_InternalServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port or self.port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def add(self, dev_eui: str) -> FakeDevice:
        return self.devices.setdefault(dev_eui, FakeDevice())

    async def put(self, dev_eui: str, *items: Item) -> None:
        """New events of a device."""
        async with self._changed:
            self.add(dev_eui).items += items
            self._changed.notify_all()

    def made(self, dev_eui: str, f_port: int, data: bytes) -> api.DeviceQueueItem:
        """An item of somebody else for a device's queue."""
        return api.DeviceQueueItem(id=str(uuid.uuid4()), dev_eui=dev_eui, f_port=f_port, data=data)

    async def transmit(self, dev_eui: str) -> api.DeviceQueueItem:
        """A gateway takes the first item of a device's queue."""
        device = self.devices[dev_eui]
        item = next(item for item in device.queue if not item.is_pending)
        if item.confirmed:
            item.is_pending = True
        else:
            device.queue.remove(item)
        await self.report(dev_eui, "txack", queueItemId=item.id)
        return item

    async def acknowledge(self, dev_eui: str, item_id: str, *, heard: bool = True) -> None:
        """The device's next uplink came, and acknowledged the item or did not."""
        device = self.devices[dev_eui]
        device.queue = [item for item in device.queue if item.id != item_id]
        await self.report(dev_eui, "ack", queueItemId=item_id, acknowledged=heard)

    async def drop(self, dev_eui: str, item_id: str, code: str, description: str = "") -> None:
        """The server throws an item away."""
        device = self.devices[dev_eui]
        device.queue = [item for item in device.queue if item.id != item_id]
        context = {"queue_item_id": item_id}
        await self.report(dev_eui, "log", level="ERROR", code=code, description=description, context=context)

    async def report(self, dev_eui: str, kind: str, **body: Any) -> str:
        """An event of a device that is no uplink; returns its id."""
        info = {"deviceName": dev_eui, "devEui": dev_eui, "tags": {}}
        return await self.follow(dev_eui, Item("0-0", kind, json.dumps({"deviceInfo": info, **body})))

    async def follow(self, dev_eui: str, item: Item) -> str:
        """An event of a device with an id behind all others; returns the id."""
        items = self.add(dev_eui).items
        milliseconds, _, sequence = items[-1].id.partition("-") if items else ("1", "", "0")
        item = dataclasses.replace(item, id=f"{milliseconds}-{int(sequence) + 1}")
        await self.put(dev_eui, item)
        return item.id

    async def wake(self) -> None:
        """Let open streams look at what the test has changed."""
        async with self._changed:
            self._changed.notify_all()

    async def until_open(self, dev_eui: str, times: int = 1) -> None:
        """Wait until `dev_eui`'s stream was opened so often."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.devices[dev_eui].opened >= times)

    async def allowed(self, name: str, context: grpc.aio.ServicerContext) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        token = dict(context.invocation_metadata() or ()).get("authorization")
        if token is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no authorization provided")
        if str(token).removeprefix("Bearer ") not in self.keys:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidToken")

    async def List(self, request: api.ListApplicationsRequest, context: grpc.aio.ServicerContext) -> object:  # noqa: N802
        await self.allowed("ApplicationService.List", context)
        if request.tenant_id != TENANT:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "")
        return api.ListApplicationsResponse(
            total_count=1, result=[api.ApplicationListItem(id=APPLICATION, name="Counters")]
        )

    async def StreamDeviceEvents(  # noqa: N802
        self, request: api.StreamDeviceEventsRequest, context: grpc.aio.ServicerContext
    ) -> object:
        await self.allowed("StreamDeviceEvents", context)
        device = self.devices.get(request.dev_eui)
        if device is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "")
            return
        if device.refuse is not None:
            await context.abort(*device.refuse)
        if self.mute_headers:
            await asyncio.Event().wait()
        await context.send_initial_metadata(
            ()
        )  # as ChirpStack does: the stream is open before its first item
        device.opened += 1
        device.open += 1
        await self.wake()
        try:
            sent = 0
            history = device.items
            while True:
                if device.items is not history:  # the test gave it another history: Redis was emptied
                    history, sent = device.items, 0
                while sent < min(len(device.items), device.sends or 10**9) and not device.mute:
                    item = device.items[sent]
                    sent += 1
                    yield api.LogItem(id=item.id, description=item.description, body=item.body)
                    if device.break_after is not None and sent >= device.break_after:
                        device.break_after = None
                        await context.abort(grpc.StatusCode.UNAVAILABLE, "the test breaks the stream")
                if device.refuse is not None:
                    await context.abort(*device.refuse)
                async with self._changed:
                    await self._changed.wait()
        finally:
            device.open -= 1


class _Devices(api.DeviceServiceServicer):
    """The device service, apart because both services have a method List."""

    def __init__(self, server: ChirpStack) -> None:
        self._server = server

    async def List(self, request: api.ListDevicesRequest, context: grpc.aio.ServicerContext) -> object:  # noqa: N802
        await self._server.allowed("DeviceService.List", context)
        if self._server.list_error is not None:
            await context.abort(*self._server.list_error)
        listed = sorted(eui for eui, device in self._server.devices.items() if device.listed)
        page = listed[request.offset : request.offset + request.limit]
        result = []
        for dev_eui in page:
            item = api.DeviceListItem(dev_eui=dev_eui, name=dev_eui)
            seen = self._server.devices[dev_eui].last_seen_ms
            if seen is not None:
                item.last_seen_at.FromMilliseconds(seen)
            result.append(item)
        return api.ListDevicesResponse(total_count=len(listed), result=result)

    async def GetQueue(  # noqa: N802
        self, request: api.GetDeviceQueueItemsRequest, context: grpc.aio.ServicerContext
    ) -> object:
        await self._server.allowed("GetQueue", context)
        if self._server.queue_fails is not None:
            await context.abort(*self._server.queue_fails)
        queue = self._server.devices[request.dev_eui].queue
        return api.GetDeviceQueueItemsResponse(total_count=len(queue), result=queue)

    async def Enqueue(  # noqa: N802
        self, request: api.EnqueueDeviceQueueItemRequest, context: grpc.aio.ServicerContext
    ) -> object:
        await self._server.allowed("Enqueue", context)
        if not self._server.writable:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "")
        if self._server.enqueue_fails is not None:
            await context.abort(*self._server.enqueue_fails)
        if self._server.enqueue_lost:
            await asyncio.Event().wait()
        item = request.queue_item
        if not item.f_port:
            await context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, "Validation error: FPort must be between 1 - 255"
            )
        item.id = str(uuid.uuid4())
        self._server.devices[item.dev_eui].queue.append(item)
        self._server.enqueued.append(item)
        if self._server.enqueue_hangs:
            await asyncio.Event().wait()
        return api.EnqueueDeviceQueueItemResponse(id=item.id)
