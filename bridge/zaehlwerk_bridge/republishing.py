"""Makes messages of records that were told before: for a platform that lost some, or all, of what it had.

Ids and revisions are those that the records have, so whoever follows the consumer's rule takes what it lacks and
nothing twice. What was superseded goes along with what took its place.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from zaehlwerk_bridge.ledger.record import Published, body_text, published, read_id, withdrawn
from zaehlwerk_bridge.ledger.record_table import UNKNOWN, Kept
from zaehlwerk_bridge.messages import Message, Messages

RECORDS_A_MESSAGE = 50
BEFORE_ALL = -1
"""Number before every interval: where a record from the beginning begins."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `from_s` to before `to_s`, UTC Unix seconds; None: without bound. Without both also what has no time."""

    from_s: int | None = None
    to_s: int | None = None

    def touches(self, record: Kept) -> bool:
        """Whether some of the record's time lies in it."""
        if record.end_s is None:
            return self.from_s is None and self.to_s is None
        start_s = _start_s(record)
        return (self.from_s is None or record.end_s > self.from_s) and (
            self.to_s is None or start_s is None or start_s < self.to_s
        )


def republished(
    slug: str, kept: Sequence[Kept], period: Period, messages: Messages, occasion: str
) -> list[Message]:
    """Messages with all that stands of `kept`, the records of the station, in `period`, and with what they superseded.

    `occasion` tells these messages from the first ones: a broker or a platform may drop what has the id of a message
    that it had. Records of one healing stay in one message.
    """
    made: list[Message] = []
    records: list[Published] = []
    gone: list[str] = []

    def finish() -> None:
        if records:
            message = messages.records(slug, records, gone)
            identity = f"{message.properties['id']}.{occasion}.{len(made)}"
            made.append(replace(message, properties={**message.properties, "id": identity}))
            records.clear()
            gone.clear()

    for cluster in _clusters(kept):
        if not any(period.touches(record) for record in cluster):
            continue
        bodies = _standing(cluster)
        if not bodies:
            continue
        if len(records) + len(bodies) > RECORDS_A_MESSAGE:
            finish()
        records += bodies
        told = {body.id for body in bodies}
        gone += [record.id for record in cluster if record.id not in told]
    finish()
    return made


def _standing(cluster: Sequence[Kept]) -> list[Published]:
    """What stands of records that lie over each other; if nothing does, the one that says so."""
    live = [
        published(record.text, record.revision)
        for record in cluster
        if record.live and record.text != UNKNOWN
    ]
    if live:
        return live
    known = [record for record in cluster if record.text != UNKNOWN]
    if not known:
        return []
    last = max(known, key=lambda record: record.revision)
    return [published(body_text(withdrawn(json.loads(last.text))), last.revision)]


def _clusters(kept: Sequence[Kept]) -> Iterator[list[Kept]]:
    """The records by lines and, in each, those together that lie over each other."""
    placed = []
    for record in kept:
        name = read_id(record.id)
        first = BEFORE_ALL if name.first is None else name.first
        placed.append(((name.epoch, name.unsynced), first, name.last, record))
    placed.sort(key=lambda place: place[:3])
    cluster: list[Kept] = []
    line: Any = None
    reach = BEFORE_ALL
    for at, first, last, record in placed:
        if cluster and (at != line or first > reach):
            yield cluster
            cluster = []
        reach = last if not cluster else max(reach, last)
        line = at
        cluster.append(record)
    if cluster:
        yield cluster


def _start_s(record: Kept) -> int | None:
    start = None if record.text == UNKNOWN else json.loads(record.text)["start"]
    return None if start is None else int(datetime.fromisoformat(start).timestamp())
