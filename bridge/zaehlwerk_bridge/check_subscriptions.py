"""Tries what only a subscriber sees: whether commands would come in, and how many messages the broker keeps for who is away."""

import asyncio
import secrets

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.commands.session import CommandSession
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.messages import VERSION
from zaehlwerk_bridge.mqtt_packet import PublishProperties
from zaehlwerk_bridge.mqtt_session import FIRST_ERROR, ConnectFailed, MqttSession, reason_name
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import MqttSettings, Settings

KEPT_S = 600
"""So long the broker keeps the session of a subscriber that is only there for the check, should the check die."""
IN_FLIGHT = 10
QUIET_S = 2.0
"""When nothing has come for so long, nothing more comes."""


async def check_subscriptions(
    settings: Settings, redactor: Redactor, queued: int, station: str, name: str
) -> Findings:
    """Subscribe to commands, and, if `queued` is not 0, let so many messages wait for somebody who is away.

    `station` takes a station's place in the topic of those, `name` is part of the client ids; no other check has them.
    """
    findings = Findings("broker", redactor)
    password = None
    if settings.mqtt.password_file is not None:
        password = SecretFile(settings.mqtt.password_file, "mqtt.password_file", redactor)
    who = f"{settings.client_id}-check-{name}"
    tried = "queue"
    try:
        if settings.commands.enabled:
            tried = f"subscribe {settings.prefix}/{VERSION}/+/command"
            await _check_commands(findings, settings, password, who, tried)
        if queued:
            tried = f"queue of {queued} messages"
            topic = f"{settings.prefix}/{VERSION}/{station}/checkpoint"
            await _check_queue(findings, settings, password, who, tried, topic, queued)
    except (ConnectFailed, SettingsError) as error:
        findings.wrong(
            tried, str(error), "the broker let the first connection in and not this one: see its log"
        )
    return findings


async def _check_commands(
    findings: Findings, settings: Settings, password: SecretFile | None, who: str, tried: str
) -> None:
    topic = tried.removeprefix("subscribe ")
    subscriber = _Subscriber(settings.mqtt, password, f"{who}-commands")
    await subscriber.session.connect()
    try:
        code = await subscriber.subscribe(topic)
    finally:
        await subscriber.session.disconnect()
    if code is None:
        findings.wrong(tried, "no answer", "the broker's log says why")
    elif code >= FIRST_ERROR:
        remedy = f"allow this user to read {topic} (Mosquitto: `topic read {topic}`)"
        findings.wrong(tried, reason_name(code), remedy)
    else:
        findings.ok(tried, "allowed")


async def _check_queue(
    findings: Findings,
    settings: Settings,
    password: SecretFile | None,
    who: str,
    tried: str,
    topic: str,
    queued: int,
) -> None:
    """Subscribe, go away, publish, come back and count."""
    away = _Subscriber(settings.mqtt, password, f"{who}-queue")
    await away.session.connect(KEPT_S)
    code = await away.subscribe(topic)
    await away.session.disconnect()
    refused = 0
    mark = secrets.token_hex(8)
    if code is not None and code < FIRST_ERROR:
        refused = await _publish(settings.mqtt, password, who, topic, mark, queued)
    back = _Subscriber(settings.mqtt, password, f"{who}-queue", mark)
    await back.session.connect(KEPT_S)
    came = await back.count(queued)
    await back.session.disconnect()
    gone = _Subscriber(settings.mqtt, password, f"{who}-queue")
    await gone.session.connect()  # with a clean start, and nothing is kept
    await gone.session.disconnect()
    remedy = "let it keep more (Mosquitto: max_queued_messages), or a platform that is away loses counts that were acknowledged"
    if code is None or code >= FIRST_ERROR:
        text = "no answer to the subscription" if code is None else reason_name(code)
        findings.wrong(tried, text, f"allow this user to read {topic}")
    elif came == queued:
        findings.ok(tried, "all of them waited for a subscriber that was away")
    elif came + refused >= queued:
        findings.note(tried, f"{came} waited for a subscriber that was away, the others were refused", remedy)
    else:
        text = f"{came} waited for a subscriber that was away, {queued - came - refused} were acknowledged and lost"
        findings.wrong(tried, text, remedy)


async def _publish(
    mqtt: MqttSettings, password: SecretFile | None, who: str, topic: str, mark: str, queued: int
) -> int:
    """Publish small messages, QoS 1; returns how many the broker did not take."""
    codes: list[int] = []
    answered = asyncio.Event()

    def acknowledged(_mid: int, code: int) -> None:
        codes.append(code)
        answered.set()

    session = MqttSession(mqtt, who, password, None, acknowledged)
    await session.connect()
    try:
        for number in range(queued):
            session.publish(topic, f"{mark}.{number}".encode(), False, PublishProperties("", {}))
            session.flush()
            while number + 1 - len(codes) >= (IN_FLIGHT if number + 1 < queued else 1):
                answered.clear()
                async with asyncio.timeout(mqtt.connect_timeout_s):
                    await answered.wait()
    except TimeoutError:
        codes += [FIRST_ERROR] * (queued - len(codes))
    finally:
        await session.disconnect()
    return sum(code >= FIRST_ERROR for code in codes)


class _Subscriber:
    """A session that may outlive its connection, and counts what begins with `mark`."""

    def __init__(self, mqtt: MqttSettings, password: SecretFile | None, who: str, mark: str = "") -> None:
        self._timeout_s = mqtt.connect_timeout_s
        self._mark = mark.encode()
        self._count = 0
        self._came = asyncio.Event()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.session = CommandSession(mqtt, who, password, self._received, self._subscribed)

    async def subscribe(self, topic: str) -> int | None:
        """Return the broker's reason code, None if none came."""
        self.session.subscribe(topic)
        await asyncio.wait(
            (self._code, self.session.ended), timeout=self._timeout_s, return_when="FIRST_COMPLETED"
        )
        return self._code.result() if self._code.done() else None

    async def count(self, most: int) -> int:
        """How many come, until there is quiet."""
        try:
            while self._count < most:
                self._came.clear()
                async with asyncio.timeout(QUIET_S):
                    await self._came.wait()
        except TimeoutError:
            pass
        return self._count

    def _received(self, mid: int, _topic: str, payload: bytes) -> None:
        if mid:
            self.session.done(mid)
        if payload.startswith(self._mark):
            self._count += 1
            self._came.set()

    def _subscribed(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)
