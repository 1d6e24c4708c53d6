"""Charge per day from times and currents: every nanosecond is charged once, at its state's current, or
refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_tools import energy
from zaehlwerk_tools.energy import BOARDS, Board, EnergyError, Processor, Radio, consumption
from zaehlwerk_tools.simulator.chips.sx1262 import Sx1262
from zaehlwerk_tools.simulator.chips.sx1276 import Sx1276

ROOT = Path(__file__).parents[3]
HOUR = 3600 * 10**9
DAY = 24 * HOUR
SIMPLE = Board(
    "board",
    Radio("chip", {"off": 0.0, "sleep_warm": 1.0, "rx": 10_000.0}, {2: 20_000.0, 14: 40_000.0}, "nowhere"),
    {160: Processor("core", {"active": 50_000.0, "idle": 20_000.0, "light_sleep": 1_000.0}, "nowhere")},
    {"regulator": 100.0},
    left_out=("LEDs",),
)


def test_a_current_that_flows_all_day_takes_24_times_itself() -> None:
    spent = consumption(SIMPLE, {"rx": DAY}, {"idle": DAY}, DAY)
    assert spent.radio == pytest.approx({"rx": 240.0})
    assert spent.processor == pytest.approx({"idle": 480.0})
    assert spent.rest == pytest.approx({"regulator": 2.4})
    assert spent.total == pytest.approx(722.4)
    assert spent.left_out == ("LEDs",)


def test_states_share_the_day_as_they_share_the_span() -> None:
    times = {"sleep_warm": 3 * HOUR // 4, "rx": HOUR // 8, "tx14": HOUR // 8}
    spent = consumption(SIMPLE, times, {"idle": HOUR // 2, "active": HOUR // 2}, HOUR)
    assert spent.radio == pytest.approx({"sleep_warm": 0.018, "rx": 30.0, "tx14": 120.0})
    assert spent.processor == pytest.approx({"idle": 240.0, "active": 600.0})


@given(st.integers(1, DAY), st.data())
def test_a_span_of_any_length_gives_the_same_day(span: int, data: st.DataObject) -> None:
    receiving = data.draw(st.integers(0, span))
    short = consumption(SIMPLE, {"rx": receiving, "off": span - receiving}, {"idle": span}, span)
    long = consumption(
        SIMPLE, {"rx": 7 * receiving, "off": 7 * (span - receiving)}, {"idle": 7 * span}, 7 * span
    )
    assert short.total == pytest.approx(long.total)
    assert 480 + 2.4 <= short.total <= 480 + 2.4 + 240.01


@pytest.mark.parametrize(
    ("state", "current"), [("tx14", 40_000), ("tx13", 40_000), ("tx2", 20_000), ("tx-9", 20_000)]
)
def test_a_power_without_a_figure_takes_that_of_the_next_higher_one(state: str, current: float) -> None:
    assert SIMPLE.radio.current(state) == current


def test_a_power_above_all_figures_is_refused() -> None:
    with pytest.raises(EnergyError, match="no figure for 15 dBm, the highest is 14 dBm"):
        SIMPLE.radio.current("tx15")


@pytest.mark.parametrize("state", ["", "tx", "tx1.5", "txx", "standby", "RX", "tx--1"])
def test_an_unknown_state_is_refused(state: str) -> None:
    with pytest.raises(EnergyError, match=re.escape(f"chip has no state {state!r}")):
        consumption(SIMPLE, {state: DAY}, {"idle": DAY}, DAY)
    with pytest.raises(EnergyError, match=re.escape(f"core has no state {state!r}")):
        consumption(SIMPLE, {"off": DAY}, {state: DAY}, DAY)


def test_a_state_that_was_never_entered_needs_no_figure() -> None:
    spent = consumption(SIMPLE, {"off": DAY, "standby_rc": 0}, {"idle": DAY}, DAY)
    assert spent.radio == {"off": 0.0}


@pytest.mark.parametrize(
    ("radio", "processor", "span", "why"),
    [
        (
            {"off": DAY},
            {"idle": DAY - HOUR},
            DAY,
            "processor: its states add up to 23.000000 h of 24.000000 h",
        ),
        ({"off": DAY + HOUR}, {"idle": DAY}, DAY, "radio: its states add up to 25.000000 h of 24.000000 h"),
        ({}, {"idle": DAY}, DAY, "radio: its states add up to 0.000000 h"),
        ({"off": 2 * DAY, "rx": -DAY}, {"idle": DAY}, DAY, "radio: less than no time in rx"),
        ({"off": 0}, {"idle": 0}, 0, "a span of 0 ns says nothing"),
        ({"off": 1}, {"idle": 1}, -1, "a span of -1 ns says nothing"),
    ],
)
def test_times_that_do_not_fit_the_span_are_refused(
    radio: dict[str, int], processor: dict[str, int], span: int, why: str
) -> None:
    with pytest.raises(EnergyError, match=re.escape(why)):
        consumption(SIMPLE, radio, processor, span)


def test_the_two_counts_may_differ_by_the_moment_between_their_readings() -> None:
    assert consumption(SIMPLE, {"off": DAY + 10**6}, {"idle": DAY - 10**6}, DAY).total > 0


def test_a_battery_lasts_as_often_as_a_days_charge_goes_into_it() -> None:
    spent = consumption(SIMPLE, {"off": DAY}, {"light_sleep": DAY}, DAY)
    assert spent.total == pytest.approx(26.4)
    assert spent.days(2640) == pytest.approx(100)
    for none in (0, -1):
        with pytest.raises(EnergyError, match=f"a battery of {none} mAh is none"):
            spent.days(none)


def test_a_clock_without_figures_is_refused() -> None:
    with pytest.raises(EnergyError, match="no figures for a clock of 80 MHz, there are some for 160 MHz"):
        consumption(SIMPLE, {"off": DAY}, {"idle": DAY}, DAY, 80)


def test_every_board_of_the_firmware_has_its_currents() -> None:
    modules = {file.stem for file in (ROOT / "firmware" / "boards").glob("*.py")}
    assert modules - {"__init__", "template"} == set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("clock", [160, 240])
def test_more_work_never_takes_less(name: str, clock: int) -> None:
    board = BOARDS[name]
    processor = board.processors[clock]
    assert processor.current("light_sleep") < processor.current("idle") < processor.current("active")
    ordered = [
        "off",
        "sleep_cold",
        "sleep_warm",
        "standby_rc",
        "standby_xosc",
        "fs",
        "rx",
        "tx2",
        "tx14",
        "tx17",
        "tx20",
    ]
    currents = [
        board.radio.current(state)
        for state in ordered
        if state in board.radio.states or state.startswith("tx")
    ]
    assert currents == sorted(currents)
    assert board.radio.source
    assert processor.source
    assert bool(board.rest) == bool(board.rest_source)
    assert board.left_out


class NoAir:
    """An antenna that is not used."""


@pytest.mark.parametrize("name", BOARDS)
def test_the_times_of_the_simulators_chips_are_taken_as_they_are(name: str) -> None:
    chips: dict[bool, Any] = {
        True: lambda: Sx1262(NoAir(), tcxo_mv=None, dio2_switch=True),  # type: ignore[arg-type]
        False: lambda: Sx1276(NoAir(), pa_boost=True),  # type: ignore[arg-type]
    }
    chip = chips[BOARDS[name].radio.name.startswith("SX1262")]()
    start = 1_800_000_000 * 10**9
    before = chip.time_in(start)
    chip.supply(start + HOUR, True)
    after = chip.time_in(start + DAY)
    times = {state: ns - before.get(state, 0) for state, ns in after.items()}
    spent = consumption(BOARDS[name], times, {"idle": DAY}, DAY)
    assert set(spent.radio) & {"standby_rc", "standby_xosc"}
    assert sum(spent.radio.values()) > 10


@pytest.mark.parametrize(
    ("radio", "state", "current"),
    [
        (energy.SX1262_DCDC, "sleep_cold", 0.16),
        (energy.SX1262_DCDC, "sleep_warm", 0.6),
        (energy.SX1262_DCDC, "standby_rc", 600),
        (energy.SX1262_DCDC, "standby_xosc", 800),
        (energy.SX1262_DCDC, "tx14", 45_000),
        (energy.SX1262_DCDC, "tx22", 118_000),
        (energy.SX1262_LDO, "rx", 10_100),
        (energy.SX1276_PA_BOOST, "sleep_warm", 0.2),
        (energy.SX1276_PA_BOOST, "standby_xosc", 1_600),
        (energy.SX1276_PA_BOOST, "rx", 11_500),
        (energy.SX1276_PA_BOOST, "tx14", 87_000),
        (energy.SX1276_PA_BOOST, "tx20", 120_000),
        (energy.SX1276_RFO, "tx13", 29_000),
    ],
)
def test_figures_of_the_data_sheets(radio: Radio, state: str, current: float) -> None:
    assert radio.current(state) == current


def test_a_node_that_never_sleeps_lives_by_its_processor() -> None:
    """An uplink a quarter-hour at SF7, 14 dBm: its radio takes less than a thousandth of what the processor
    takes."""
    radio = {"sleep_warm": DAY - 96 * 250_000_000, "tx14": 96 * 70_000_000, "rx": 96 * 180_000_000}
    spent = consumption(energy.HELTEC_V3, radio, {"idle": DAY - HOUR, "active": HOUR}, DAY)
    assert spent.radio["sleep_warm"] == pytest.approx(0.0144, rel=0.01)
    assert spent.radio["tx14"] == pytest.approx(0.084)
    assert sum(spent.radio.values()) < spent.processor["idle"] / 1000
    assert spent.days(3000) == pytest.approx(3000 / (27.6 * 23 + 39.9), rel=0.001)
