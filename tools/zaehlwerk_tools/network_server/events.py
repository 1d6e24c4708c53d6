"""The events of the integration: their JSON bodies and the properties of their log items, as ChirpStack writes them.

Fields, types and which defaults are present follow the recordings: events carry their defaults (`fCnt: 0`), the
gateway's objects inside (`rxInfo`, `txInfo`) leave theirs out.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import eu868
from .mac_commands import gps_ns
from .reception import Heard
from .scheduler import NS_PER_S

Body = dict[str, object]


@dataclass(frozen=True)
class Event:
    """One event of a device: kind (`up`, `join`, ...), its `time` in ns of UTC Unix time, JSON body, properties."""

    kind: str
    time_ns: int
    body: Body
    properties: Mapping[str, str] = field(default_factory=dict)


def timestamp(unix_ns: int) -> str:
    """RFC 3339 with as many digits as are needed, in groups of three: `2026-11-22T22:48:13.389345967+00:00`."""
    seconds, ns = divmod(unix_ns, NS_PER_S)
    digits = f"{ns:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}{'.' + digits if digits else ''}+00:00"


def duration(ns: int) -> str:
    """A protobuf duration in JSON: `1s`, `0.500s`."""
    seconds, rest = divmod(ns, NS_PER_S)
    digits = f"{rest:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{seconds}{'.' + digits if digits else ''}s"


def up(
    deduplication_id: str,
    time_ns: int,
    info: Body,
    *,
    dev_addr: int,
    adr: bool,
    data_rate: int,
    f_cnt: int,
    f_port: int | None,
    confirmed: bool,
    data: bytes,
    heard: list[Heard],
    gateway_time: bool,
) -> Event:
    """An uplink. Without an FPort, and on FPort 0, `fPort` is 0 and `data` empty."""
    first = heard[0].reception
    body: Body = {
        "deduplicationId": deduplication_id,
        "time": timestamp(time_ns),
        "deviceInfo": info,
        "devAddr": f"{dev_addr:08x}",
        "adr": adr,
        "dr": data_rate,
        "fCnt": f_cnt,
        "fPort": f_port or 0,
        "confirmed": confirmed,
        "data": base64.b64encode(data).decode(),
        "rxInfo": [_rx_info(one, gateway_time) for one in heard],
        "txInfo": {"frequency": first.frequency, "modulation": _modulation(first.sf, first.bandwidth)},
        "regionConfigId": eu868.REGION,
    }
    properties = {"DR": str(data_rate), "FPort": str(f_port or 0), "FCnt": str(f_cnt), "Data": data.hex()}
    return Event("up", time_ns, body, properties)


def join(deduplication_id: str, time_ns: int, info: Body, dev_addr: int) -> Event:
    """An activation."""
    address = f"{dev_addr:08x}"
    body: Body = {
        "deduplicationId": deduplication_id,
        "time": timestamp(time_ns),
        "deviceInfo": info,
        "devAddr": address,
        "regionConfigId": eu868.REGION,
    }
    return Event("join", time_ns, body, {"DevAddr": address})


def ack(
    deduplication_id: str, time_ns: int, info: Body, item_id: str, acknowledged: bool, f_cnt_down: int
) -> Event:
    """The fate of a confirmed downlink."""
    body: Body = {
        "deduplicationId": deduplication_id,
        "time": timestamp(time_ns),
        "deviceInfo": info,
        "queueItemId": item_id,
        "acknowledged": acknowledged,
        "fCntDown": f_cnt_down,
    }
    return Event("ack", time_ns, body)


@dataclass(frozen=True)
class TxInfo:
    """How a downlink goes on the air: Hz, SF, dBm, delay after the uplink in seconds, the gateway's context."""

    frequency: int
    sf: int
    power: int
    delay_s: int
    context: bytes


def txack(
    downlink_id: int, time_ns: int, info: Body, item_id: str, f_cnt_down: int, gateway_id: str, tx: TxInfo
) -> Event:
    """A gateway has taken the downlink of a queue item."""
    modulation = _modulation(tx.sf, eu868.BANDWIDTH)
    modulation["lora"]["polarizationInversion"] = True
    body: Body = {
        "downlinkId": downlink_id,
        "time": timestamp(time_ns),
        "deviceInfo": info,
        "queueItemId": item_id,
        "fCntDown": f_cnt_down,
        "gatewayId": gateway_id,
        "txInfo": {
            "frequency": tx.frequency,
            "power": tx.power,
            "modulation": modulation,
            "timing": {"delay": {"delay": duration(tx.delay_s * NS_PER_S)}},
            "context": base64.b64encode(tx.context).decode(),
        },
    }
    return Event("txack", time_ns, body)


def status(deduplication_id: str, time_ns: int, info: Body, margin: int, battery: int) -> Event:
    """A DevStatusAns: margin in dB, battery 0 = external power, 255 = unknown, else 1..254."""
    level = single(battery / 254 * 100) if 0 < battery < 255 else 0.0
    body: Body = {
        "deduplicationId": deduplication_id,
        "time": timestamp(time_ns),
        "deviceInfo": info,
        "margin": margin,
        "externalPowerSource": battery == 0,
        "batteryLevelUnavailable": battery == 255,
        "batteryLevel": level,
    }
    properties = {
        "Margin": str(margin),
        "Battery level": f"{level:.0f}%",
        "Battery level unavailable": str(battery == 255).lower(),
        "External power source": str(battery == 0).lower(),
    }
    return Event("status", time_ns, body, properties)


def log(
    time_ns: int, info: Body, level: str, code: str, description: str, context: Mapping[str, str]
) -> Event:
    """Something went wrong: level WARNING or ERROR, ChirpStack's code and words."""
    body: Body = {
        "time": timestamp(time_ns),
        "deviceInfo": info,
        "level": level,
        "code": code,
        "description": description,
        "context": dict(context),
    }
    return Event("log", time_ns, body, {"Level": level, "Code": code})


def single(value: float) -> float:
    """The shortest decimal number that stands for the same 32-bit float: ChirpStack's floats are single precision."""
    exact = struct.unpack("f", struct.pack("f", value))[0]
    for digits in range(1, 10):
        short = float(f"{exact:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", exact):
            return short
    return float(exact)


def _modulation(sf: int, bandwidth: int) -> dict[str, dict[str, object]]:
    return {"lora": {"bandwidth": bandwidth, "spreadingFactor": sf, "codeRate": "CR_4_5"}}


def _rx_info(heard: Heard, gateway_time: bool) -> Body:
    reception = heard.reception
    info: Body = {"gatewayId": reception.gateway_id, "uplinkId": heard.uplink_id}
    if gateway_time:
        info["gwTime"] = timestamp(heard.at_ns)
    info["nsTime"] = timestamp(heard.at_ns)
    if gateway_time:
        info["timeSinceGpsEpoch"] = duration(gps_ns(heard.at_ns))
    for name, value in (
        ("rssi", reception.rssi),
        ("snr", single(reception.snr)),
        ("channel", reception.channel),
    ):
        if value:
            info[name] = value
    info["context"] = base64.b64encode(heard.context).decode()
    info["crcStatus"] = "CRC_OK"
    return info
