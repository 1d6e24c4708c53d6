"""Hand against node: which passages both saw, and Wilson's interval."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_tools.technician.passages import Share, compared, matched, wilson

TIMES = st.lists(st.integers(0, 40).map(lambda tick: tick / 2), max_size=6)


def largest(hand: list[float], node: list[float], window_s: float) -> int:
    """By trying: the most pairs that any way of pairing gives."""
    if not hand:
        return 0
    best = largest(hand[1:], node, window_s)
    for number, at in enumerate(node):
        if abs(at - hand[0]) <= window_s:
            rest = node[:number] + node[number + 1 :]
            best = max(best, 1 + largest(hand[1:], rest, window_s))
    return best


@given(TIMES, TIMES, st.sampled_from([0.5, 1.0, 3.0]))
def test_no_other_way_of_pairing_finds_more_pairs(
    hand: list[float], node: list[float], window_s: float
) -> None:
    assert matched(hand, node, window_s) == largest(hand, node, window_s)


def test_a_missed_and_an_extra_passage_do_not_hide_each_other() -> None:
    result = compared("in", [10.0, 20.0, 30.0], [10.5, 30.2, 50.0], 3.0)
    assert (result.difference, result.missed, result.extra) == (0, 1, 1)


def test_nothing_on_either_side_is_no_result() -> None:
    result = compared("in", [], [], 3.0)
    assert (result.hand, result.node, result.missed, result.extra) == (0, 0, 0, 0)
    assert result.missed_share == Share(None, None, None)


@pytest.mark.parametrize(
    ("found", "of", "share"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, Share(0.308, 0.2553, 0.3662)),
        (15, 148, Share(0.1014, 0.0624, 0.1605)),
        (0, 20, Share(0.0, 0.0, 0.1611)),
        (1, 29, Share(0.0345, 0.0061, 0.1718)),
        (20, 20, Share(1.0, 0.8389, 1.0)),
    ],
)
def test_the_interval_is_that_of_the_literature(found: int, of: int, share: Share) -> None:
    assert wilson(found, of) == share


def test_the_interval_holds_the_share_and_narrows_with_more_passages() -> None:
    widths = []
    for of in (10, 100, 1000, 10_000):
        share = wilson(of // 10, of)
        assert share.low is not None
        assert share.high is not None
        assert share.value is not None
        assert share.low < share.value < share.high
        widths.append(share.high - share.low)
    assert all(wide > narrow for wide, narrow in itertools.pairwise(widths))
