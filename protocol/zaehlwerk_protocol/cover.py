"""Coverage: which channels were not observed all the time, and how long the worst of them was.

Zero counted and not observed are different things. A cover is a tuple of pairs, one per interval: (mask of the channels that
were observed only in part, share of the worst of them in 0..254 of 255). FULL, (0, 0), is an interval without any such
channel; at the end of a cover it is left out.
"""

from .errors import FrameError
from .fields import integer

FULL = (0, 0)
"""All channels observed from start to end."""
WHOLE = 255
"""The share of a channel that is not in the mask."""


def share(observed: int, whole: int) -> int:
    """Return `observed`/`whole` (>= 0 and > 0, any unit, monotonic ticks best) in 255ths, rounded down.

    255 is everything; 0 is nothing at all: the least that was observed, if any was, is 1.
    """
    if observed <= 0:
        return 0
    if observed >= whole:
        return WHOLE
    return max(1, observed * WHOLE // whole)


def pair(shares: "tuple[int, ...] | list[int]") -> tuple[int, int]:
    """Return the pair of an interval whose channels had these `shares` (0..255, channel 0 first)."""
    mask = 0
    worst = WHOLE
    for channel in range(len(shares)):
        if shares[channel] < WHOLE:
            mask |= 1 << channel
            worst = min(worst, shares[channel])
    return (mask, worst) if mask else FULL


def channel_share(cover: tuple[tuple[int, int], ...], row: int, channel: int) -> int:
    """Return what `cover` says of a `channel` in its pair number `row`: 255 observed throughout, else a lower bound.

    0 with a count of 0 means not observed. 0 with a count above it means observed for a time nobody knows: the pair holds
    one share for all channels in its mask, the worst.
    """
    if row >= len(cover) or not cover[row][0] >> channel & 1:
        return WHOLE
    return cover[row][1]


def trimmed(pairs: "tuple[tuple[int, int], ...] | list[tuple[int, int]]") -> tuple[tuple[int, int], ...]:
    """Return `pairs` as a tuple of tuples without the full intervals at its end."""
    cover = [tuple(item) for item in pairs]
    while cover and cover[-1] == FULL:
        cover.pop()
    return tuple(cover)  # type: ignore[arg-type]  # pairs; `check` looks


def check(cover: tuple[tuple[int, int], ...], channels: int, rows: int, where: str) -> None:
    """Raise FrameError unless `cover` is about at most `rows` intervals of `channels` channels and trimmed."""
    if len(cover) > rows:
        raise FrameError(f"{where}: {len(cover)} pairs for {rows} intervals")
    for item in cover:
        if len(item) != 2:
            raise FrameError(f"{where}: {item!r} is no pair of mask and share")
        mask = integer(item[0], 0, (1 << channels) - 1, where + " mask")
        # Without a channel in the mask there is no worst one: (0, 0) is the only form of a full interval.
        integer(item[1], 0, WHOLE - 1 if mask else 0, where + " share")
    if cover and cover[-1] == FULL:
        raise FrameError(f"{where}: ends with an interval that was observed in full")
