"""Tries each connection of the settings and says what is wrong with each, and what to do about it."""

import asyncio
import dataclasses
import enum
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from chirpstack_api import api

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.messages import VERSION
from zaehlwerk_bridge.mqtt_packet import PublishProperties
from zaehlwerk_bridge.mqtt_session import (
    FIRST_ERROR,
    NO_MATCHING_SUBSCRIBERS,
    ConnectFailed,
    Limits,
    MqttSession,
    reason_name,
)
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
PACKET_WANTED = 65536
"""Bytes of a message that heals a long gap with a day of records, generously."""


class Verdict(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Works, but somebody should know."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: of which side, what was tried, how it ended, and what to do if it should end otherwise."""

    side: str
    tried: str
    verdict: Verdict
    text: str
    remedy: str = ""

    def line(self) -> str:
        """Return the finding in one line for people."""
        line = f"{self.verdict:5}  {self.side}: {self.tried}: {self.text}"
        return f"{line}; {self.remedy}" if self.remedy else line

    def as_dict(self) -> dict[str, str]:
        """Return the finding for machines."""
        return {**dataclasses.asdict(self), "verdict": str(self.verdict)}


async def check(settings: Settings, redactor: Redactor) -> list[Finding]:
    """Try ChirpStack and the broker as the bridge would use them; changes nothing at either."""
    sides = await asyncio.gather(check_chirpstack(settings, redactor), check_broker(settings, redactor))
    return [finding for side in sides for finding in side]


async def check_chirpstack(settings: Settings, redactor: Redactor) -> list[Finding]:
    """Try tenants, applications, devices, a stream, and see how long the server's history is."""
    server = settings.chirpstack.server
    key = SecretFile(settings.chirpstack.api_key_file, "chirpstack.api_key_file", redactor)
    connection = Connection(settings.chirpstack, key)
    findings: list[Finding] = []

    def found(tried: str, verdict: Verdict, text: str, remedy: str = "") -> None:
        findings.append(Finding("chirpstack", tried, verdict, redactor.text(text), remedy))

    try:
        connection.metadata()
        channel = connection.channel()
    except SettingsError as error:
        found("settings", Verdict.WRONG, str(error))
        return findings
    try:
        for tenant in settings.chirpstack.tenants:
            applications = await list_applications(connection, channel, tenant)
            verdict = Verdict.OK if applications else Verdict.WRONG
            remedy = "" if applications else "is this the tenant that has the counters?"
            found(f"tenant {tenant}", verdict, f"{len(applications)} applications", remedy)
        devices = await list_devices(connection, channel)
        if not devices:
            found("devices", Verdict.WRONG, "none", "register the nodes, see `zaehlwerk provision`")
            return findings
        found("devices", Verdict.OK, f"{len(devices)}")
        findings.append(await _check_stream(connection, channel, devices))
    except DiscoveryError as error:
        found(f"server {server}", Verdict.WRONG, str(error), _chirpstack_remedy(str(error), settings))
    finally:
        await channel.close()
    return findings


async def _check_stream(
    connection: Connection, channel: grpc.aio.Channel, devices: dict[str, Device]
) -> Finding:
    """Read the history of the device that was heard last."""
    device = max(devices.values(), key=lambda device: (device.last_seen_ms or 0, device.dev_eui))
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
        return Finding("chirpstack", tried, Verdict.WRONG, describe(error), "may this key read this tenant?")
    finally:
        call.cancel()
    raise_it = f"set [monitoring] per_device_event_log_max_history to {HISTORY_WANTED} in ChirpStack"
    if items == 0 and device.last_seen_ms is not None:
        remedy = f"{raise_it}; if it is set, look for a proxy that holds streams back"
        return Finding(
            "chirpstack", tried, Verdict.WRONG, "the device was heard but there is no history", remedy
        )
    if items == 0:
        return Finding(
            "chirpstack", tried, Verdict.NOTE, "open; no device was heard yet, so nothing can be seen"
        )
    if items <= HISTORY_DEFAULT:
        text = f"history of {items}: an outage of more events than the server keeps loses what is older"
        return Finding("chirpstack", tried, Verdict.NOTE, text, raise_it)
    return Finding("chirpstack", tried, Verdict.OK, f"history of {items} events")


def _chirpstack_remedy(error: str, settings: Settings) -> str:
    if "UNAUTHENTICATED" in error:
        return "the key in chirpstack.api_key_file must be of this tenant and not deleted"
    if "UNAVAILABLE" in error or "DEADLINE_EXCEEDED" in error:
        tls = "without TLS" if settings.chirpstack.insecure else "with TLS"
        return f"is this the address of the gRPC API, and does it speak {tls} (setting chirpstack.insecure)?"
    return ""


async def check_broker(settings: Settings, redactor: Redactor) -> list[Finding]:
    """Try to connect, read what the broker allows, and publish empty messages where counts would go."""
    mqtt = settings.mqtt
    findings: list[Finding] = []

    def found(tried: str, verdict: Verdict, text: str, remedy: str = "") -> None:
        findings.append(Finding("broker", tried, verdict, redactor.text(text), remedy))

    password = None
    if mqtt.password_file is not None:
        password = SecretFile(mqtt.password_file, "mqtt.password_file", redactor)
    codes: dict[int, asyncio.Future[int]] = {}

    def acknowledged(mid: int, code: int) -> None:
        if mid in codes and not codes[mid].done():
            codes[mid].set_result(code)

    try:
        # An id of its own: with the bridge's the broker would end the connection of the one that runs.
        session = MqttSession(mqtt, f"{settings.client_id}-check", password, None, acknowledged)
        limits = await session.connect()
    except (ConnectFailed, SettingsError) as error:
        found("connect", Verdict.WRONG, str(error), _broker_remedy(error, settings))
        return findings
    try:
        found("connect", Verdict.OK, f"{mqtt.host}:{mqtt.effective_port} speaks MQTT 5")
        findings += _check_limits(limits, settings)
        for topic in _topics(settings):
            mid = session.publish(topic, b"", False, PublishProperties("", {}))
            codes[mid] = asyncio.get_running_loop().create_future()
            session.flush()
            await asyncio.wait(
                (codes[mid], session.ended),
                timeout=mqtt.connect_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not codes[mid].done():
                why = session.ended.result().reason if session.ended.done() else "no PUBACK"
                found(
                    f"publish {topic}", Verdict.WRONG, why, "the broker's log says why it drops this client"
                )
                break
            findings.append(_check_right(topic, codes[mid].result()))
    finally:
        await session.disconnect()
    return findings


def _topics(settings: Settings) -> Sequence[str]:
    """Topics of a station named `check`, which no consumer takes for one: its messages are empty."""
    root = f"{settings.prefix}/{VERSION}"
    return [f"{root}/check/{kind}" for kind in ("count", "span", "last", "meta")] + [
        f"{root}/bridge/{settings.id}/rejected"
    ]


def _check_right(topic: str, code: int) -> Finding:
    tried = f"publish {topic}"
    if code >= FIRST_ERROR:
        tree = f"{topic.partition('/')[0]}/#"
        remedy = f"allow this user to write {tree} (Mosquitto: `topic write {tree}`)"
        return Finding("broker", tried, Verdict.WRONG, reason_name(code), remedy)
    if code == NO_MATCHING_SUBSCRIBERS and topic.endswith(("/count", "/span")):
        text = "allowed, but nobody has subscribed: messages are kept until somebody does"
        return Finding(
            "broker", tried, Verdict.NOTE, text, "subscribe the platform, or hold_without_subscriber = false"
        )
    return Finding("broker", tried, Verdict.OK, "allowed")


def _check_limits(limits: Limits, settings: Settings) -> list[Finding]:
    findings = []
    if limits.maximum_qos < 1:
        remedy = "counts need QoS 1: change the broker's maximum QoS"
        findings.append(Finding("broker", "QoS", Verdict.WRONG, "the broker takes QoS 0 only", remedy))
    if not limits.retain_available:
        remedy = "allow retained messages: last, meta and status are retained"
        findings.append(Finding("broker", "retain", Verdict.WRONG, "the broker keeps no messages", remedy))
    window = min(settings.mqtt.window, limits.receive_maximum)
    text = f"window of {window} (Receive Maximum {limits.receive_maximum})"
    findings.append(Finding("broker", "receive maximum", Verdict.OK, text))
    size = limits.maximum_packet_size
    if size is not None and size < PACKET_WANTED:
        remedy = f"allow at least {PACKET_WANTED}, or messages that heal long gaps are rejected"
        findings.append(Finding("broker", "packet size", Verdict.NOTE, f"at most {size} bytes", remedy))
    else:
        text = "no limit named" if size is None else f"at most {size} bytes"
        findings.append(Finding("broker", "packet size", Verdict.OK, text))
    return findings


def _broker_remedy(error: Exception, settings: Settings) -> str:
    code = error.code if isinstance(error, ConnectFailed) else None
    if code is not None:
        return "check mqtt.username, mqtt.password_file and the broker's rules for this client"
    if "TLS" in str(error):
        return "check mqtt.ca_file and that the certificate is for this host name"
    if isinstance(error, SettingsError):
        return ""
    tls = "without TLS" if settings.mqtt.insecure else "with TLS"
    return f"does a broker listen there, and does it speak {tls} (setting mqtt.insecure)?"
