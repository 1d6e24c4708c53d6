"""The recorded messages of gateway topics, and the frames that were in them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chirpstack_api import gw
from google.protobuf.message import Message

from zaehlwerk_tools.simulator.air_frames import Heard

RECORDING = Path(__file__).parent / "recordings" / "gateway.jsonl"

MESSAGES: dict[str, type[Message]] = {
    "event/up": gw.UplinkFrame,
    "event/ack": gw.DownlinkTxAck,
    "command/down": gw.DownlinkFrame,
}


@dataclass(frozen=True)
class Recorded:
    """One MQTT message."""

    topic: str
    payload: bytes
    decoded: dict[str, Any]

    @property
    def kind(self) -> str:
        return "/".join(self.topic.split("/")[-2:])

    @property
    def gateway_id(self) -> str:
        return self.topic.split("/")[2]

    @property
    def message(self) -> Any:
        return MESSAGES[self.kind].FromString(self.payload)


def recorded(kind: str | None = None) -> list[Recorded]:
    """All messages in their order, or those of one kind ("event/up")."""
    lines = [json.loads(line) for line in RECORDING.read_text("utf-8").splitlines()]
    messages = [Recorded(line["topic"], base64.b64decode(line["base64"]), line["decoded"]) for line in lines]
    return [message for message in messages if kind in (None, message.kind)]


def heard_of(frame: gw.UplinkFrame) -> Heard:
    """How the air would tell of a recorded uplink."""
    lora = frame.tx_info.modulation.lora
    rx = frame.rx_info
    return Heard(
        rx.gateway_id,
        frame.tx_info.frequency,
        lora.spreading_factor,
        lora.bandwidth,
        rx.rssi,
        rx.snr,
        rx.channel,
    )
