"""No hour holds more airtime than its sub-band's share, however frames of whatever length follow each other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lorawan import eu868
from lorawan.duty_cycle import DutyCycle
from lorawan.region import OVERHEAD, airtime_us

HOUR_US = 3_600_000_000
LONGEST_US = airtime_us(12, 125000, max(eu868.MAX_PAYLOAD[:1]) + OVERHEAD + 1)
SHORTEST_US = airtime_us(7, 125000, OVERHEAD)
BANDS = [(first, n) for first, _, n in eu868.SUB_BANDS]


def busiest_hour_us(frames: list[tuple[int, int]]) -> int:
    """The most airtime of any hour; frames are (begin, end) in microseconds, in order.

    The fullest hours begin with a frame's begin or end with a frame's end.
    """
    hours = [begin for begin, _ in frames] + [end - HOUR_US for _, end in frames]
    return max(
        sum(max(0, min(end, hour + HOUR_US) - max(begin, hour)) for begin, end in frames) for hour in hours
    )


def test_the_longest_frame_is_the_one_that_the_region_names() -> None:
    assert LONGEST_US <= eu868.LONGEST_MS * 1000 < LONGEST_US + 1000


@settings(deadline=None)
@given(
    st.sampled_from(BANDS),
    st.lists(
        st.tuples(
            st.one_of(st.integers(SHORTEST_US, LONGEST_US), st.sampled_from((SHORTEST_US, LONGEST_US))),
            st.sampled_from((0, 0, 0, 1, 60_000, 3_000_000)),
        ),
        min_size=1,
        max_size=120,
    ),
)
def test_no_hour_holds_more_than_the_share_of_its_sub_band(
    band: tuple[int, int], sent: list[tuple[int, int]]
) -> None:
    frequency, n = band
    duty = DutyCycle(eu868)
    now_ms, frames = 0, []
    for airtime, pause_ms in sent:
        begin_ms = max(now_ms, duty.free_at(frequency)) + pause_ms
        # A frame ends between two milliseconds; its end is known as the one before.
        end_us = begin_ms * 1000 + airtime
        now_ms = end_us // 1000
        duty.spend(now_ms, frequency, airtime)
        frames.append((begin_ms * 1000, end_us))
    assert busiest_hour_us(frames) <= HOUR_US // n


def test_long_frames_back_to_back_use_nearly_all_of_an_hour() -> None:
    frequency, n = BANDS[2]
    duty = DutyCycle(eu868)
    now_ms, frames = 0, []
    for _ in range(60):
        begin_ms = max(now_ms, duty.free_at(frequency))
        frames.append((begin_ms * 1000, begin_ms * 1000 + LONGEST_US))
        now_ms = begin_ms + LONGEST_US // 1000
        duty.spend(now_ms, frequency, LONGEST_US)
    assert busiest_hour_us(frames) > 0.9 * HOUR_US / n
