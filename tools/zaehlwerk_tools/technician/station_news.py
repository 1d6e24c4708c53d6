"""What MQTT messages tell of a station's node: the bridge's, and ChirpStack's own where it publishes to the same broker.

Pure: topics and documents in, a NodeState out. The bridge's messages are those of bridge/CONSUMER.md; only ChirpStack's events
(`application/…/event/…`, JSON) know how the node is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from zaehlwerk_tools.slug import slug
from zaehlwerk_tools.technician.node_state import ChannelState, NodeState

CHIRPSTACK_TOPICS = ("application/+/device/+/event/up", "application/+/device/+/event/join")


@dataclass(slots=True)
class StationNews:
    """What is known of a station. `station`: as topics carry it."""

    station: str
    prefix: str
    state: NodeState = field(init=False)
    _alarms: dict[tuple[str, str], str] = field(default_factory=dict)
    _status_faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = NodeState(source=self.station, per_interval=True)

    @property
    def topics(self) -> list[str]:
        """What to subscribe to."""
        own = [f"{self.prefix}/v1/{self.station}/{kind}" for kind in ("last", "count", "status", "alarm")]
        return [*own, f"{self.prefix}/v1/bridge/+/status", *CHIRPSTACK_TOPICS]

    def take(self, topic: str, document: Any, now: float) -> bool:
        """Whether the message says something of the station. One that is not of its form is passed over."""
        if not isinstance(document, dict):
            return False
        parts = topic.split("/")
        try:
            if parts[0] == "application":
                return self._chirpstack(parts[-1], document, now)
            kind = topic.removeprefix(f"{self.prefix}/v1/")
            if kind.startswith("bridge/"):
                self.state.bridge = f"{kind.split('/')[1]} is {document['status']}"
                return True
            if document.get("station") != self.station:
                return False
            {
                "last": self._last,
                "count": self._count,
                "status": self._status,
                "alarm": self._alarm,
            }[parts[-1]](document)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            return False
        if parts[-1] != "last":  # that one is retained, and may be old
            self.state.heard_at = now
        return True

    def _last(self, document: Mapping[str, Any]) -> None:
        self._record(document["record"])

    def _count(self, document: Mapping[str, Any]) -> None:
        intervals = [
            record
            for record in document["records"]
            if record["resolution"] == "interval" and record["end"] is not None
        ]
        if intervals:
            newest = max(intervals, key=lambda record: str(record["end"]))
            if self.state.interval_end is None or newest["end"] >= self.state.interval_end:
                self._record(newest)

    def _record(self, record: Mapping[str, Any]) -> None:
        channels = [
            ChannelState(str(channel["name"]), channel["count"], None, str(channel["quality"]))
            for channel in record["channels"]
        ]
        self.state.interval_end = str(record["end"])
        self.state.interval_s = round(_seconds(record["end"]) - _seconds(record["start"]))
        self.state.channels = channels

    def _status(self, document: Mapping[str, Any]) -> None:
        state, health = self.state, document["health"]
        state.interval_s = document["interval_s"]
        state.clock_known = document["clock"] == "utc"
        state.last_frame_at = _seconds(document["received"])
        state.joined = True
        words = {"fault": "the fault bit is set", "low_battery": "low battery", "tamper": "the case is open"}
        self._status_faults = [f"status: {told}" for name, told in words.items() if document[name]]
        if health is not None:
            state.firmware, state.boots = health["firmware"], health["boots"]
            state.uptime_s, state.battery_mv = health["uptime_s"], health["battery_mv"]
            state.temperature_c, state.clock_error_ms = health["temperature_c"], health["clock_error_ms"]
            if health["crash"]:
                self._status_faults.append(f"last crash: {health['crash']}")
        # A bridge of before sends no notes.
        for noted in (document.get("notes") or {}).get("channels", ()):
            codes = ", ".join(str(code).replace("_", " ") for code in noted["notes"])
            self._status_faults.append(f"{noted['name']} noted: {codes} ({noted['share']:.0%} of the time)")
        self._tell_faults()

    def _alarm(self, document: Mapping[str, Any]) -> None:
        kind = str(document["kind"]).replace("_", " ")
        where = ", ".join(str(name) for name in document.get("channels") or ())
        if document["raised"]:
            self._alarms[kind, where] = f"alarm {kind}" + (f" ({where})" if where else "")
        else:
            self._alarms = {
                key: told
                for key, told in self._alarms.items()
                if key[0] != kind or (where and key[1] != where)
            }
        self._tell_faults()

    def _tell_faults(self) -> None:
        self.state.faults = [*self._alarms.values(), *self._status_faults]

    def _chirpstack(self, event: str, document: Mapping[str, Any], now: float) -> bool:
        device = document["deviceInfo"]
        name = str((device.get("tags") or {}).get("station") or device["deviceName"])
        if slug(name) != self.station:
            return False
        state = self.state
        state.joined = True
        state.heard_at = state.last_frame_at = now
        if event == "join":
            state.uplinks = 0
            return True
        state.uplinks = int(document.get("fCnt", 0)) + 1
        state.data_rate = int(document.get("dr", 0))
        heard = document.get("rxInfo") or []
        state.gateways = len(heard)
        if heard:
            best = max(heard, key=lambda info: (info.get("snr", 0.0), info.get("rssi", -200)))
            state.rssi, state.snr = int(best.get("rssi", 0)), float(best.get("snr", 0.0))
        return True


def _seconds(text: object) -> float:
    """Unix seconds of `2026-06-18T07:45:00Z`."""
    return datetime.fromisoformat(str(text)).timestamp()
