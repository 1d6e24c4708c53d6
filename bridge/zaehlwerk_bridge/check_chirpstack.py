"""Tries ChirpStack as the bridge uses it: key, tenants, devices, a stream with its history, and the right to enqueue."""

import asyncio
from collections.abc import Mapping, Sequence

import grpc
import grpc.aio
from chirpstack_api import api

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.sources.connection import Connection, describe
from zaehlwerk_bridge.sources.device_history import SETTING, WANTED, DeviceHistory, hours, reaches, shortage
from zaehlwerk_bridge.sources.device_stream import Opener, opener
from zaehlwerk_bridge.sources.discovery import Device, DiscoveryError, list_applications, list_devices
from zaehlwerk_bridge.sources.item_id import parse

HISTORY_WAIT_S = 3.0
"""A stream delivers its history at once, then looks for news every second; a silence this long is its end."""
HISTORY_MOST_S = 20.0
"""So long a history is read. ChirpStack sends ten events a second: what is left of a longer one is reckoned."""
SAMPLE = 20
"""Devices of which the history is looked at: those that were heard last."""
_MAY_NOT = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})


async def check_chirpstack(settings: Settings, redactor: Redactor) -> Findings:
    """Try tenants, applications, devices, a stream, and see how long the server's history is."""
    server = settings.chirpstack.server
    key = SecretFile(settings.chirpstack.api_key_file, "chirpstack.api_key_file", redactor)
    connection = Connection(settings.chirpstack, key)
    findings = Findings("chirpstack", redactor)
    try:
        connection.metadata()
        channel = connection.channel()
    except SettingsError as error:
        findings.wrong("settings", str(error))
        return findings
    if settings.chirpstack.insecure:
        remedy = (
            "leave it so only where nobody else can listen, a proxy with TLS in front of ChirpStack is better"
        )
        findings.note(f"server {server}", "insecure = true: the API key goes in plain text", remedy)
    try:
        for tenant in settings.chirpstack.tenants:
            applications = await list_applications(connection, channel, tenant)
            if applications:
                findings.ok(f"tenant {tenant}", f"{len(applications)} applications")
            else:
                findings.wrong(
                    f"tenant {tenant}", "no applications", "is this the tenant that has the counters?"
                )
        devices = await list_devices(connection, channel)
        if not devices:
            findings.wrong("devices", "none", "register the nodes in one of the tenants' applications")
            return findings
        findings.ok("devices", f"{len(devices)}")
        heard = sorted(devices.values(), key=lambda device: (-(device.last_seen_ms or 0), device.dev_eui))
        device = heard[0]
        if settings.source == "grpc":
            await _check_streams(findings, connection, channel, heard[:SAMPLE])
        if settings.healing.enabled:
            await _check_enqueue(findings, settings, redactor, channel, device)
    except DiscoveryError as error:
        findings.wrong(f"server {server}", str(error), _remedy(str(error), settings))
    finally:
        await channel.close()
    return findings


async def _check_streams(
    findings: Findings, connection: Connection, channel: grpc.aio.Channel, devices: Sequence[Device]
) -> None:
    """Read the histories of devices, and say whether they reach as far back as is wanted."""
    opened = opener(channel)
    read = [_history(connection, opened, device) for device in devices]
    histories: dict[str, DeviceHistory] = {}
    for device, history in zip(devices, await asyncio.gather(*read), strict=True):
        if isinstance(history, str):
            findings.wrong(f"stream of {device.dev_eui}", history, "may this key read this tenant?")
            return
        histories[device.dev_eui] = history
    device = devices[0]
    tried = f"stream of {device.dev_eui}"
    items = histories[device.dev_eui].items
    raise_it = f"set {SETTING} to {WANTED} in ChirpStack"
    if items == 0 and device.last_seen_ms is not None:
        remedy = f"{raise_it}; if it is set, look for a proxy that holds streams back"
        findings.wrong(tried, "the device was heard but there is no history", remedy)
    elif items == 0:
        findings.note(tried, "open; no device was heard yet, so nothing can be seen")
    else:
        findings.ok(tried, f"history of {items} events")
        _check_reach(findings, histories, connection.settings.outage_h * 3600)


