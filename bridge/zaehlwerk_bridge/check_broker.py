"""Tries the broker as the bridge uses it: connection, limits, rights topic by topic, what it retains and still has."""

import asyncio
import datetime as dt
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from zaehlwerk_bridge.check_certificate import SOON, not_after
from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.check_subscriptions import check_subscriptions
from zaehlwerk_bridge.database import FAULTS, Database, Server, open_to_read
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.messages import VERSION, Topics
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
from zaehlwerk_bridge.store_place import store_place

PACKET_WANTED = 65536
"""Bytes of a message that heals a long gap with a day of records, generously."""
WINDOW_WANTED = 10
"""A smaller Receive Maximum makes every backlog slow: each message waits for the broker's way there and back."""
PROBE = "_check"
"""Takes the place of a station in topics; no station can be named so, for a station's name has no underscore."""
PROBE_KEPT_S = 60
"""So long the broker keeps what a check that dies had retained."""
KINDS = ("count", "span", "last", "meta", "status", "flow", "alarm", "result", "checkpoint")
ASKED_FOR = 10
"""Stations whose checkpoints are looked for."""


async def check_broker(settings: Settings, redactor: Redactor, queued: int = 0) -> Findings:
    """Connect, read what the broker allows, publish where the bridge would, and ask for what it should still have.

    `queued`: so many messages are left to wait for a subscriber that is away; 0: none.
    """
    mqtt = settings.mqtt
    findings = Findings("broker", redactor)
    password = None
    if mqtt.password_file is not None:
        password = SecretFile(mqtt.password_file, "mqtt.password_file", redactor)
    try:
        name = secrets.token_hex(4)
        probe = _Probe(settings, password, name)
        limits = await probe.connect()
    except (ConnectFailed, SettingsError) as error:
        findings.wrong("connect", str(error), _remedy(error, settings))
        return findings
    try:
        findings.ok("connect", f"{mqtt.host}:{mqtt.effective_port} speaks MQTT 5")
        _check_tls(findings, probe, settings)
        _check_limits(findings, limits, settings)
        if await _check_rights(findings, probe, settings):
            await _check_retained(findings, probe, settings, f"{PROBE}-{name}")
            await _check_memory(findings, probe, settings)
    finally:
        await probe.close()
    findings += await check_subscriptions(settings, redactor, queued, f"{PROBE}-{name}", name)
    return findings


