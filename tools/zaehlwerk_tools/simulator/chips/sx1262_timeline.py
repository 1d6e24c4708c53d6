"""What will happen by itself inside a chip, and in which state of consumption it has been for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zaehlwerk_tools.simulator.chips.chip import FOREVER


class Timeline:
    """A few named events, each at most once. What is due at the same moment happens in the order in which it was set."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[int, Callable[[int], None]]] = {}
        self.next = FOREVER
        """When the first of them is due, ns."""
        self.now = 0
        """Until when everything has happened, ns."""

    def at(self, name: str, when_ns: int, action: Callable[[int], None]) -> None:
        """Set (or move) an event; `action` is given its time."""
        self._events.pop(name, None)
        self._events[name] = (when_ns, action)
        self._look()

    def cancel(self, *names: str) -> None:
        """Harmless if an event is not set."""
        for name in names:
            self._events.pop(name, None)
        self._look()

    def due(self, name: str) -> int | None:
        """When an event is set for, ns; None: it is not."""
        event = self._events.get(name)
        return None if event is None else event[0]

    def clear(self) -> None:
        """Nothing is going to happen."""
        self._events.clear()
        self.next = FOREVER

    def run(self, until_ns: int) -> None:
        """Let everything happen that is due until then, that moment included."""
        while self.next <= until_ns:
            name = min(self._events, key=lambda name: self._events[name][0])
            when_ns, action = self._events.pop(name)
            self._look()
            self.now = when_ns
            action(when_ns)
        self.now = until_ns

    def _look(self) -> None:
        self.next = min((when for when, _ in self._events.values()), default=FOREVER)


class Meter:
    """Adds up the time in each state of consumption."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._since: int | None = None
        self._spent: dict[str, int] = {}
        self._ahead: list[tuple[int, str]] = []

    def enter(self, at_ns: int, state: str, ahead: Iterable[tuple[int, str]] = ()) -> None:
        """In `state` from now on, and later, if nothing comes in between, in those of `ahead`: [(from ns, state), …]."""
        self._pass(at_ns)
        self._turn(at_ns, state)
        self._ahead = list(ahead)

    def read(self, at_ns: int) -> dict[str, int]:
        """State to ns spent in it so far."""
        self._pass(at_ns)
        self._turn(at_ns, self._state)
        return dict(self._spent)

    def _pass(self, at_ns: int) -> None:
        while self._ahead and self._ahead[0][0] <= at_ns:
            self._turn(*self._ahead.pop(0))

    def _turn(self, at_ns: int, state: str) -> None:
        if self._since is not None:
            self._spent[self._state] = self._spent.get(self._state, 0) + at_ns - self._since
        self._state, self._since = state, at_ns
