"""The recorded hour, played to the network server at its recorded pace in virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from chirpstack_api import api
from chirpstack_api.api import application_pb2, device_pb2, device_profile_pb2, internal_pb2, tenant_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from tools.tests.network_server.manual_scheduler import ManualScheduler
from zaehlwerk_tools.network_server import Downlink, Identities, NetworkServer, Reception, Settings
from zaehlwerk_tools.network_server.scheduler import NS_PER_S

RECORDINGS = Path(__file__).parent / "recordings"

DEV_EUI = "70b3d57ed0000001"
OPENED_NS = 1_795_387_681_336_000_000
"""When the recorded live stream was opened: its polls fall on these milliseconds, a few more each second."""

HANDLING_NS = 11_600_000
"""What the recorded server took from the end of the deduplication window to the event."""

GATEWAYS = ("0102030405060708", "0102030405060709")

SILENT = ("join request of an unknown device", "wrong MIC")
"""Steps that leave no event."""

NO_ID = "00000000-0000-4000-8000-000000000000"

BEFORE_FIRST_UPLINK = 19
CALLS_AFTER = {
    "wrong MIC": 6,
    "uplink; unconfirmed downlink waiting": 3,
    "uplink; confirmed downlink waiting, one more behind": 1,
    "uplink acknowledging": 1,
    "uplink not acknowledging": 1,
    "uplink at DR0; downlink too long": 1,
}
"""How many of the recorded calls were made after a step, in their order."""
AFTER_LAST_UPLINK = 3

SERVICES: dict[str, ServiceDescriptor] = {
    name: descriptor
    for module in (tenant_pb2, application_pb2, device_profile_pb2, device_pb2, internal_pb2)
    for name, descriptor in module.DESCRIPTOR.services_by_name.items()
}


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDINGS / name).read_text("utf-8").splitlines()]


def moment(text: str) -> int:
    """An RFC 3339 moment with up to nine digits as ns."""
    whole, _, rest = text.replace("Z", "+00:00").partition(".")
    digits, zone = (rest[:-6], rest[-6:]) if rest else ("", whole[-6:])
    seconds = datetime.fromisoformat(whole + zone if rest else whole)
    return int(seconds.timestamp()) * 10**9 + int(digits.ljust(9, "0") or "0")


@dataclass
class Call:
    """An API call that was made, beside the recorded one."""

    recorded: dict[str, Any]
    response: dict[str, Any] | None = None
    error: dict[str, str] | None = None

    @property
    def name(self) -> str:
        note = self.recorded["note"]
        return f"{self.recorded['service']}.{self.recorded['method']}{' ' + note if note else ''}"


@dataclass
class Replay:
    """What the server did."""

    calls: list[Call] = field(default_factory=list)
    downlinks: list[tuple[int, Downlink]] = field(default_factory=list)
    """With the moment at which each was handed over."""
    streams: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    """By the recorded stream's name: virtual moment of receiving, item."""
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the recorded stream's name: the error that ended it."""