class _Probe:
    """A session whose answers are waited for one by one."""

    def __init__(self, settings: Settings, password: SecretFile | None, name: str) -> None:
        self._settings = settings
        # An id of its own: with the bridge's, or another check's, the broker would end the connection of the other.
        self.session = MqttSession(
            settings.mqtt,
            f"{settings.client_id}-check-{name}",
            password,
            None,
            self._acknowledged,
            self._received,
        )
        self._codes: dict[int, asyncio.Future[int]] = {}
        self._retained: dict[str, bytes] = {}
        self._marks: dict[bytes, asyncio.Future[None]] = {}

    async def connect(self) -> Limits:
        return await self.session.connect()

    async def close(self) -> None:
        await self.session.disconnect()

    async def publish(self, topic: str, payload: bytes = b"", *, retain: bool = False) -> int | str:
        """Return the reason code, or a text that says why none came."""
        mid = self.session.publish(topic, payload, retain, PublishProperties("", {}, PROBE_KEPT_S))
        code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._codes[mid] = code
        self.session.flush()
        if await self._done(code):
            return code.result()
        return self.session.ended.result().reason if self.session.ended.done() else "no PUBACK"

    async def ask(self, topic: str) -> tuple[bool, bytes | None]:
        """Whether what is published at `topic` comes back, and what was retained there."""
        mark = secrets.token_bytes(8)
        self._marks[mark] = back = asyncio.get_running_loop().create_future()
        self.session.ask(topic, mark)
        self.session.flush()
        came = await self._done(back)
        self.session.forget(topic)
        return came, self._retained.pop(topic, None)

    async def _done(self, future: asyncio.Future[int] | asyncio.Future[None]) -> bool:
        timeout_s = self._settings.mqtt.connect_timeout_s
        await asyncio.wait(
            (future, self.session.ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        return future.done()

    def _acknowledged(self, mid: int, code: int) -> None:
        if mid in self._codes and not self._codes[mid].done():
            self._codes[mid].set_result(code)

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if retained:
            self._retained[topic] = payload
        elif payload in self._marks and not self._marks[payload].done():
            self._marks[payload].set_result(None)


def _check_tls(findings: Findings, probe: _Probe, settings: Settings) -> None:
    if settings.mqtt.insecure:
        findings.note(
            "TLS",
            "insecure = true: password and counts go in plain text",
            "leave it so only where nobody else can listen, else give the broker a certificate",
        )
        return
    try:
        until = not_after(probe.session.peer_certificate())
    except ValueError:
        return
    text = f"the broker's certificate is good until {until:%Y-%m-%d}"
    if until - dt.datetime.now(dt.UTC) < SOON:
        findings.note("TLS", text, "whoever runs the broker has to replace it")
    else:
        findings.ok("TLS", text)


def _check_limits(findings: Findings, limits: Limits, settings: Settings) -> None:
    if limits.maximum_qos < 1:
        findings.wrong(
            "QoS", "the broker takes QoS 0 only", "counts need QoS 1: change the broker's maximum QoS"
        )
    if not limits.retain_available:
        remedy = "allow retained messages: last, meta, checkpoint and status are retained"
        findings.wrong("retain", "the broker keeps no messages", remedy)
    window = min(settings.mqtt.window, limits.receive_maximum)
    text = f"window of {window} (Receive Maximum {limits.receive_maximum})"
    if limits.receive_maximum < WINDOW_WANTED:
        remedy = f"allow {WINDOW_WANTED} or more (Mosquitto: max_inflight_messages), or a backlog takes long"
        findings.note("receive maximum", text, remedy)
    else:
        findings.ok("receive maximum", text)
    size = limits.maximum_packet_size
    if size is not None and size < PACKET_WANTED:
        remedy = f"allow at least {PACKET_WANTED}, or messages that heal long gaps are rejected"
        findings.note("packet size", f"at most {size} bytes", remedy)
    else:
        findings.ok("packet size", "no limit named" if size is None else f"at most {size} bytes")


async def _check_rights(findings: Findings, probe: _Probe, settings: Settings) -> bool:
    """Publish empty messages where the bridge would publish; whether the broker still talks to us."""
    root = f"{settings.prefix}/{VERSION}"
    allowed = 0
    for topic in [f"{root}/{PROBE}/{kind}" for kind in KINDS] + [f"{root}/bridge/{settings.id}/rejected"]:
        tried = f"publish {topic}"
        answer = await probe.publish(topic)
        if isinstance(answer, str):
            findings.wrong(tried, answer, "the broker's log says why it drops this client")
            return False
        if answer >= FIRST_ERROR:
            pattern = topic.replace(PROBE, "+")
            remedy = f"allow this user to write {pattern} (Mosquitto: `topic write {pattern}`)"
            findings.wrong(tried, reason_name(answer), remedy)
            continue
        allowed += 1
        if answer == NO_MATCHING_SUBSCRIBERS and topic.endswith(("/count", "/span")):
            text = "allowed, but nobody has subscribed: messages are kept until somebody does"
            findings.note(tried, text, "subscribe the platform, or hold_without_subscriber = false")
    findings.ok("publish", f"{allowed} of {len(KINDS) + 1} topics are allowed")
    return True


async def _check_retained(findings: Findings, probe: _Probe, settings: Settings, station: str) -> None:
    """Retain something, read it again, and take it away; at a topic that no other check has."""
    topic = f"{settings.prefix}/{VERSION}/{station}/checkpoint"
    pattern = topic.replace(station, "+")
    tried = f"retain and read {pattern}"
    content = secrets.token_bytes(8)
    answer = await probe.publish(topic, content, retain=True)
    if isinstance(answer, str) or answer >= FIRST_ERROR:
        text = answer if isinstance(answer, str) else reason_name(answer)
        findings.wrong(tried, f"not retained: {text}", f"allow this user to write {pattern}, retained")
        return
    came, retained = await probe.ask(topic)
    await probe.publish(topic, b"", retain=True)
    if not came:
        text = (
            "what the bridge publishes there does not come back: nothing of a new station would be published"
        )
        remedy = f"allow this user to read {pattern} (Mosquitto: `topic readwrite {pattern}`)"
        findings.wrong(tried, text, remedy)
    elif retained != content:
        findings.wrong(tried, "the broker did not retain it", "allow retained messages")
    else:
        findings.ok(tried, "allowed")


async def _check_memory(findings: Findings, probe: _Probe, settings: Settings) -> None:
    """Whether the broker still has what it has retained for the bridge: that is what can be seen of its persistence."""
    stations = published_checkpoints(store_place(settings, Redactor()), ASKED_FOR)
    if not stations:
        text = "cannot be seen before stations were published"
        remedy = "make sure that the broker keeps retained messages and queues over a restart (Mosquitto: `persistence true`)"
        findings.note("persistence", text, remedy)
        return
    topics = Topics(settings.prefix, settings.id)
    lost = [station for station in stations if (await probe.ask(topics.checkpoint(station)))[1] is None]
    if lost:
        text = (
            f"the broker has lost what it retained of {', '.join(lost)}; so will queues for the platform be"
        )
        remedy = "make it keep them over a restart (Mosquitto: `persistence true`), then zaehlwerk-bridge republish"
        findings.wrong("persistence", text, remedy)
    else:
        findings.ok("persistence", f"it has what it retained of {len(stations)} stations")


def published_checkpoints(place: Path | Server, limit: int) -> Sequence[str]:
    """Stations whose newest checkpoint the broker has acknowledged, at most `limit`; none if there is no store to ask."""
    try:
        with closing(_looking(place)) as database:
            rows = database.execute(
                "SELECT station FROM reserve WHERE station IN (SELECT slug FROM station WHERE verified = 1)"
                " AND station NOT IN (SELECT station FROM outbox WHERE topic LIKE '%/checkpoint')"
                " ORDER BY station LIMIT ?",
                (limit,),
            ).fetchall()
    except FAULTS:  # none there yet, or not readable: the store's own check says so
        return []
    return [station for (station,) in rows]


def _looking(place: Path | Server) -> Database | sqlite3.Connection:
    if isinstance(place, Server):
        from zaehlwerk_bridge.postgres import PostgresDatabase  # noqa: PLC0415 - takes its time, and few need it

        return PostgresDatabase(place)
    return open_to_read(place)


def _remedy(error: Exception, settings: Settings) -> str:
    code = error.code if isinstance(error, ConnectFailed) else None
    if code is not None:
        return "check mqtt.username, mqtt.password_file and the broker's rules for this client"
    if "TLS" in str(error):
        return "check mqtt.ca_file and that the certificate is for this host name"
    if isinstance(error, SettingsError):
        return ""
    tls = "without TLS" if settings.mqtt.insecure else "with TLS"
    return f"does a broker listen there, and does it speak {tls} (setting mqtt.insecure)?"
