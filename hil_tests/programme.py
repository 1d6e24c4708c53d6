"""What the pulse generator plays: lines of pulses, made of bursts and pauses; the same for real and virtual boards.

Times are microseconds from the moment at which the programme begins, which is when the node gets its power.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from hil_tests.pulse_generator import player

S_US = 1_000_000
BEGIN_US = 10 * S_US
"""A node is up by then: an ESP32 boots in a fraction of a second, and the node counts before it does anything else."""

Segment = tuple[int, tuple[int, ...]]


@dataclass
class Line:
    """Pulses at one input of the node. `count`: how many passages a sensor has to tell of them."""

    start_us: int = BEGIN_US
    segments: list[Segment] = field(default_factory=list)
    count: int = 0

    def burst(self, count: int, period_us: int, width_us: int | None = None) -> Self:
        """Clean pulses; half the period wide unless said otherwise."""
        width = period_us // 2 if width_us is None else width_us
        if not 0 < width < period_us:
            raise ValueError(f"a pulse of {width} us does not fit a period of {period_us} us")
        return self._add(count, (width, period_us - width))

    def bouncing(self, count: int, period_us: int, closed_us: int, bounce_us: int, bounces: int) -> Self:
        """Contacts that let go `bounces` times for `bounce_us` when they close and when they open."""
        chatter = (bounce_us, bounce_us) * bounces
        stay = (*chatter, closed_us, *((bounce_us, bounce_us) * bounces))
        rest = period_us - sum(stay)
        if rest <= 0:
            raise ValueError(f"{period_us} us are too short for this contact")
        return self._add(count, (*stay, rest))

    def held(self, us: int) -> Self:
        """One passage that does not end for so long."""
        return self._add(1, (us, 1000))

    def pause(self, us: int) -> Self:
        """Nothing for so long."""
        self.segments.append((0, (us,)))
        return self

    def _add(self, count: int, durations: tuple[int, ...]) -> Self:
        self.segments.append((count, durations))
        self.count += count
        return self

    @property
    def edges(self) -> list[tuple[int, int]]:
        """(us, level) of each change."""
        return list(player.edges(self.start_us, self.segments))

    @property
    def end_us(self) -> int:
        """When the last segment is over."""
        return self.start_us + sum(max(count, 1) * sum(durations) for count, durations in self.segments)

    def document(self) -> list[Any]:
        """For the generator."""
        return [self.start_us, [[count, list(durations)] for count, durations in self.segments]]
