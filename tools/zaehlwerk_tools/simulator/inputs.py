"""What a virtual board's pins see: pulses as sorted times, levels as sorted changes, trains of edges, serial lines.

Nothing costs until it is read.

All times are UTC Unix nanoseconds. A schedule is fixed before the run; that is what lets boards run ahead of each
other without asking.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

from zaehlwerk_tools.simulator.serial_line import SerialLine
from zaehlwerk_tools.simulator.trains import FALLING, RISING, EdgeTrain

__all__ = ["FALLING", "PULSE_WIDTH_NS", "RISING", "EdgeTrain", "PulseInputs", "SerialLine"]

PULSE_WIDTH_NS = 50_000_000
"""How long a sensor's contact stays closed."""

Level = tuple[int, int]
"""(from this time on, level 0 or 1)."""


class PulseInputs:
    """The inputs of one board: `pulses[pin]` are sorted rising times, `levels[pin]` sorted (time, level) changes.

    A pulse is high for `width_ns`, or until halfway to the next one if that comes sooner. A pin without a schedule
    is low. `trains[pin]` are played with interrupts as the ESP32 has them; `serial[pin]` is what comes in at a UART.
    Raises ValueError for a schedule that is not sorted, a level that is not 0 or 1, a pin named twice.
    """

    def __init__(
        self,
        pulses: Mapping[int, Sequence[int]] | None = None,
        levels: Mapping[int, Sequence[Level]] | None = None,
        *,
        trains: Mapping[int, EdgeTrain] | None = None,
        serial: Mapping[int, SerialLine] | None = None,
        width_ns: int = PULSE_WIDTH_NS,
    ) -> None:
        self._pulses = dict(pulses or {})
        self.trains = dict(trains or {})
        self.serial = dict(serial or {})
        self._level_times: dict[int, list[int]] = {}
        self._level_values: dict[int, list[int]] = {}
        self._width_ns = width_ns
        taken = [*self._pulses, *(levels or {}), *self.trains, *self.serial]
        if twice := {pin for pin in taken if taken.count(pin) > 1}:
            raise ValueError(f"pins {sorted(twice)} have both pulses and levels: a pin has one sensor")
        for pin, times in self._pulses.items():
            if any(a > b for a, b in pairwise(times)):
                raise ValueError(f"the pulses of pin {pin} are not sorted by time")
        for pin, changes in (levels or {}).items():
            times = [at for at, _ in changes]
            if times != sorted(times) or any(level not in (0, 1) for _, level in changes):
                raise ValueError(f"the levels of pin {pin} must be sorted (time, 0 or 1) pairs")
            # Only real changes are edges.
            self._level_times[pin], self._level_values[pin] = [], []
            last = 0
            for at, level in changes:
                if level != last:
                    self._level_times[pin].append(at)
                    self._level_values[pin].append(level)
                last = level

    @property
    def interrupting(self) -> bool:
        """Whether there is anything that takes the ESP32's interrupts to be played."""
        return bool(self.trains or self.serial)

    def count_until(self, pin: int, t_ns: int, edge: int = RISING) -> int:
        """How many edges of the given kind (RISING, FALLING or both) the pin has seen up to and including `t_ns`."""
        return self.count_and_next(pin, t_ns, edge)[0]

    def count_and_next(
        self, pin: int, t_ns: int, edge: int = RISING, filter_ns: int = 0
    ) -> tuple[int, int | None]:
        """The edges up to `t_ns`, and when the next one comes (None: never). Pulses and levels have no glitches to filter."""
        train = self.trains.get(pin)
        if train is not None:
            return train.filtered(filter_ns).count_and_next(t_ns, edge)
        times = self._pulses.get(pin)
        if times is None:
            return self._level_edges(pin, t_ns, edge)
        begun = bisect_right(times, t_ns)
        following = times[begun] if begun < len(times) else None
        if edge == RISING:
            return begun, following
        ended = begun - 1 if begun and t_ns < self._end(times, begun - 1) else begun
        falling = self._end(times, ended) if ended < len(times) else None
        if edge == FALLING:
            return ended, falling
        return begun + ended, falling if ended < begun else following

    def level_and_next(self, pin: int, t_ns: int) -> tuple[int, int | None]:
        """The pin's level at `t_ns`, and when it changes next (None: never)."""
        train = self.trains.get(pin)
        if train is not None:
            return train.level(t_ns), next(iter(train.after(t_ns, 1)), None)
        if pin in self._pulses:
            edges, following = self.count_and_next(pin, t_ns, RISING | FALLING)
            return edges % 2, following
        times = self._level_times.get(pin, [])
        done = bisect_right(times, t_ns)
        level = self._level_values[pin][done - 1] if done else 0
        return level, times[done] if done < len(times) else None

    def train(self, pin: int) -> EdgeTrain:
        """The pin's changes as a train, whatever they are from; for those that interrupt."""
        if pin not in self.trains:
            times = list(self._level_times.get(pin, []))
            for n, at in enumerate(self._pulses.get(pin, [])):
                times += [at, self._end(self._pulses[pin], n)]
            self.trains[pin] = EdgeTrain(times)
        return self.trains[pin]

    def total(self, pin: int) -> int:
        """All pulses of a pin's schedule."""
        return len(self._pulses.get(pin, ()))

    def _end(self, times: Sequence[int], n: int) -> int:
        end = times[n] + self._width_ns
        return end if n + 1 >= len(times) else min(end, (times[n] + times[n + 1]) // 2)

    def _level_edges(self, pin: int, t_ns: int, edge: int) -> tuple[int, int | None]:
        times, values = self._level_times.get(pin, []), self._level_values.get(pin, [])
        wanted = {RISING: (1,), FALLING: (0,)}.get(edge, (0, 1))
        done = bisect_right(times, t_ns)
        count = sum(values[n] in wanted for n in range(done))
        return count, next((times[n] for n in range(done, len(times)) if values[n] in wanted), None)
