"""What `make power-cuts` makes of its days: one thing that is not as stated, and it did not hold."""

from __future__ import annotations

import pytest

from firmware.tests.power_cuts import together

DAY = {
    "cuts": 50,
    "lost_most_s": 72,
    "lost_least_s": -4,
    "unflagged": 0,
    "misplaced": 0,
    "unread": 0,
    "loss_bound_s": 72,
    "border_s": 4,
}


def test_days_that_keep_to_the_bounds_hold() -> None:
    sums = together([DAY, DAY | {"cuts": 10, "lost_most_s": 3}])
    assert (sums["days"], sums["cuts"], sums["lost_most_s"], sums["twice"]) == (2, 60, 72, 0)
    assert sums["held"]


@pytest.mark.parametrize(
    "wrong",
    [{"lost_most_s": 73}, {"lost_least_s": -5}, {"unflagged": 1}, {"misplaced": 1}, {"unread": 1}],
)
def test_one_day_that_does_not_is_not_hidden_by_the_others(wrong: dict[str, int]) -> None:
    assert not together([DAY, DAY | wrong, DAY])["held"]


def test_nothing_is_no_proof() -> None:
    assert not together([])["held"]
