"""The network server behind gateway topics: events of gateways in, downlink commands out, as ChirpStack has them on MQTT.

No connection is made here: `received` is given what came from a broker, `publish` is what sends.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from chirpstack_api import gw
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from . import eu868
from .gateways import DownlinkPath, Item, Outcome
from .mac_commands import unix_ns
from .reception import Heard, Reception
from .scheduler import NS_PER_S
from .server import NetworkServer

SHARE_NAME = "chirpstack"
"""`share_name` of a region's MQTT backend: servers of one name share the events."""

MOST_WAITING = 1000
"""Commands whose answer is still waited for; older ones are forgotten, as ChirpStack's expire."""

Publish = Callable[[str, bytes], None]
"""Sends a payload to a topic."""

_Message = TypeVar("_Message", bound=Message)


class GatewayTopics(DownlinkPath):
    """Translates between gateway topics and a NetworkServer, which is given this as its path and then to `serve`."""

    def __init__(
        self,
        publish: Publish,
        *,
        prefix: str = eu868.REGION,
        seed: int = 0,
        allow_unknown_gateways: bool = False,
    ) -> None:
        self._publish = publish
        self._prefix = f"{prefix}/" if prefix else ""
        self._randoms = random.Random(f"{seed} downlinks by topic")
        self._allow_unknown = allow_unknown_gateways
        self._server: NetworkServer | None = None
        self._speaks_json: dict[str, bool] = {}
        self._waiting: OrderedDict[int, tuple[list[Item], Callable[[Outcome], None]]] = OrderedDict()
        self.unknown = 0
        """Uplinks that only gateways heard which nobody has registered."""
        self.unreadable = 0
        """Payloads that are not what their topic promises."""

    @property
    def subscription(self) -> str:
        """The topic filter that ChirpStack subscribes to."""
        return f"$share/{SHARE_NAME}/{self._prefix}gateway/+/event/+"

    def serve(self, server: NetworkServer) -> None:
        """From now on events go to `server`."""
        self._server = server

    def received(self, topic: str, payload: bytes) -> None:
        """An event of a gateway. What cannot be read is counted and dropped, as ChirpStack logs and drops it."""
        handle = {"up": self._up, "ack": self._ack, "stats": self._stats}.get(topic.rpartition("/")[2])
        try:
            if handle is None:
                raise ValueError("unknown event")
            handle(payload)
        except (DecodeError, json_format.ParseError, ValueError):
            self.unreadable += 1

    def send(
        self, items: list[Item], through: Heard, downlink_id: int | None, answered: Callable[[Outcome], None]
    ) -> None:
        """Publish a command with all items; the gateway's answer comes as an event."""
        gateway_id = through.reception.gateway_id
        if downlink_id is None:
            downlink_id = self._randoms.getrandbits(32)
        self._waiting[downlink_id] = (items, answered)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
        frame = gw.DownlinkFrame(
            downlink_id=downlink_id, gateway_id=gateway_id, items=[_downlink_item(item) for item in items]
        )
        in_json = self._speaks_json.get(gateway_id, False)
        payload = json_format.MessageToJson(frame).encode() if in_json else frame.SerializeToString()
        self._publish(f"{self._prefix}gateway/{gateway_id}/command/down", payload)

    def _up(self, payload: bytes) -> None:
        frame = self._read(payload, gw.UplinkFrame)
        rx = frame.rx_info
        self._speaks_json[rx.gateway_id] = _is_json(payload)
        server = self._serving()
        if not self._allow_unknown and not server.knows_gateway(rx.gateway_id):
            self.unknown += 1
            return
        if frame.tx_info.modulation.WhichOneof("parameters") != "lora":
            raise ValueError("not LoRa")
        lora = frame.tx_info.modulation.lora
        reception = Reception(
            gateway_id=rx.gateway_id,
            frequency=frame.tx_info.frequency,
            sf=lora.spreading_factor,
            bandwidth=lora.bandwidth,
            rssi=rx.rssi,
            snr=rx.snr,
            channel=rx.channel,
            uplink_id=rx.uplink_id,
            context=rx.context,
        )
        server.uplink(_received_ns(rx, server.now_ns), frame.phy_payload, reception)

    def _ack(self, payload: bytes) -> None:
        ack = self._read(payload, gw.DownlinkTxAck)
        self._speaks_json[ack.gateway_id] = _is_json(payload)
        items, answered = self._waiting.pop(ack.downlink_id, (None, None))
        if items is None or answered is None:
            return
        if not 0 < len(ack.items) <= len(items):
            raise ValueError("an answer has as many items as its command, or fewer")
        taken = [item for item, told in zip(items, ack.items, strict=False) if told.status == gw.OK]
        answered(taken[0] if taken else gw.TxAckStatus.Name(ack.items[-1].status))

    def _stats(self, payload: bytes) -> None:
        stats = self._read(payload, gw.GatewayStats)
        self._speaks_json[stats.gateway_id] = _is_json(payload)
        self._serving().gateway_seen(stats.gateway_id, dict(stats.metadata))

    def _read(self, payload: bytes, message: type[_Message]) -> _Message:
        if _is_json(payload):
            return json_format.Parse(payload, message(), ignore_unknown_fields=True)
        return message.FromString(payload)

    def _serving(self) -> NetworkServer:
        assert self._server is not None, "an event came before there was a server"
        return self._server


def _is_json(payload: bytes) -> bool:
    # ChirpStack's own test.
    return b"gatewayId" in payload


def _received_ns(rx: gw.UplinkRxInfo, now_ns: int) -> int:
    """When the frame ended: by the gateway's GPS, else by its clock, else now."""
    if rx.HasField("time_since_gps_epoch"):
        gps = rx.time_since_gps_epoch
        return unix_ns(gps.seconds * NS_PER_S + gps.nanos)
    if rx.HasField("gw_time"):
        return int(rx.gw_time.seconds * NS_PER_S + rx.gw_time.nanos)
    return now_ns


def _downlink_item(item: Item) -> gw.DownlinkFrameItem:
    message = gw.DownlinkFrameItem(phy_payload=item.phy)
    tx = message.tx_info
    tx.frequency, tx.power, tx.context = item.tx.frequency, item.tx.power, item.tx.context
    lora = tx.modulation.lora
    lora.bandwidth, lora.spreading_factor = eu868.BANDWIDTH, item.tx.sf
    lora.code_rate, lora.polarization_inversion = gw.CR_4_5, True
    tx.timing.delay.delay.seconds = item.tx.delay_s
    return message
