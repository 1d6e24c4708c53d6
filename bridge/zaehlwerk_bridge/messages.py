"""Messages: topics and payloads as the platform gets them. Pure; what is stored and sent is exactly this."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zaehlwerk_bridge.checkpoint import KIND, Checkpoint
from zaehlwerk_bridge.ledger.record import Published
from zaehlwerk_bridge.station import Station

VERSION = "v1"
CONTENT_TYPE = "application/json"
EVENT_TYPE = "zaehlwerk.v1"
SPEC_VERSION = "1.0"  # CloudEvents
RESULT = "result"

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)  # and not frozen, which takes four times as long to make; nobody changes one
class Message:
    """One MQTT message. `properties`: CloudEvents attributes, the same on every redelivery."""

    station: str  # slug; empty for the bridge itself; of results a queue of their own
    topic: str
    payload: bytes
    properties: Mapping[str, str] = field(default_factory=dict)
    retain: bool = False
    in_turn: bool = False  # retained, but does not take the place of an older one that waits
    records: Sequence[Published] = ()
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
        self._stations = f"{prefix}/{VERSION}/"
        self._bridge = f"{prefix}/{VERSION}/bridge/{bridge_id}"

    def records(self, slug: str, records: Sequence[Published], supersedes: Sequence[str]) -> Message:
        """Records, and the ids that they supersede, for one transaction of the consumer."""
        newest = max([record.revision for record in records])
        kind = "span" if {record.resolution for record in records} == {"span"} else "count"
        # The records are JSON already, and neither slug nor ids need escapes.
        texts = ",".join([record.text for record in records])
        gone = ",".join([f'"{record}"' for record in supersedes])
        payload = f'{{"station":"{slug}","records":[{texts}],"supersedes":[{gone}]}}'
        time = max([record.end for record in records if record.end], default=None)
        return Message(
            slug,
            f"{self._stations}{slug}/{kind}",
            payload.encode(),
            self._attributes(kind, f"{slug}.{newest}", time),
            records=tuple(records),
            supersedes=tuple(supersedes),
        )

    def last(self, slug: str, record: Published) -> Message:
        """The newest interval of a station; retained."""
        payload = f'{{"station":"{slug}","record":{record.text}}}'
        attributes = self._attributes("last", f"{slug}.{record.revision}.last", record.end)
        return Message(slug, f"{self._stations}{slug}/last", payload.encode(), attributes, retain=True)

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
        topic = f"{self._bridge}/rejected"
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
        topic = f"{self._stations}{slug}/{kind}"
        return Message(slug, topic, _json(content), self._attributes(kind, identity, time), retain)

    def _attributes(self, kind: str, identity: str, time: str | None) -> dict[str, str]:
        attributes = {
            "specversion": SPEC_VERSION,
            "id": identity,
            "source": self._bridge,
            "type": f"{EVENT_TYPE}.{kind}",
        }
        if time is not None:
            attributes["time"] = time
        return attributes


def _json(content: Mapping[str, Any]) -> bytes:
    return _ENCODE(content).encode()