async def _history(connection: Connection, opened: Opener, device: Device) -> DeviceHistory | str:
    """What the server sends of a device's past; a text: why it sends nothing."""
    call = opened(api.StreamDeviceEventsRequest(dev_eui=device.dev_eui), metadata=connection.metadata())
    history = DeviceHistory()
    try:
        async with asyncio.timeout(HISTORY_MOST_S) as most:
            while True:
                async with asyncio.timeout(HISTORY_WAIT_S):
                    item = await call.read()
                if not isinstance(item, api.LogItem):  # EOF
                    break
                item_id = parse(item.id)
                if item_id is not None:
                    history.take(item_id[0], item.description, item.body, connection.settings.max_item_bytes)
    except TimeoutError:
        if most.expired():
            history.left(device.last_seen_ms or 0)
    except grpc.aio.AioRpcError as error:
        return describe(error)
    finally:
        call.cancel()
    history.ended()
    return history


def _check_reach(findings: Findings, histories: Mapping[str, DeviceHistory], outage_s: float) -> None:
    """The number of events that the server keeps cannot be asked for; it is the same for all devices."""
    tried = f"history of {len(histories)} devices" if len(histories) > 1 else "history"
    short = shortage(histories, outage_s)
    seen = reaches(histories).values()
    most = max(history.items for history in histories.values())
    if short is not None:
        what, _, remedy = str(short).rpartition(": ")
        findings.wrong(tried, what, remedy)
    elif seen:
        findings.ok(tried, f"reaches back {hours(min(seen))} or more, {most} events of a device")
    else:
        text = f"at most {most} events of a device, none was deleted yet as far as can be seen, so the limit is not known"
        remedy = f"{SETTING} has to hold {hours(outage_s)} of a device's events, for example {WANTED}"
        findings.note(tried, text, remedy)


async def _check_enqueue(
    findings: Findings, settings: Settings, redactor: Redactor, channel: grpc.aio.Channel, device: Device
) -> None:
    """Ask for a downlink to FPort 0, which no application may send: the server says so, after it has looked at the key."""
    chirpstack = settings.chirpstack
    path, setting = chirpstack.api_key_file, "chirpstack.api_key_file"
    if chirpstack.write_key_file is not None:
        path, setting = chirpstack.write_key_file, "chirpstack.write_key_file"
    tried = f"downlinks with {setting}"
    stub = api.DeviceServiceStub(channel)  # type: ignore[no-untyped-call]
    item = api.DeviceQueueItem(dev_eui=device.dev_eui, f_port=0, data=b"\0")
    try:
        metadata = Connection(chirpstack, SecretFile(path, setting, redactor)).metadata()
        await stub.Enqueue(
            api.EnqueueDeviceQueueItemRequest(queue_item=item),
            metadata=metadata,
            timeout=chirpstack.request_timeout_s,
        )
    except SettingsError as error:
        findings.wrong(tried, str(error))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            findings.ok(tried, "allowed")
        elif error.code() in _MAY_NOT:
            text = f"refused ({describe(error)}): nodes cannot be asked for what is missing"
            remedy = "chirpstack.write_key_file names a key that may write, or healing.enabled = false"
            findings.note(tried, text, remedy)
        else:
            findings.note(tried, f"cannot be told: {describe(error)}")
    else:
        findings.note(
            tried, "the server took a downlink to FPort 0, which it should refuse", "empty its queue"
        )


def _remedy(error: str, settings: Settings) -> str:
    if "UNAUTHENTICATED" in error:
        return "the key in chirpstack.api_key_file must be of this tenant and not deleted"
    if "UNAVAILABLE" in error or "DEADLINE_EXCEEDED" in error:
        tls = "without TLS" if settings.chirpstack.insecure else "with TLS"
        return f"is this the address of the gRPC API, and does it speak {tls} (setting chirpstack.insecure)?"
    return ""
