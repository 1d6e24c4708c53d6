"""A node of the tests: counts, and makes the frames and the stream items that a real one would cause."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status

INTERVAL_S = 900
START_S = 1_782_000_000 // INTERVAL_S * INTERVAL_S
"""A quarter-hour in June 2026, Unix seconds."""


@dataclass(frozen=True)
class Item:
    """One item of a device's stream, as ChirpStack keeps it."""

    id: str
    description: str
    body: str


@dataclass
class Node:
    """A bicycle counter with one channel."""

    dev_eui: str
    station: str
    epoch: int = 0x1234
    total: int = 0
    slot: int = START_S // INTERVAL_S
    f_cnt: int = 0
    counts: list[int] = field(default_factory=list)

    def status(self) -> Item:
        """The first frame: names the epoch and anchors the totals."""
        return self._item(Status(1, 0, self.epoch, INTERVAL_S, (self.slot % 65536, [self.total])))

    def count(self, count: int, *, history: int = 2) -> Item:
        """The frame of the next interval, in which `count` passed."""
        self.slot += 1
        self.total += count
        rows = [[past] for past in self.counts[::-1][:history]]
        self.counts.append(count)
        return self._item(Counts(self.slot % 65536, 0, [self.total % 65536], rows))

    def says(self, frame: Any) -> Item:
        """An uplink with any other frame."""
        return self._item(frame)

    @property
    def now_s(self) -> int:
        """When the frame of the last closed interval arrives, Unix seconds."""
        return (self.slot + 1) * INTERVAL_S + 5

    def _item(self, frame: Any) -> Item:
        self.f_cnt += 1
        body = up_body(
            self.dev_eui, self.station, frame.PORT, frame.encode(), self.f_cnt, f"{self.dev_eui}-{self.f_cnt}"
        )
        return Item(f"{self.now_s * 1000}-{self.f_cnt}", "up", json.dumps(body))


def up_body(
    dev_eui: str, station: str, port: int, payload: bytes, f_cnt: int, dedup_id: str
) -> dict[str, Any]:
    """The body of an uplink event with what the bridge reads of it."""
    return {
        "deduplicationId": dedup_id,
        "deviceInfo": {
            "deviceName": station,
            "devEui": dev_eui,
            "tags": {"station": station, "channels": "bicycles", "classes": "bicycle", "directions": "in"},
        },
        "dr": 5,
        "fCnt": f_cnt,
        "fPort": port,
        "data": base64.b64encode(payload).decode(),
        "rxInfo": [{"gatewayId": "0102030405060708", "rssi": -80, "snr": 7.5}],
    }
