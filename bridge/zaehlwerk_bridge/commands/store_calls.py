"""What the dispatcher and the listener ask of the store, each of them one call on its thread."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zaehlwerk_bridge.commands.life import Downlink, Fate, Stage, next_downlink
from zaehlwerk_bridge.commands.request import seconds
from zaehlwerk_bridge.republishing import Period
from zaehlwerk_bridge.store import Store

if TYPE_CHECKING:  # what reads settings takes 15 MB, which the store's process does without
    from zaehlwerk_bridge.settings import CommandsSettings


@dataclass(frozen=True, slots=True)
class Due:
    """A frame that is to be put into a device's queue or, if that was begun, to be looked for there."""

    seq: int
    dev_eui: str
    kind: str
    confirmed: bool
    expires_ns: int
    downlink: Downlink


def take(
    store: Store, topic: str, station: str, payload: bytes, limits: "CommandsSettings", now_ns: int
) -> None:
    """Take a command's message."""
    store.commands.take(topic, station, payload, limits, now_ns)


def changes(store: Store) -> tuple[set[str], Counter[tuple[str, Fate]]]:
    """Which devices' commands have changed since the last call, and the fates."""
    return store.commands.changes()


def devices(store: Store) -> list[str]:
    """Devices with commands that are not at their end."""
    return store.commands.table.devices()


def next_of(store: Store, dev_eui: str) -> Due | None:
    """What is next for a device; None: nothing."""
    entries = store.commands.table.open_of(dev_eui)
    for entry in entries:
        for downlink in entry.life.downlinks:
            if downlink.stage is Stage.TRYING:
                return Due(
                    entry.seq, dev_eui, entry.kind, entry.life.confirmed, entry.life.expires_ns, downlink
                )
    found = next_downlink([entry.life for entry in entries])
    if found is None:
        return None
    entry = entries[found[0]]
    return Due(entry.seq, dev_eui, entry.kind, entry.life.confirmed, entry.life.expires_ns, found[1])


def begin_enqueue(store: Store, seq: int, part: int, others: Collection[str], now_ns: int) -> bool:
    """Say that an Enqueue begins; False: it must not, for its fate has changed."""
    return store.commands.begin_enqueue(seq, part, others, now_ns)


def enqueued(store: Store, seq: int, part: int, item: str, now_ns: int) -> None:
    """The server has it as `item`."""
    store.commands.enqueued(seq, part, item, now_ns)


def unclaimed(store: Store, dev_eui: str, downlink: Downlink) -> str | None:
    """An item that the server spoke of and nobody knows, since that frame was given to it."""
    return store.commands.unclaimed(dev_eui, downlink.since_ns, downlink.others)


def absent(store: Store, seq: int, part: int, now_ns: int, again: str = "") -> None:
    """The server does not have it."""
    store.commands.absent(seq, part, now_ns, again)


def refuse(store: Store, seq: int, reason: str, now_ns: int) -> None:
    """It will not be done."""
    store.commands.refuse(seq, reason, now_ns)


def expire(store: Store, now_ns: int) -> None:
    """End what was not done in time."""
    store.commands.expire(now_ns)


def next_expiry(store: Store) -> int | None:
    """When that is next due, nanoseconds UTC."""
    return store.commands.next_expiry_ns()


def abandon(store: Store, now_ns: int) -> None:
    """The store is a copy: what of its commands was done since it was made is not known."""
    store.commands.abandon(now_ns)


def republish(store: Store, now_ns: int) -> None:
    """Do what the bridge itself was asked for. Done again from the beginning if it is interrupted: that harms nobody."""
    for entry in store.commands.table.bridges_own():
        begin, end = (
            None if at is None else seconds(at) for at in (entry.request["from"], entry.request["to"])
        )
        done = store.republish(entry.station, Period(begin, end), now_ns)
        if done.records:
            answer = {
                "result": "ok",
                "messages": done.messages,
                "records": done.records,
                "superseded": done.superseded,
            }
            store.commands.done(entry.seq, answer, now_ns)
        else:
            store.commands.refuse(entry.seq, "nothing of that time is kept", now_ns)
