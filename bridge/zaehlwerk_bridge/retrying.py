"""Tries again what was rejected, after what was wrong is mended: tags, the program, the broker's limit of a packet."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.intake import Fate, Intake, Taken
from zaehlwerk_bridge.messages import Message
from zaehlwerk_bridge.outbox import Outbox, OutboxRow
from zaehlwerk_bridge.rejected import Cause, RejectedRow


class Retry(enum.StrEnum):
    """What became of a row of the table of rejected ones."""

    TAKEN = "taken"
    """The event is in the ledger now, and what follows from it in the outbox."""
    WAITING = "waiting"
    """The frame could be read; it waits for a status frame that names its epoch."""
    SENT = "sent"
    """The message is in the outbox again."""
    OVERTAKEN = "overtaken"
    """A retained message: the present one of its topic is in the outbox instead."""
    DROPPED = "dropped"
    """Deleted."""
    REJECTED = "rejected"
    """Rejected again; the row stays."""
    NOTHING = "nothing"
    """The source could not read the event: there is nothing to try. The row stays."""
    GONE = "gone"
    """There is no such row."""


DEALT_WITH = frozenset({Retry.TAKEN, Retry.WAITING, Retry.SENT, Retry.OVERTAKEN, Retry.DROPPED})
"""Fates that leave no row behind."""


@dataclass(frozen=True, slots=True)
class Retried:
    """A row's fate, and if it stays: why."""

    id: int
    fate: Retry
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a retry does to the tables beyond its row: what to send."""

    fate: Retry
    told: tuple[Message, ...] = ()
    cause: Cause | None = None
    reason: str = ""


def retry_event(
    row: RejectedRow, event: Event, intake: Intake, overrides: Mapping[str, Mapping[str, str]], now_ns: int
) -> Attempt:
    """Take the event of `row` with the tags that it came with, else with those that its device has now.

    `overrides`: by DevEUI, what the settings say instead of tags.
    """
    if row.cause is Cause.UNREADABLE or not event.payload:
        return Attempt(Retry.NOTHING, cause=row.cause, reason=row.reason)
    override = overrides.get(event.dev_eui, {})
    taken = intake.attempt(replace(event, tags={**event.tags, **override}), now_ns)
    if taken.cause is Cause.NO_STATION:
        served = intake.served(event)
        if served is not None:
            taken = intake.attempt(replace(served, tags={**served.tags, **override}), now_ns)
    return _attempted(taken)


def _attempted(taken: Taken) -> Attempt:
    told = tuple(taken.told)
    if taken.cause is not None:
        return Attempt(Retry.REJECTED, told, taken.cause, taken.reason)
    return Attempt(Retry.WAITING if taken.fate is Fate.WAITING else Retry.TAKEN, told)


def retry_message(message: OutboxRow, outbox: Outbox, present: Message | None) -> Attempt:
    """Put `message` back into the outbox; instead of a retained one `present`, what its topic should say now."""
    if not message.retain:
        again = Message(message.station, message.topic, message.payload, dict(message.properties))
        return Attempt(Retry.SENT, (again,))
    if present is None or outbox.has_topic(message.topic):
        return Attempt(Retry.OVERTAKEN)
    return Attempt(Retry.OVERTAKEN, (present,))
