"""What will happen by itself inside an SX1276, and how long it was in which state of consumption."""

from __future__ import annotations

from collections.abc import Callable

from zaehlwerk_tools.simulator.chips.chip import FOREVER


class Phases:
    """A few named steps ahead, each at most once; those of the same moment happen in the order in which they were set."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[int, Callable[[int], None]]] = {}
        self.next = FOREVER
        """When the first of them is due, ns."""

    def at(self, name: str, when_ns: int, step: Callable[[int], None]) -> None:
        """Set, or move, a step; `step` is given its time."""
        self._steps.pop(name, None)
        self._steps[name] = (when_ns, step)
        self.next = min(when for when, _ in self._steps.values())

    def cancel(self, name: str) -> None:
        """Harmless if it is not set."""
        self._steps.pop(name, None)
        self.next = min((when for when, _ in self._steps.values()), default=FOREVER)

    def clear(self) -> None:
        """Nothing is ahead."""
        self._steps.clear()
        self.next = FOREVER

    def run(self, until_ns: int) -> None:
        """Take the steps that are due, that moment included."""
        while self.next <= until_ns:
            name = min(self._steps, key=lambda name: self._steps[name][0])
            when_ns, step = self._steps[name]
            self.cancel(name)
            step(when_ns)


class Consumption:
    """Adds up the time in each state."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._since: int | None = None
        self._spent: dict[str, int] = {}

    def enter(self, at_ns: int, state: str) -> None:
        """From now on in `state`. Time counts from the first call, of this or of `read`."""
        if self._since is not None:
            self._spent[self._state] = self._spent.get(self._state, 0) + at_ns - self._since
        self._state, self._since = state, at_ns

    def read(self, at_ns: int) -> dict[str, int]:
        """State to ns spent in it so far."""
        self.enter(at_ns, self._state)
        return dict(self._spent)
