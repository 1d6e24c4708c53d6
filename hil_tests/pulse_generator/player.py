"""Plays pulses on pins at exact times: runs on MicroPython, on the board that is the pulse generator.

A line is (us from the start to its beginning, segments). A segment is (count, durations in us): the level is active for the
first duration, inactive for the second and so on, an even number of them, `count` times over. With count 0 it is a pause
of its only duration. Levels are 1 while active; who wants it otherwise inverts the pin.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def edges(start_us: int, segments: "Sequence[tuple[int, Sequence[int]]]") -> "Iterator[tuple[int, int]]":
    """(us from the start, level) of each change of one line, one after the other."""
    at = start_us
    for count, durations in segments:
        if not count:
            at += durations[0]
        for _ in range(count):
            level = 1
            for duration in durations:
                yield at, level
                at += duration
                level ^= 1


def merged(
    lines: "Sequence[tuple[int, Sequence[tuple[int, Sequence[int]]]]]",
) -> "Iterator[tuple[int, int, int]]":
    """(us, number of the line, level) of all lines in the order of time; a lower number first at the same moment."""
    runs = [edges(start, segments) for start, segments in lines]
    heads = [next(run, None) for run in runs]
    while True:
        first, at, level = -1, 0, 0
        for number, head in enumerate(heads):
            if head is not None and (first < 0 or head[0] < at):
                first, at, level = number, head[0], head[1]
        if first < 0:
            return
        heads[first] = next(runs[first], None)
        yield at, first, level


# Closer to an edge than this nothing is done but look at the clock: a sleep may wake late.
_NEAR_US = 2000
# A ticks_us difference has 29 bits on the ESP32; no wait is longer than a part of it.
_LONGEST_US = 1 << 27


def play(
    lines: "Sequence[tuple[int, Sequence[tuple[int, Sequence[int]]]]]",
    set_level: "Callable[[int, int], object]",
    ticks: "Callable[[], int]",
    ticks_diff: "Callable[[int, int], int]",
    sleep_us: "Callable[[int], object]",
) -> "tuple[int, int]":
    """Play `lines`; (edges that were played, us by which the latest one was late).

    set_level(number of the line, level), ticks() and ticks_diff as of the module time, sleep_us(us).
    """
    played = latest = 0
    begun, passed = ticks(), 0
    for at, number, level in merged(lines):
        while True:
            now = ticks()
            passed += ticks_diff(now, begun)
            begun = now
            left = at - passed
            if left <= 0:
                break
            if left > _NEAR_US:
                sleep_us(min(left - _NEAR_US, _LONGEST_US))
        set_level(number, level)
        played += 1
        latest = max(latest, -left)
    return played, latest