class RecordedIdentities(Identities):
    """Yields what the real server and its gateways drew in the recorded hour."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        frames = lines("gateway.jsonl")
        received = [f["decoded"] for f in frames if f["topic"].endswith("/up")]
        sent = [f["decoded"] for f in frames if f["topic"].endswith("/down")]
        self._rx = {
            gateway: [frame["rxInfo"] for frame in received if frame["rxInfo"]["gatewayId"] == gateway]
            for gateway in GATEWAYS
        }
        self._uplink_ids = {
            gateway: iter([rx["uplinkId"] for rx in all_rx]) for gateway, all_rx in self._rx.items()
        }
        self._contexts = {
            gateway: iter([rx["context"] for rx in all_rx]) for gateway, all_rx in self._rx.items()
        }
        self._chosen = iter([frame["gatewayId"] for frame in sent])
        # The join accept, the first downlink, is no data downlink: its id is drawn nowhere else.
        self._downlink_ids = iter([frame["downlinkId"] for frame in sent[1:]])
        self._uuids = {**self._created(), "deduplication": self._deduplication(received)}
        self._dev_addr = next(
            step["joined"]["dev_addr"] for step in lines("session.jsonl") if "joined" in step
        )

    def _created(self) -> dict[str, Iterator[str]]:
        calls = lines("grpc_calls.jsonl")
        ids: dict[str, list[str]] = defaultdict(list)
        for call in calls:
            if "id" in call.get("response", {}):
                ids[f"{call['service']}.{call['method']}"].append(call["response"]["id"])
        tenants = next(c for c in calls if (c["service"], c["method"]) == ("TenantService", "List"))
        built_in = [t["id"] for t in tenants["response"]["result"] if t["name"] == "ChirpStack"]
        return {
            "tenant": iter(built_in + ids["TenantService.Create"]),
            "application": iter(ids["ApplicationService.Create"]),
            "device profile": iter(ids["DeviceProfileService.Create"]),
            f"queue {DEV_EUI}": iter(ids["DeviceService.Enqueue"]),
        }

    def _deduplication(self, received: list[dict[str, Any]]) -> Iterator[str]:
        """One for each frame; of those that left no trace no id is known."""
        bodies = [
            json.loads(i["item"]["body"])
            for i in lines("stream_device_events.jsonl")
            if i["stream"] == "live" and "item" in i
        ]
        traced = dict.fromkeys(
            body.get("deduplicationId") or body.get("context", {}).get("deduplication_id") for body in bodies
        )
        known = iter([value for value in traced if value])
        silent = {
            base64.b64encode(bytes.fromhex(s["up"])).decode()
            for s in lines("session.jsonl")
            if s["step"] in SILENT
        }
        for frame in received:
            if frame["rxInfo"]["gatewayId"] == GATEWAYS[0]:
                yield NO_ID if frame["phyPayload"] in silent else next(known)

    def uuid(self, kind: str) -> str:
        return next(self._uuids[kind]) if kind in self._uuids else super().uuid(kind)

    def dev_addr(self, dev_eui: str) -> int:
        return int(self._dev_addr, 16)

    def uplink_id(self, gateway_id: str) -> int:
        return int(next(self._uplink_ids[gateway_id]))

    def context(self, gateway_id: str) -> bytes:
        return base64.b64decode(next(self._contexts[gateway_id]))

    def downlink_id(self) -> int:
        return int(next(self._downlink_ids))

    def choose_gateway(self, gateways: list[str]) -> str:
        chosen = next(self._chosen)
        assert chosen in gateways
        return chosen


class Player:
    """Plays the recorded hour to a server."""

    def __init__(self, refuse_rx1: bool) -> None:
        self.replay = Replay()
        self._refuse_rx1 = refuse_rx1
        self._refused: Downlink | None = None
        self._calls = iter(lines("grpc_calls.jsonl"))
        self._scheduler = ManualScheduler(OPENED_NS - NS_PER_S)
        self._server = NetworkServer(
            self._scheduler,
            self._transmit,
            seed=1,
            settings=Settings(history=18, gateway_time=False, handling_ns=HANDLING_NS),
            identities=RecordedIdentities(),
        )

    async def play(self) -> Replay:
        port = await self._server.start()
        try:
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await self._play(channel)
        finally:
            await self._server.stop()
        return self.replay

    async def _play(self, channel: aio.Channel) -> None:
        self._channel = channel
        await self._make_calls(BEFORE_FIRST_UPLINK)
        await self._failing_streams()
        self._scheduler.run_until(OPENED_NS)
        live = await self._open("live")
        frames = [f["decoded"] for f in lines("gateway.jsonl") if f["topic"].endswith("/up")]
        calls = {
            bytes.fromhex(s["up"]): CALLS_AFTER[s["step"]]
            for s in lines("session.jsonl")
            if s["step"] in CALLS_AFTER
        }
        for frame, following in zip(frames, [*frames[1:], None], strict=True):
            phy = base64.b64decode(frame["phyPayload"])
            at_ns = moment(frame["rxInfo"]["nsTime"])
            self._scheduler.run_until(at_ns)
            self._server.uplink(at_ns, phy, _reception(frame))
            if following is None or moment(following["rxInfo"]["nsTime"]) > at_ns + NS_PER_S // 2:
                self._scheduler.run_until(at_ns + NS_PER_S // 2)
                await self._make_calls(calls.get(phy, 0))
        self._scheduler.run_for(2)
        await self._read("live", live)
        second = await self._open("second connect (replay)")
        self._scheduler.run_for(2)
        await self._read("second connect (replay)", second)
        await self._make_calls(AFTER_LAST_UPLINK)
        deleted = await self._open("after delete, admin key")
        self._scheduler.run_for(2)
        await self._read("after delete, admin key", deleted)

    def _transmit(self, downlink: Downlink) -> str | None:
        if self._refuse_rx1 and self._refused is None:
            self._refused = downlink
            return "COLLISION_PACKET"
        self._refused = None
        self.replay.downlinks.append((self._scheduler.now_ns, downlink))
        return None

    async def _make_calls(self, count: int) -> None:
        for _ in range(count):
            recorded = next(self._calls)
            method = SERVICES[recorded["service"]].methods_by_name[recorded["method"]]
            call = self._channel.unary_unary(
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=GetMessageClass(method.output_type).FromString,
            )
            request = json_format.ParseDict(recorded["request"], GetMessageClass(method.input_type)())
            made = Call(recorded)
            try:
                response = await call(request, metadata=self._metadata(recorded["note"]))
                made.response = json_format.MessageToDict(response)
            except aio.AioRpcError as error:
                made.error = {"code": error.code().name, "details": error.details() or ""}
            self.replay.calls.append(made)

    def _metadata(self, note: str) -> tuple[tuple[str, str], ...]:
        if note == "no token":
            return ()
        token = "abc" if note == "bad token" else self._server.admin_key
        return (("authorization", f"Bearer {token}"),)

    async def _failing_streams(self) -> None:
        for name, dev_eui in (("malformed", "xyz"), ("no token", DEV_EUI), ("bad token", DEV_EUI)):
            stream = api.InternalServiceStub(self._channel).StreamDeviceEvents(
                api.StreamDeviceEventsRequest(dev_eui=dev_eui), metadata=self._metadata(name)
            )
            with pytest.raises(aio.AioRpcError) as failed:
                await stream.read()
            error = failed.value
            self.replay.errors[name] = {"code": error.code().name, "details": error.details() or ""}

    async def _open(self, name: str) -> Any:
        """Open a stream, noting when its items are pushed; returns when the server has opened it."""
        pushed: list[tuple[int, str]] = []
        self.pushed = pushed
        self._server.on_delivered = lambda dev_eui, item: pushed.append((self._scheduler.now_ns, item))
        stream = api.InternalServiceStub(self._channel).StreamDeviceEvents(
            api.StreamDeviceEventsRequest(dev_eui=DEV_EUI), metadata=self._metadata("")
        )
        await stream.initial_metadata()
        return stream

    async def _read(self, name: str, stream: Any) -> None:
        items: list[tuple[int, Any]] = []
        for at_ns, last in self.pushed:
            while not items or items[-1][1].id != last:
                items.append((at_ns, await asyncio.wait_for(stream.read(), 20)))
        stream.cancel()
        self.replay.streams[name] = items


def _reception(frame: dict[str, Any]) -> Reception:
    lora = frame["txInfo"]["modulation"]["lora"]
    rx = frame["rxInfo"]
    return Reception(
        gateway_id=rx["gatewayId"],
        frequency=frame["txInfo"]["frequency"],
        sf=lora["spreadingFactor"],
        bandwidth=lora["bandwidth"],
        rssi=rx["rssi"],
        snr=rx["snr"],
    )
