"""A plain consumer, by the documented rule and nothing else, and what it must find at any moment."""

import json
from collections.abc import Iterable
from typing import Any

from bridge.tests.ledger.node import CHANNELS, Key, Node
from zaehlwerk_bridge.outbox import OutboxRow

Record = dict[str, Any]


class Platform:
    """Records by id, and tombstones."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.tombstones: dict[str, int] = {}

    def take(self, rows: Iterable[OutboxRow]) -> None:
        """Messages, in whatever order."""
        for row in rows:
            if not row.topic.endswith(("/count", "/span")):
                continue
            message = json.loads(row.payload)
            revision = max(record["revision"] for record in message["records"])
            for record in message["records"]:
                held = self.records.get(record["id"], {"revision": 0})["revision"]
                if record["revision"] > max(held, self.tombstones.get(record["id"], 0)):
                    self.records[record["id"]] = record
            for superseded in message["supersedes"]:
                if superseded in self.records and self.records[superseded]["revision"] <= revision:
                    del self.records[superseded]
                self.tombstones[superseded] = max(revision, self.tombstones.get(superseded, 0))

    def sums(self) -> list[int]:
        """What was counted, per channel."""
        return [
            sum(record["channels"][channel]["count"] or 0 for record in self.records.values())
            for channel in range(CHANNELS)
        ]


def verify(platform: Platform, node: Node) -> None:
    """Every standing record tells the truth of exactly the intervals that it stands for, and no two of the same."""
    for epoch in node.epochs:
        for unsynced in (False, True):
            told = [
                (name[0], name[2].replace("u", ""), record)
                for record, name in (
                    (record, record["id"].rsplit(".", 2)) for record in platform.records.values()
                )
                if int(name[1], 16) == epoch and name[2].lstrip("-").startswith("u") == unsynced
            ]
            line = {
                name: record
                for station, name, record in told
                if not _is_withdrawn(station, name, record, told)
            }
            _verify_line(line, node, epoch, unsynced, len(told) - len(line))


def _is_withdrawn(station: str, name: str, record: Record, told: list[tuple[str, str, Record]]) -> bool:
    """Whether it says that its station observed nothing, because another one did."""
    if any(channel["count"] is not None for channel in record["channels"]):
        return False
    last = _range(name)[1]
    return record["resolution"] == "span" or any(
        other != station and (_range(by)[0] or 0) <= last <= _range(by)[1] for other, by, _ in told
    )


def _verify_line(line: dict[str, Record], node: Node, epoch: int, unsynced: bool, left_out: int) -> None:
    """`left_out`: records that were perhaps withdrawn, and are perhaps of intervals that nobody observed."""
    taken: set[int] = set()
    for name, record in sorted(line.items(), key=lambda pair: _width(pair[0])):
        first, last = _range(name)
        whole = range(first if first is not None else _first(node, epoch, unsynced), last + 1)
        stands_for = [number for number in whole if number not in taken]
        taken.update(stands_for)
        counts = [channel["count"] for channel in record["channels"]]
        true = [0] * CHANNELS
        for number in stands_for:
            for channel, count in enumerate(node.truth.get((epoch, unsynced, number), (0,) * CHANNELS)):
                true[channel] += count
        if first is None:
            base = next(totals for (e, u, _), totals in node.base.items() if (e, u) == (epoch, unsynced))
            true = [total + count for total, count in zip(base, true, strict=True)]
        else:
            assert len(stands_for) - left_out <= record["intervals"] <= len(stands_for), record
        assert [count or 0 for count in counts] == true, (record, true, node.epochs)
        if record["resolution"] == "interval":
            _verify_cover(record, node.cover.get((epoch, unsynced, last)))


def _verify_cover(record: Record, cover: tuple[int, int] | None) -> None:
    for number, channel in enumerate(record["channels"]):
        if channel["quality"] == "unknown":
            assert channel["coverage"] is None
            continue
        assert cover is not None
        mask, worst = cover
        partial = bool(mask >> number & 1)
        assert channel["coverage"] == (round(worst / 255, 3) if partial else 1.0), record
        assert (channel["count"] is None) == (partial and worst == 0), record


def _width(name: str) -> int:
    first, last = _range(name)
    return 1 << 40 if first is None else last - first


def _range(name: str) -> tuple[int | None, int]:
    first, hyphen, last = name.partition("-")
    if not hyphen:
        return int(name), int(name)
    return int(first) if first else None, int(last)


def _first(node: Node, epoch: int, unsynced: bool) -> int:
    return min((key[2] for key in node.truth if key[:2] == (epoch, unsynced)), default=0)


def truth_sum(node: Node) -> list[int]:
    """All that was ever counted."""
    keys: list[Key] = [key for key in node.base if sum(node.base[key])]
    return [
        sum(counts[channel] for counts in node.truth.values()) + sum(node.base[key][channel] for key in keys)
        for channel in range(CHANNELS)
    ]
