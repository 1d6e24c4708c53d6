"""The bridge's own retained status at the broker: past the outbox, for the store may be what it is about."""

import json
from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.messages import CONTENT_TYPE
from zaehlwerk_bridge.mqtt_packet import PublishProperties
from zaehlwerk_bridge.mqtt_session import FIRST_ERROR, MqttSession, Will, reason_name

OFFLINE = "offline"


class BridgeStatus:
    """What is said at `topic`: one message at a time, and none that says what the one before said."""

    def __init__(self, topic: str, log: FilteringBoundLogger) -> None:
        self._topic = topic
        self._log = log
        self._state = ("online", "")
        self._announced: bytes | None = None
        self._mid = 0

    @property
    def will(self) -> Will:
        """What the broker says when the connection is lost."""
        return Will(self._topic, _content(OFFLINE, "connection lost", {}))

    @property
    def in_flight(self) -> int:
        """Messages that are not answered, 0 or 1."""
        return int(self._mid > 0)

    def say(self, state: str, reason: str) -> None:
        """From now on the status is `state`, and why; `announce` tells it."""
        self._state = (state, reason)

    def begin(self) -> None:
        """A connection has begun: the broker knows nothing of this one's status."""
        self._announced, self._mid = None, 0

    def announce(self, session: MqttSession, held: Mapping[str, str]) -> None:
        """Publish the status unless that was done. `held`: stations whose messages are held, with the reason."""
        state, reason = self._state
        payload = _content(state, reason, {} if state == OFFLINE else held)
        if self._mid or self._announced == payload:
            return
        self._announced = payload
        self._mid = session.publish(self._topic, payload, True, PublishProperties(CONTENT_TYPE, {}))
        session.flush()

    def answered(self, mid: int, code: int) -> bool:
        """Whether a PUBACK was of the status."""
        if mid != self._mid:
            return False
        self._mid = 0
        if code >= FIRST_ERROR:
            self._log.error("broker refuses a topic", topic=self._topic, reason=reason_name(code))
        return True


def _content(state: str, reason: str, held: Mapping[str, str]) -> bytes:
    content: dict[str, object] = {"state": state}
    if reason:
        content["reason"] = reason
    if held:
        station = min(held)
        content |= {"held": len(held), "for_example": f"{station}: {held[station]}"}
    return json.dumps(content, separators=(",", ":")).encode()
