"""Tries ChirpStack as the bridge uses it: key, tenants, devices, a stream with its history, and the right to enqueue."""

import asyncio

import grpc
import grpc.aio
from chirpstack_api import api

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.sources.connection import Connection, describe
from zaehlwerk_bridge.sources.discovery import Device, DiscoveryError, list_applications, list_devices

HISTORY_DEFAULT = 10
"""Events that ChirpStack keeps for each device unless told otherwise ([monitoring] in its configuration)."""
HISTORY_WANTED = 100
HISTORY_WAIT_S = 3.0
"""A stream delivers its history at once, then looks for news every second; a silence this long is its end."""
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
        device = max(devices.values(), key=lambda device: (device.last_seen_ms or 0, device.dev_eui))
        if settings.source == "grpc":
            await _check_stream(findings, connection, channel, device)
        if settings.healing.enabled:
            await _check_enqueue(findings, settings, redactor, channel, device)
    except DiscoveryError as error:
        findings.wrong(f"server {server}", str(error), _remedy(str(error), settings))
    finally:
        await channel.close()
    return findings


async def _check_stream(
    findings: Findings, connection: Connection, channel: grpc.aio.Channel, device: Device
) -> None:
    """Read the history of the device that was heard last."""
    tried = f"stream of {device.dev_eui}"
    stub = api.InternalServiceStub(channel)  # type: ignore[no-untyped-call]
    call = stub.StreamDeviceEvents(
        api.StreamDeviceEventsRequest(dev_eui=device.dev_eui), metadata=connection.metadata()
    )
    items = 0
    try:
        while True:
            async with asyncio.timeout(HISTORY_WAIT_S):
                if await call.read() is grpc.aio.EOF:
                    break
            items += 1
    except TimeoutError:
        pass
    except grpc.aio.AioRpcError as error:
        findings.wrong(tried, describe(error), "may this key read this tenant?")
        return
    finally:
        call.cancel()
    raise_it = f"set [monitoring] per_device_event_log_max_history to {HISTORY_WANTED} in ChirpStack"
    if items == 0 and device.last_seen_ms is not None:
        remedy = f"{raise_it}; if it is set, look for a proxy that holds streams back"
        findings.wrong(tried, "the device was heard but there is no history", remedy)
    elif items == 0:
        findings.note(tried, "open; no device was heard yet, so nothing can be seen")
    elif items <= HISTORY_DEFAULT:
        text = f"history of {items}: an outage of more events than the server keeps loses what is older"
        findings.note(tried, text, raise_it)
    else:
        findings.ok(tried, f"history of {items} events")


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
