"""What a station's retained checkpoint at the broker says: everything that may have been published of its records.

A checkpoint goes out before the first message that it covers, and says more than was published yet: revisions and
intervals ahead, so that a new one is needed rarely. A store that is a copy, or new, reads it, and knows what it must
neither repeat nor add to. Pure.

An epoch has a checkpoint too, which names the stations that have records of it and nothing else. A store that begins with a
node that was moved while nobody listened finds by it where the node was counted before.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.ledger.record import read_id

KIND = "checkpoint"
REVISIONS_AHEAD = 1000
INTERVALS_AHEAD = 24
MOST = 2**62
"""No revision, no number of an interval is larger: databases hold 63 bits."""
MOST_INTERVALS = 20_000_000
"""In a range: nearly 40 years of minutes. A place is kept of each that is not known."""
_EPOCH = "epoch."
_NAME = re.compile(rf"[a-z0-9-]+|{re.escape(_EPOCH)}[0-9a-f]{{8}}")
"""A station, as a topic has it, or an epoch."""


class CheckpointError(ValueError):
    """A payload that is no checkpoint; the text says why."""


@dataclass(frozen=True, slots=True)
class Range:
    """Intervals of one numbering of one epoch, `first` to `last`."""

    epoch: int
    unsynced: bool
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """No record of `station` was published that is not covered here; not all of these were."""

    station: str
    revision: int
    """No higher one was published. Of an epoch: nothing."""
    ranges: Sequence[Range]
    """Intervals that may have a record each."""
    spans: Sequence[str]
    """Ids of all other records that may stand."""
    company: Sequence[str] = ()
    """Other stations that have records of the same epochs: a node was moved from one to the other. Of an epoch: all of them."""

    def content(self) -> dict[str, Any]:
        """The message's content."""
        return {
            "station": self.station,
            "revision": self.revision,
            "intervals": [
                {"epoch": f"{one.epoch:08x}", "unsynced": one.unsynced, "first": one.first, "last": one.last}
                for one in self.ranges
            ],
            "spans": list(self.spans),
            "with": list(self.company),
        }


def epoch_name(epoch: int) -> str:
    """What stands for an epoch where checkpoints name stations; no station is called so, for a slug has no full stop."""
    return f"{_EPOCH}{epoch:08x}"


def is_epoch(name: str) -> bool:
    """Whether `name` stands for an epoch and not for a station."""
    return name.startswith(_EPOCH)


def epoch_at(topic: str) -> int | None:
    """The epoch whose checkpoint is at `topic`; None: it is a station's."""
    name = topic.split("/")[-2]
    return int(name.removeprefix(_EPOCH), 16) if is_epoch(name) else None


def read_checkpoint(payload: bytes, station: str) -> Checkpoint:
    """Return what the retained message of `station`, or of an epoch by its name, says. Raises CheckpointError."""
    try:
        content: Mapping[str, Any] = json.loads(payload)
        if content["station"] != station:
            raise CheckpointError(f"it is of station {content['station']!r}")
        ranges = [
            Range(int(one["epoch"], 16), bool(one["unsynced"]), int(one["first"]), int(one["last"]))
            for one in content["intervals"]
        ]
        spans = [str(span) for span in content["spans"]]
        names = [read_id(span) for span in spans]
        company = [str(other) for other in content["with"]]
        revision = int(content["revision"])
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{type(error).__name__}: {error}") from None
    numbers = [revision, *(number for one in ranges for number in (one.first, one.last, one.epoch))]
    numbers += [number for name in names for number in (name.first or 0, name.last)]
    if any(abs(number) > MOST for number in numbers):
        raise CheckpointError("a number in it is too large")
    if sum(max(0, one.last - one.first) for one in ranges) > MOST_INTERVALS:
        raise CheckpointError(f"it is of more than {MOST_INTERVALS} intervals")
    for other in company:
        if not _NAME.fullmatch(other):
            raise CheckpointError(f"{other[:40]!r} is no station")
    return Checkpoint(station, revision, ranges, spans, company)
