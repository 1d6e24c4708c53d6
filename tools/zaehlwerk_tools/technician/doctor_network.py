"""Gateway coverage, as ChirpStack knows it: gateways and when they were seen, and how a node's last uplinks were heard."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc
from chirpstack_api.api import gateway_pb2, internal_pb2
from grpc import aio

from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError, ServerApi
from zaehlwerk_tools.technician.finding import Finding, ok, skipped, warning, wrong
from zaehlwerk_tools.technician.registration import ask_server, only_tenant
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.troubles import TechnicianError

GATEWAYS = "gateways"
STREAM_S = 3.0
"""ChirpStack keeps a device's last ten events and tells them first, at once."""
MARGIN_DB = 5.0
"""Less than that above what a spreading factor needs is lost in rain, leaves and lorries."""
FLOOR_DB = {0: -20.0, 1: -17.5, 2: -15.0, 3: -12.5, 4: -10.0, 5: -7.5}
"""SNR in dB that demodulation needs, by data rate of EU868: SF12 to SF7 (Semtech SX1276 datasheet, table 13)."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """How one was heard by the gateway that heard it best."""

    time: str
    data_rate: int
    rssi: int
    snr: float
    gateways: int


def examine_network(server: Server, dev_eui: str | None) -> list[Finding]:
    """Gateways, and the node's uplinks if it is known."""
    try:
        return asyncio.run(ask_server(server, lambda api: _examine(api, server, dev_eui)))
    except TechnicianError as error:
        return [wrong(GATEWAYS, str(error).removeprefix("not registered: "))]


async def _examine(api: ServerApi, server: Server, dev_eui: str | None) -> list[Finding]:
    tenant_id = server.tenant_id or await only_tenant(api)
    request = gateway_pb2.ListGatewaysRequest(tenant_id=tenant_id)
    entries = api.entries("GatewayService/List", request, gateway_pb2.ListGatewaysResponse)
    findings = gateway_findings([entry async for entry in entries])
    if dev_eui is None:
        return [
            *findings,
            skipped(GATEWAYS, "no node is known whose uplinks could be looked at: name its port"),
        ]
    return [*findings, uplinks_finding(dev_eui, await _uplinks(api, dev_eui))]


def gateway_findings(gateways: Sequence[Any]) -> list[Finding]:
    """From entries of ChirpStack's list; it takes one for offline after twice its interval of statistics."""
    online = [entry.name for entry in gateways if entry.state == gateway_pb2.ONLINE]
    silent = [entry for entry in gateways if entry.state != gateway_pb2.ONLINE]
    if not gateways:
        return [wrong(GATEWAYS, "the tenant has no gateway: register one, and see that its id is right")]
    if not online:
        findings = [
            wrong(
                GATEWAYS,
                f"none of the {len(gateways)} gateways is online: look at their power, network and forwarder",
            )
        ]
    else:
        findings = [ok(GATEWAYS, f"{len(online)} of {len(gateways)} online: {', '.join(online[:3])}")]
    for entry in silent[:5]:
        seen = (
            f"was seen last {entry.last_seen_at.ToDatetime():%Y-%m-%d %H:%M} UTC"
            if entry.HasField("last_seen_at")
            else "was never seen"
        )
        findings.append(
            warning(GATEWAYS, f"{entry.name} ({entry.gateway_id}) {seen}: look at it if it is near")
        )
    return findings


def uplinks_finding(dev_eui: str, uplinks: Sequence[Uplink]) -> Finding:
    """How well a node is heard, by its newest uplinks."""
    if not uplinks:
        return warning(
            GATEWAYS,
            f"of {dev_eui} no uplink is kept: has it joined, is it registered, is its antenna on? `zaehlwerk monitor` tells",
        )
    margins = [uplink.snr - FLOOR_DB.get(uplink.data_rate, FLOOR_DB[5]) for uplink in uplinks]
    last = max(uplinks, key=lambda uplink: uplink.time)
    told = (
        f"{dev_eui}: {len(uplinks)} uplinks, the last {last.time} by {last.gateways} gateways, DR{last.data_rate}, "
        f"RSSI {last.rssi} dBm, SNR {last.snr:+.1f} dB; margin {min(margins):.0f} to {max(margins):.0f} dB"
    )
    if max(margins) < MARGIN_DB:
        return warning(
            GATEWAYS, f"{told}: it is hardly heard: move the antenna up or into the open, or add a gateway"
        )
    return ok(GATEWAYS, told)


async def _uplinks(api: ServerApi, dev_eui: str) -> list[Uplink]:
    """The node's last uplinks that ChirpStack keeps. Raises NetworkServerError."""
    call: Any = api.channel.unary_stream(
        "/api.InternalService/StreamDeviceEvents",
        request_serializer=internal_pb2.StreamDeviceEventsRequest.SerializeToString,
        response_deserializer=internal_pb2.LogItem.FromString,
    )
    metadata = (("authorization", f"Bearer {api.token}"),)
    stream = call(internal_pb2.StreamDeviceEventsRequest(dev_eui=dev_eui), metadata=metadata)
    found = []
    try:
        async with asyncio.timeout(STREAM_S):
            async for item in stream:
                if item.description == "up" and (uplink := uplink_of(item.body)) is not None:
                    found.append(uplink)  # noqa: PERF401 - what came before the time was over counts
    except TimeoutError:
        pass  # it is never at its end
    except aio.AioRpcError as error:
        # What is not there is UNAUTHENTICATED for a tenant's key.
        if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAUTHENTICATED):
            raise NetworkServerError(f"the events of {dev_eui}: {error.code().name}") from None
    finally:
        stream.cancel()
    return found


def uplink_of(body: str) -> Uplink | None:
    """From an event `up` in JSON; None if no gateway is named in it."""
    try:
        document = json.loads(body)
        heard = document["rxInfo"]
        best = max(heard, key=lambda info: float(info.get("snr", 0.0)))
        at = datetime.fromisoformat(document["time"])
        return Uplink(
            at.strftime("%Y-%m-%d %H:%M:%S"),
            int(document.get("dr", 0)),
            int(best.get("rssi", 0)),
            float(best.get("snr", 0.0)),
            len(heard),
        )
    except (ValueError, KeyError, TypeError):
        return None
