"""Jittered back-off: how long to wait before the next try, so that a thousand streams do not come back at once."""

import random


class Backoff:
    """Doubling waits between `first_s` and `most_s`, each shortened at random by up to a half.

    `rng` is handed in, so that a simulated run can be repeated.
    """

    __slots__ = ("_first_s", "_most_s", "_rng", "tries")

    def __init__(self, rng: random.Random, first_s: float, most_s: float) -> None:
        self._rng = rng
        self._first_s = first_s
        self._most_s = most_s
        self.tries = 0

    def next(self) -> float:
        """Return the seconds to wait now; every call without `reset()` between doubles the next one."""
        # Bounded exponent: after days of failures 2**tries would overflow a float.
        seconds = min(self._most_s, self._first_s * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return seconds * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again from `first_s`: the thing works."""
        self.tries = 0
