"""Messages: topics and payloads as the platform gets them. Pure; what is stored and sent is exactly this."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zaehlwerk_bridge.checkpoint import KIND, Checkpoint
from zaehlwerk_bridge.station import Station

VERSION = "v1"
CONTENT_TYPE = "application/json"
EVENT_TYPE = "zaehlwerk.v1"
SPEC_VERSION = "1.0"  # CloudEvents
RESULT = "result"

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Told:
    """A record in a message, as far as who passes the message on has to know it."""

    id: str
    revision: int
    resolution: str


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message. `properties`: CloudEvents attributes, the same on every redelivery."""

    station: str  # slug; empty for the bridge itself; of results a queue of their own
    topic: str
    payload: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
    retain: bool = False
    in_turn: bool = False  # retained, but does not take the place of an older one that waits
    records: Sequence[Told] = ()
    supersedes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics that the publisher uses itself, under `prefix` for bridge `bridge_id`."""

    prefix: str
    bridge_id: str

    @property
    def status(self) -> str:
        """Where the bridge says that it is there, retained."""
        return f"{self.prefix}/{VERSION}/bridge/{self.bridge_id}/status"

    def checkpoint(self, slug: str) -> str:
        """Where the checkpoint of a station is, retained."""
        return f"{self.prefix}/{VERSION}/{slug}/{KIND}"

    def station(self, topic: str) -> str | None:
        """The station whose checkpoint is at `topic`; None: it is no such topic."""
        begin, end = f"{self.prefix}/{VERSION}/", f"/{KIND}"
        if not topic.startswith(begin) or not topic.endswith(end):
            return None
        return topic[len(begin) : -len(end)]


class Messages:
    """Makes messages under `prefix` for bridge `bridge_id`."""

    def __init__(self, prefix: str, bridge_id: str) -> None:
        self._prefix = prefix
        self._bridge_id = bridge_id

    def records(self, slug: str, records: Sequence[Mapping[str, Any]], supersedes: Sequence[str]) -> Message:
        """Records, and the ids that they supersede, for one transaction of the consumer."""
        only_spans = all(record["resolution"] == "span" for record in records)
        content: dict[str, Any] = {"station": slug, "records": list(records), "supersedes": list(supersedes)}
        newest = max(int(record["revision"]) for record in records)
        time = max((record["end"] for record in records if record["end"]), default=None)
        message = self._station(slug, "span" if only_spans else "count", content, f"{slug}.{newest}", time)
        told = [Told(record["id"], record["revision"], record["resolution"]) for record in records]
        return replace(message, records=told, supersedes=supersedes)

    def last(self, slug: str, record: Mapping[str, Any]) -> Message:
        """The newest interval of a station; retained."""
        content = {"station": slug, "record": record}
        identity = f"{slug}.{record['revision']}.last"
        return self._station(slug, "last", content, identity, record["end"], retain=True)

    def meta(self, station: Station) -> Message:
        """What a station is; retained."""
        content = {
            "station": station.slug,
            "name": station.name,
            "position": None if station.position is None else list(station.position),
            "corridor": station.corridor or None,
            "works": station.works or None,
            "channels": [
                {"name": channel.name, "class": channel.traffic_class, "direction": channel.direction}
                for channel in station.channels
            ],
        }
        return self._station(station.slug, "meta", content, f"{station.slug}.meta", None, retain=True)

    def checkpoint(self, checkpoint: Checkpoint, newest: int) -> Message:
        """What may have been published of a station whose newest revision is `newest`; retained, and never in the
        place of an older one that waits."""
        slug, content = checkpoint.station, checkpoint.content()
        identity = f"{slug}.{newest}.{KIND}"
        return replace(self._station(slug, KIND, content, identity, None, retain=True), in_turn=True)

    def about(
        self, slug: str, kind: str, content: Mapping[str, Any], identity: str, time: str | None
    ) -> Message:
        """A status, flow or alarm message."""
        return self._station(slug, kind, {"station": slug, **content}, identity, time)

    def result(self, slug: str, content: Mapping[str, Any], identity: str, time: str) -> Message:
        """What became of a command. It waits for no other message of the station: somebody waits for it."""
        return replace(self.about(slug, RESULT, content, identity, time), station=f"{slug}/{RESULT}")

    def rejected(self, content: Mapping[str, Any], identity: str) -> Message:
        """Something that could not be read, with the reason."""
        topic = f"{self._prefix}/{VERSION}/bridge/{self._bridge_id}/rejected"
        return Message("", topic, _json(content), self._attributes("rejected", identity, None))

    def _station(
        self,
        slug: str,
        kind: str,
        content: Mapping[str, Any],
        identity: str,
        time: str | None,
        *,
        retain: bool = False,
    ) -> Message:
        topic = f"{self._prefix}/{VERSION}/{slug}/{kind}"
        return Message(slug, topic, _json(content), self._attributes(kind, identity, time), retain)

    def _attributes(self, kind: str, identity: str, time: str | None) -> dict[str, str]:
        attributes = {
            "specversion": SPEC_VERSION,
            "id": identity,
            "source": f"{self._prefix}/{VERSION}/bridge/{self._bridge_id}",
            "type": f"{EVENT_TYPE}.{kind}",
        }
        return attributes if time is None else {**attributes, "time": time}


def _json(content: Mapping[str, Any]) -> bytes:
    return _ENCODE(content).encode()
