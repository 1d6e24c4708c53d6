"""What a board's open receiver is told by the air, and when."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import DETECTION_SYMBOLS, Gateway, Receiver
from zaehlwerk_tools.simulator.airtime import airtime_ns, symbol_ns
from zaehlwerk_tools.simulator.board_antenna import BoardAntenna
from zaehlwerk_tools.simulator.chips.antenna import LoRa, Reception
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

ONE, TWO = "0000000000000001", "0000000000000002"
F = 868_100_000
DOWN = LoRa(F, 7, 125_000, inverted=True, crc=False)
SYMBOL_NS = symbol_ns(7, 125_000)
DETECTION_NS = DETECTION_SYMBOLS * SYMBOL_NS
START_NS = NS
FRAME_NS = airtime_ns(10, 7, 125_000, crc=False)


class Ear:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.receptions: list[Reception] = []

    def preamble(self, at_ns: int) -> None:
        self.told.append(("preamble", at_ns))

    def header(self, at_ns: int) -> None:
        self.told.append(("header", at_ns))

    def frame(self, at_ns: int, reception: Reception) -> None:
        self.told.append(("frame", at_ns))
        self.receptions.append(reception)

    def lost(self, at_ns: int) -> None:
        self.told.append(("lost", at_ns))


class Sky:
    def __init__(self, **options: Any) -> None:
        self.scheduler = Scheduler(0)
        self.air = Air(
            self.scheduler,
            seed=1,
            gateways=[Gateway(ONE), Gateway(TWO)],
            on_uplink=lambda *_: None,
            places={1: Place(100, 0), 2: Place(0, 100)},
            **options,
        )
        self.ear = Ear()

    def down(self, start_ns: int = START_NS, gateway: str = ONE, power: int = 14) -> None:
        assert self.air.downlink(gateway, start_ns, F, 7, 125_000, power, b"0123456789") is None

    def listen(self, open_ns: int, lora: LoRa = DOWN) -> Receiver:
        return self.air.listen(1, open_ns, lora, self.ear)

    def run(self, until_ns: int = 10 * NS) -> list[str]:
        asyncio.run(self.scheduler.run(until_ns))
        return [what for what, _ in self.ear.told]


def test_it_is_told_of_preamble_header_and_the_frames_end() -> None:
    sky = Sky()
    sky.down()
    sky.listen(START_NS - 5_000_000)
    sky.run()
    header_ns = START_NS + SYMBOL_NS * (8 + 12) + SYMBOL_NS // 4
    assert sky.ear.told == [
        ("preamble", START_NS + DETECTION_NS),
        ("header", header_ns),
        ("frame", START_NS + FRAME_NS),
    ]
    (reception,) = sky.ear.receptions
    assert (reception.payload, reception.crc, reception.crc_ok) == (b"0123456789", False, True)
    assert sky.air.log[0]["heard_by"] == [1]


def test_it_needs_five_symbols_of_the_preamble() -> None:
    for late_symbols, expected in ((2.9, ["preamble", "header", "frame"]), (3.1, [])):
        sky = Sky()
        sky.down()
        sky.listen(START_NS + round(late_symbols * SYMBOL_NS))
        assert sky.run() == expected, late_symbols


@pytest.mark.parametrize(
    "change",
    [
        {"inverted": False},
        {"sync_word": 0x12},
        {"frequency": 868_300_000},
        {"sf": 8},
        {"bandwidth": 250_000},
        {"explicit": False},
    ],
    ids=["chirps the other way", "sync word", "frequency", "spreading factor", "bandwidth", "no header"],
)
def test_what_does_not_fit_is_not_heard(change: dict[str, Any]) -> None:
    sky = Sky()
    sky.down()
    sky.listen(START_NS - 5_000_000, replace(DOWN, **change))
    assert sky.run() == []


def test_a_synthesizers_steps_do_not_matter_and_a_quarter_of_the_bandwidth_does() -> None:
    for off_hz, heard in ((61, True), (31_250, True), (31_251, False)):
        sky = Sky()
        sky.down()
        sky.listen(START_NS - 5_000_000, replace(DOWN, frequency=F + off_hz))
        assert bool(sky.run()) == heard, off_hz


def test_a_closed_receiver_is_told_nothing_more() -> None:
    sky = Sky()
    sky.down()
    receiver = sky.listen(START_NS - 5_000_000)
    sky.run(START_NS + DETECTION_NS)
    sky.air.close(receiver)
    sky.air.close(receiver)
    assert sky.run() == ["preamble"]


def test_an_open_receiver_hears_one_frame_after_the_other() -> None:
    sky = Sky()
    sky.down()
    sky.down(3 * NS)
    sky.listen(0)
    assert sky.run() == ["preamble", "header", "frame"] * 2


def test_a_frame_announced_while_the_receiver_is_open_is_heard() -> None:
    sky = Sky()
    sky.listen(0)
    sky.run(NS // 2)
    sky.down()
    assert sky.run() == ["preamble", "header", "frame"]


def test_two_equal_frames_garble_each_other_and_without_a_crc_nobody_notices() -> None:
    sky = Sky()
    sky.down()
    sky.down(gateway=TWO)
    sky.listen(START_NS - 5_000_000)
    sky.run()
    (reception,) = sky.ear.receptions
    assert reception.payload != b"0123456789"
    assert reception.crc_ok
    assert sky.air.log[0]["heard_by"] == []


@pytest.mark.parametrize(("low_rate", "whole"), [(True, True), (False, False)])
def test_a_receiver_without_low_data_rate_optimisation_garbles_slow_frames(
    low_rate: bool, whole: bool
) -> None:
    sky = Sky()
    assert sky.air.downlink(ONE, START_NS, F, 12, 125_000, 14, b"0123456789") is None
    sky.listen(0, replace(DOWN, sf=12, low_rate=low_rate))
    sky.run()
    assert (sky.ear.receptions[0].payload == b"0123456789") == whole


def test_the_stronger_by_6_db_is_heard_whole() -> None:
    sky = Sky()
    sky.down(power=14)
    sky.down(gateway=TWO, power=7)
    sky.listen(START_NS - 5_000_000)
    sky.run()
    assert sky.ear.receptions[0].payload == b"0123456789"


def test_a_lost_downlink_is_not_even_noticed() -> None:
    sky = Sky(downlink_loss=1.0)
    sky.down()
    sky.listen(START_NS - 5_000_000)
    assert sky.run() == []


def test_boards_hear_each_others_uplinks_if_their_chirps_run_alike() -> None:
    up = LoRa(F, 7, 125_000)
    sky = Sky()
    sky.listen(0, up)
    sky.air.transmit(2, START_NS, up, 14, b"hello")
    sky.air.transmit(1, 3 * NS, up, 14, b"myself")
    assert sky.run() == ["preamble", "header", "frame"]
    assert (sky.ear.receptions[0].payload, sky.ear.receptions[0].crc) == (b"hello", True)


def test_a_sender_that_stops_is_lost() -> None:
    up = LoRa(F, 7, 125_000)
    sky = Sky()
    sky.listen(0, up)
    sky.air.transmit(2, START_NS, up, 14, b"hello" * 10)
    sky.air.abort(2, START_NS + 12 * SYMBOL_NS)
    assert sky.run() == ["preamble", "lost"]


def test_a_gateway_does_not_hear_what_is_not_lorawan() -> None:
    sky = Sky()
    for n, change in enumerate(
        ({"sync_word": 0x12}, {"inverted": True}, {"explicit": False}, {"crc": False})
    ):
        sky.air.transmit(1, n * NS, replace(LoRa(F, 7, 125_000), **change), 14, b"x")
    sky.run()
    assert [entry["lost"] for entry in sky.air.log] == ["not LoRaWAN"] * 4


def test_until_it_can_be_told_something_it_is_quiet_for_certain() -> None:
    sky = Sky()
    receiver = sky.listen(NS // 4)
    assert sky.air.quiet_until(receiver) == NS // 4 + DETECTION_NS
    sky.down()
    while not sky.ear.told:
        quiet_ns = sky.air.quiet_until(receiver)
        assert quiet_ns > sky.scheduler.now_ns
        sky.run(quiet_ns - 1)
        assert not sky.ear.told
        sky.run(quiet_ns)
    assert sky.ear.told == [("preamble", START_NS + DETECTION_NS)]
    assert sky.air.quiet_until(receiver) == START_NS + SYMBOL_NS * 81 // 4


def test_a_carrier_counts_for_the_duty_cycle() -> None:
    sky = Sky()
    antenna = BoardAntenna(sky.air, 1)
    antenna.carrier(0, 868_650_000, 14.0)
    antenna.stop_transmit(NS)
    (violation,) = sky.air.duty_cycle.violations
    assert (violation.used_ns, violation.allowed_ns) == (NS, 0)
