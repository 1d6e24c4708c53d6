"""Airtime as Semtech's formula has it, against values that others have published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_protocol.airtime import MAX_PHY, OVERHEAD, airtime_us, longest_payload, symbol_us


@pytest.mark.parametrize(
    ("sf", "us"), [(7, 82_176), (8, 143_872), (9, 267_264), (10, 493_568), (11, 1_069_056), (12, 1_974_272)]
)
def test_24_bytes_of_payload_as_the_airtime_calculator_for_lorawan_has_them(sf: int, us: int) -> None:
    """Its sheet for 24 + 13 bytes (docs.google.com/spreadsheets/d/1eL1nHxMidIcIdDE_l-DoY3kmE2e8b0YpOBW64WnYxj8)."""
    assert airtime_us(24 + OVERHEAD, sf) == us


@pytest.mark.parametrize(("length", "sf", "us"), [(13, 9, 164_864), (10, 7, 41_216), (10, 11, 577_536)])
def test_short_packets_as_other_calculators_have_them(length: int, sf: int, us: int) -> None:
    """The calculator after AN1200.13 and rfwireless-world.com's examples 1 and 2."""
    assert airtime_us(length, sf) == us


@pytest.mark.parametrize(
    ("length", "sf", "bandwidth", "crc", "coding_rate", "preamble", "us"),
    [
        (1, 8, 125_000, True, 2, 8, 53_760),
        (3, 8, 125_000, True, 2, 8, 66_048),
        (3, 8, 125_000, False, 2, 8, 53_760),
        (253, 8, 125_000, True, 2, 8, 827_904),
        (1, 12, 500_000, True, 1, 8, 206_848),
        (64, 12, 500_000, True, 1, 12, 649_216),
        (1, 12, 500_000, False, 1, 8, 165_888),
        (192, 12, 500_000, True, 1, 8, 1_476_608),
    ],
)
def test_other_settings_as_semtechs_lora_calculator_has_them(
    length: int, sf: int, bandwidth: int, crc: bool, coding_rate: int, preamble: int, us: int
) -> None:
    """Values that micropython-lib tests its drivers with, taken there from Semtech's "SX1261 LoRa Calculator"."""
    assert airtime_us(length, sf, bandwidth, crc, coding_rate, preamble) == us


def test_the_longest_payload_of_dr0_takes_2_8_seconds() -> None:
    assert airtime_us(51 + OVERHEAD, 12) == 2_793_472


@pytest.mark.parametrize(("sf", "bandwidth"), [(7, 250_000), (12, 250_000), (9, 500_000)])
def test_twice_the_bandwidth_halves_the_symbol(sf: int, bandwidth: int) -> None:
    assert symbol_us(sf, bandwidth) * bandwidth == (1 << sf) * 1_000_000


@given(st.integers(0, 222), st.integers(7, 12), st.sampled_from([125_000, 250_000]), st.integers(0, 15))
def test_the_longest_payload_for_the_same_airtime_is_the_longest(
    size: int, sf: int, bandwidth: int, options: int
) -> None:
    around = OVERHEAD + options
    longest = longest_payload(size, sf, bandwidth, options)
    assert longest >= size
    assert airtime_us(around + longest, sf, bandwidth) == airtime_us(around + size, sf, bandwidth)
    assert around + longest == MAX_PHY or airtime_us(around + longest + 1, sf, bandwidth) > airtime_us(
        around + size, sf, bandwidth
    )


@pytest.mark.parametrize(
    ("length", "sf", "bandwidth"),
    [(-1, 7, 125_000), (256, 7, 125_000), (1, 6, 125_000), (1, 13, 125_000), (1, 7, 0)],
)
def test_what_no_radio_sends_is_an_error(length: int, sf: int, bandwidth: int) -> None:
    with pytest.raises(ValueError, match="possible"):
        airtime_us(length, sf, bandwidth)
