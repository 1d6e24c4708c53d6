"""What the bridge asks of a source, and what a source is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zaehlwerk_bridge.event import Event


class Sink(Protocol):
    """The bridge as a source sees it."""

    async def take(self, event: Event) -> None:
        """Hand on an event. Waits while the bridge is behind: a source does not read faster than is stored."""
        ...

    async def take_all(self, events: Sequence[Event]) -> None:
        """Hand on events, in order; as `take` of each."""
        ...

    async def cursor(self, source: str, stream: str) -> str | None:
        """Return how far `stream` was stored, None if nothing of it was."""
        ...

    def changed(self) -> None:
        """Say that `busy` or `ready` of the source may have another value now."""
        ...


@dataclass(slots=True)
class SourceCounts:
    """What a source did since the start."""

    items: int = 0
    """Items that came, replayed ones included."""
    opened: int = 0
    """Streams that were opened, again included."""
    reopened: int = 0
    """Streams that were closed and opened again because they seemed dead or their ids began again."""
    failed: int = 0
    """Streams that ended or were refused."""
    lists: int = 0
    """Lists of the devices that were read."""
    trimmed: int = 0
    """Events that the server had deleted before they were stored. Of a history it does not tell how many: each time that it
    began behind what was stored last counts one, also when nothing lay between."""
    claimed: int = 0
    """Events that another reader had taken and not stored."""
    short: int = 0
    """No count: histories at the server that are at present too short for the outage that is to be survived."""


class Source(Protocol):
    """Yields every event of its streams at least once, each stream in its order."""

    name: str
    counts: SourceCounts

    def states(self) -> Mapping[str, int]:
        """Return how many streams are in which state."""
        ...

    @property
    def ready(self) -> bool:
        """Whether everything it reads from is open."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it is at work that time should wait for (listing devices)."""
        ...

    @property
    def lag(self) -> int | None:
        """Events that the server has and that were not read yet; None: it does not tell."""
        ...

    @property
    def trouble(self) -> str:
        """What keeps it from being ready, one line without key material; empty if nothing does."""
        ...

    async def run(self, sink: Sink) -> None:
        """Read until cancelled. Whatever the server does, it is tried again; nothing is raised for it."""
        ...

    async def acknowledge(self, events: Sequence[Event]) -> None:
        """`events` are durable now, in the order in which they were taken. Not called for any other event."""
        ...
