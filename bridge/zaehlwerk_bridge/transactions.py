"""The transactions that the service asks of its store, each of them one call at the store's workplace."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.store import Committed, Store


@dataclass(frozen=True, slots=True)
class Folded:
    """What a transaction did, and what follows."""

    done: Committed
    deadline_ns: int | None
    """When something is due in the ledger next."""
    took_s: float
    commands: bool = False
    """Whether commands to nodes were changed."""


class NotBegun(Exception):
    """A transaction was to follow one that has failed. Nothing was changed."""


def commit(
    store: Store, events: Sequence[Event], now_ns: int, acknowledged: Sequence[int], *, follows: bool = False
) -> Folded:
    """Take `events`, and forget the rows `acknowledged` of the outbox.

    follows: only if the last one went well. A cursor says that all before it is stored, so events whose predecessors
    could not be must not be either. Raises NotBegun.
    """
    if follows and store.commit_failed:
        raise NotBegun
    began = time.perf_counter()
    store.commit_failed = True
    done = store.commit(events, now_ns, acknowledged)
    store.commit_failed = False
    return Folded(done, store.next_deadline_ns(), time.perf_counter() - began, store.commands.has_changed)


def settle(store: Store, now_ns: int) -> Folded:
    """Do what time alone makes due."""
    began = time.perf_counter()
    done = store.settle(now_ns)
    return Folded(done, store.next_deadline_ns(), time.perf_counter() - began)
