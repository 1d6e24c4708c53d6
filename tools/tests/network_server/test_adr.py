from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_tools.network_server.adr import HISTORY, Heard, Link, ideal
from zaehlwerk_tools.network_server.eu868 import REQUIRED_SNR_DB, SPREADING_FACTORS


def asked(data_rate: int, power: int, snr: float, heard: int = 1, lost: int = 0, nb_trans: int = 1) -> Link:
    """What a device is asked that was heard `heard` times with `snr`, with `lost` frames missing in between."""
    history = [Heard(n if n < heard - 1 else n + lost, snr, power) for n in range(heard)]
    required = REQUIRED_SNR_DB[SPREADING_FACTORS[data_rate]]
    return ideal(Link(data_rate, power, nb_trans), history, required, 10.0, 5, 7)


@pytest.mark.parametrize(
    ("data_rate", "snr", "link"),
    [(0, 7.5, Link(5, 0, 1)), (3, 7.5, Link(5, 1, 1)), (0, 9.0, Link(5, 1, 1))],
)
def test_good_links_are_asked_what_chirpstack_was_recorded_to_ask(
    data_rate: int, snr: float, link: Link
) -> None:
    assert asked(data_rate, 0, snr) == link


def test_steps_go_to_the_data_rate_first_and_then_to_the_power() -> None:
    assert asked(4, 0, -10 + 10 + 3) == Link(5, 0, 1)
    assert asked(4, 0, -10 + 10 + 6) == Link(5, 1, 1)
    assert asked(5, 6, 30.0) == Link(5, 7, 1)


def test_a_margin_below_one_step_changes_nothing() -> None:
    assert asked(3, 2, -12.5 + 10 + 2.9) == Link(3, 2, 1)
    assert asked(3, 2, -12.5 + 10 - 2.9, heard=HISTORY) == Link(3, 2, 1)


def test_more_power_is_asked_for_only_after_a_full_history_at_the_present_one() -> None:
    weak = -12.5 + 10 - 7
    assert asked(3, 5, weak, heard=HISTORY - 1) == Link(3, 5, 1)
    assert asked(3, 5, weak, heard=HISTORY) == Link(3, 3, 1)
    assert asked(3, 1, weak, heard=HISTORY) == Link(3, 0, 1)


@pytest.mark.parametrize(
    ("lost", "nb_trans", "wanted"),
    [(0, 1, 1), (0, 3, 2), (1, 2, 2), (1, 3, 3), (2, 1, 2), (6, 1, 3), (6, 3, 3)],
)
def test_repetitions_follow_the_share_of_lost_frames(lost: int, nb_trans: int, wanted: int) -> None:
    assert asked(5, 7, 2.0, heard=HISTORY, lost=lost, nb_trans=nb_trans).nb_trans == wanted


@given(st.integers(0, 5), st.integers(0, 7), st.floats(-30, 20), st.integers(1, HISTORY))
def test_a_data_rate_is_never_lowered_and_nothing_leaves_its_range(
    data_rate: int, power: int, snr: float, heard: int
) -> None:
    link = asked(data_rate, power, snr, heard)
    assert data_rate <= link.data_rate <= 5
    assert 0 <= link.tx_power_index <= 7
