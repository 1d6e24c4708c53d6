"""What a hand count says of a node: which passages both saw, and how sure the shares are. Pure.

Both hold times in seconds, in order. A passage of the one is that of the other if both are within a window: a hand is late by its
reaction, a sensor by the gap after which it takes a passage for over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

WINDOW_S = 3.0
Z_95 = 1.959963984540054
"""The standard normal distribution's quantile of 0.975."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share and the bounds between which it lies with 95 % confidence; all None if there was nothing to take it of."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ChannelResult:
    """One channel: what hand and node counted, and which of it the other did not see."""

    name: str
    hand: int
    node: int
    missed: int
    extra: int

    @property
    def difference(self) -> int:
        """Node minus hand."""
        return self.node - self.hand

    @property
    def missed_share(self) -> Share:
        """Of the hand's passages, those that the node missed."""
        return wilson(self.missed, self.hand)

    @property
    def extra_share(self) -> Share:
        """Of the node's counts, those that the hand knows nothing of."""
        return wilson(self.extra, self.node)

    def document(self) -> dict[str, Any]:
        """For a record."""
        return {
            "name": self.name,
            "hand": self.hand,
            "node": self.node,
            "difference": self.difference,
            "missed": self.missed,
            "missed_share": asdict(self.missed_share),
            "extra": self.extra,
            "extra_share": asdict(self.extra_share),
        }


def compared(name: str, hand: Sequence[float], node: Sequence[float], window_s: float) -> ChannelResult:
    """The result of a channel from the times of both."""
    both = matched(hand, node, window_s)
    return ChannelResult(name, len(hand), len(node), len(hand) - both, len(node) - both)


def matched(hand: Sequence[float], node: Sequence[float], window_s: float) -> int:
    """The largest number of pairs, each passage in at most one, whose times differ by at most `window_s`.

    Taking the earliest that fit is the best: all windows are equally wide, so a pair that crosses another can be untied.
    """
    theirs, ours = sorted(hand), sorted(node)
    pairs = first = second = 0
    while first < len(theirs) and second < len(ours):
        late = ours[second] - theirs[first]
        if abs(late) <= window_s:
            pairs += 1
        first += late >= -window_s
        second += late <= window_s
    return pairs


def wilson(found: int, of: int, z: float = Z_95) -> Share:
    """`found` of `of` as a share with its score interval.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical
    Association 22 (1927), pages 209 to 212: (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z √(p(1 − p)/n) it
    holds for small n and says something of a share of 0.
    """
    if not of:
        return Share(None, None, None)
    share = found / of
    middle = share + z * z / (2 * of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    low, high = (middle - half) / scale, (middle + half) / scale
    return Share(round(share, 4), round(max(0.0, low), 4), round(min(1.0, high), 4))
