"""The virtual air: airtime, who hears whom, collisions and capture, half-duplex gateways, loss by seed, duty cycle."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.airtime import airtime_ns, symbol_ns
from zaehlwerk_tools.simulator.chips.antenna import LoRa
from zaehlwerk_tools.simulator.duty_cycle import DutyCycle
from zaehlwerk_tools.simulator.propagation import Place, somewhere
from zaehlwerk_tools.simulator.scheduler import NS, Scheduler

ONE, TWO = "0000000000000001", "0000000000000002"
F = 868_100_000


@pytest.mark.parametrize(
    ("size", "sf", "milliseconds"),
    # SX1276 calculator, 125 kHz, CR 4/5, explicit header, CRC, 8 symbols of preamble.
    [
        (45, 12, 2138.112),
        (45, 10, 575.488),
        (45, 7, 92.416),
        (64, 12, 2793.472),
        (64, 10, 698.368),
        (64, 7, 118.016),
        (23, 12, 1482.752),
    ],
)
def test_airtime_is_semtechs(size: int, sf: int, milliseconds: float) -> None:
    assert airtime_ns(size, sf, 125_000, crc=True) == round(milliseconds * 1e6)


def test_a_downlink_without_crc_is_never_longer() -> None:
    for size in range(1, 65):
        assert airtime_ns(size, 9, 125_000, crc=False) <= airtime_ns(size, 9, 125_000, crc=True)


def test_a_modulation_that_lorawan_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="SF6"):
        symbol_ns(6, 125_000)


class Sky:
    """An air with nobody in it: the test says who sends."""

    def __init__(self, gateways: list[Gateway] | None = None, **options: Any) -> None:
        self.scheduler = Scheduler(0)
        self.heard: list[tuple[int, bytes, Heard]] = []
        self.air = Air(
            self.scheduler,
            seed=options.pop("seed", 1),
            gateways=gateways if gateways is not None else [Gateway(ONE)],
            on_uplink=lambda *args: self.heard.append(args),
            **options,
        )

    def send(
        self, sender: int, start_ms: float, payload: bytes, frequency: int = F, sf: int = 7, power: int = 14
    ) -> int:
        lora = LoRa(frequency, sf, 125_000, low_rate=sf > 10)
        return self.air.transmit(sender, round(start_ms * 1e6), lora, power, payload)

    def run(self, seconds: float = 100) -> list[bytes]:
        asyncio.run(self.scheduler.run(round(seconds * NS)))
        return [payload for _, payload, _ in self.heard]

    def lost(self) -> dict[str, object]:
        return {bytes.fromhex(str(entry["payload"])).decode(): entry["lost"] for entry in self.air.log}


NEAR, SAME, FAR = Place(100, 0), Place(0, 100), Place(200, 0)


def test_a_frame_arrives_at_its_end_once_per_gateway() -> None:
    sky = Sky([Gateway(TWO, Place(50, 50)), Gateway(ONE)], places={1: NEAR})
    end = sky.send(1, 10, b"a")
    sky.run()
    assert [(at, payload, heard.gateway_id) for at, payload, heard in sky.heard] == [
        (end, b"a", ONE),
        (end, b"a", TWO),
    ]
    assert end == 10_000_000 + airtime_ns(1, 7, 125_000, crc=True)


def test_equal_frames_that_overlap_destroy_each_other() -> None:
    sky = Sky(places={1: NEAR, 2: SAME})
    sky.send(1, 10, b"a" * 20)
    sky.send(2, 30, b"b" * 20)
    assert sky.run() == []
    assert set(sky.lost().values()) == {"collision"}
    assert (sky.air.uplinks_sent, sky.air.uplinks_lost) == (2, 2)


def test_the_stronger_by_6_db_is_captured() -> None:
    """Twice the distance is 7 dB in this model."""
    sky = Sky(places={1: NEAR, 2: FAR})
    sky.send(1, 10, b"a" * 20)
    sky.send(2, 30, b"b" * 20)
    assert sky.run() == [b"a" * 20]
    sky = Sky(places={1: NEAR, 2: FAR})
    sky.send(1, 10, b"a" * 20, power=12)
    sky.send(2, 30, b"b" * 20)
    assert sky.run() == []


@pytest.mark.parametrize("change", [{"frequency": 868_300_000}, {"sf": 8}])
def test_another_channel_or_spreading_factor_does_not_disturb(change: dict[str, int]) -> None:
    sky = Sky(places={1: NEAR, 2: SAME})
    sky.send(1, 10, b"a" * 20)
    sky.send(2, 30, b"b" * 20, **change)
    assert sorted(sky.run()) == [b"a" * 20, b"b" * 20]


def test_an_overlap_with_the_first_symbols_of_the_preamble_does_no_harm() -> None:
    """Five symbols of preamble are enough; up to three of the eight may be disturbed. The other frame's end is lost."""
    end_ms = airtime_ns(20, 7, 125_000, crc=True) / 1e6
    for overlap_symbols, heard in ((2.9, [b"b" * 20]), (3.1, [])):
        sky = Sky(places={1: NEAR, 2: SAME})
        sky.send(1, 0, b"a" * 20)
        sky.send(2, end_ms - overlap_symbols * 1.024, b"b" * 20)
        assert sky.run() == heard, overlap_symbols


def test_a_collision_at_one_gateway_can_be_heard_at_another() -> None:
    sky = Sky(
        [Gateway(ONE, Place(0, 0)), Gateway(TWO, Place(1000, 0))],
        places={1: Place(500, 0), 2: Place(-500, 0)},
    )
    sky.send(1, 10, b"a" * 20)
    sky.send(2, 30, b"b" * 20)
    assert sky.run() == [b"a" * 20]
    assert sky.heard[0][2].gateway_id == TWO
    assert sky.air.log[0]["missed"] == {ONE: "collision"}


def test_a_gateway_that_sends_does_not_hear() -> None:
    sky = Sky([Gateway(ONE), Gateway(TWO, Place(10, 10))], places={1: NEAR})
    assert sky.air.downlink(ONE, 20_000_000, 869_525_000, 12, 125_000, 27, b"down") is None
    sky.send(1, 10, b"a" * 20)
    sky.run()
    assert [heard.gateway_id for _, _, heard in sky.heard] == [TWO]
    alone = Sky(places={1: NEAR})
    alone.air.downlink(ONE, 20_000_000, 869_525_000, 12, 125_000, 27, b"down")
    alone.send(1, 10, b"a" * 20)
    assert alone.run() == []
    assert alone.air.log[0]["lost"] == "half duplex"


def test_a_gateway_refuses_what_it_cannot_send() -> None:
    sky = Sky([Gateway(ONE, outages=[(5 * NS, 6 * NS)])])
    send = sky.air.downlink
    assert send(ONE, NS, F, 12, 125_000, 14, b"first") is None
    assert send(ONE, NS + 1000, 869_525_000, 7, 125_000, 27, b"second") == "COLLISION_PACKET"
    assert send(ONE, 5 * NS, F, 7, 125_000, 14, b"third") == "INTERNAL_ERROR"
    sky.run(10)
    assert send(ONE, 9 * NS, F, 7, 125_000, 14, b"fourth") == "TOO_LATE"
    assert sky.air.downlinks_sent == 1


def test_a_gateway_hears_nothing_while_it_is_out() -> None:
    sky = Sky([Gateway(ONE, outages=[(1 * NS, 2 * NS)])], places={1: NEAR})
    sky.send(1, 990, b"in")
    sky.send(1, 2500, b"after")
    assert sky.run() == [b"after"]
    assert sky.lost()["in"] == "gateway out"


def test_a_frame_below_the_noise_is_not_heard_and_a_slower_one_is() -> None:
    sky = Sky(places={1: Place(5000, 0)})
    sky.send(1, 10, b"fast")
    sky.send(1, 5000, b"slow", sf=12)
    assert sky.run() == [b"slow"]
    assert sky.lost()["fast"] == "weak"


def test_loss_follows_from_the_seed_and_is_as_large_as_wanted() -> None:
    def run(seed: int) -> str:
        sky = Sky(seed=seed, uplink_loss=0.1, places={1: NEAR})
        for n in range(1000):
            sky.send(1, n * 1000, b"%d" % n)
        sky.run(2000)
        assert 70 < sky.air.uplinks_lost < 130
        return sky.air.log_text()

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_one_boards_loss_does_not_depend_on_the_others() -> None:
    def lost(with_others: bool) -> list[object]:
        sky = Sky(uplink_loss=0.5, places={1: NEAR, 2: SAME})
        for n in range(100):
            if with_others:
                sky.send(2, n * 1000 + 500, b"x")
            sky.send(1, n * 1000, b"%d" % n)
        sky.run(2000)
        return [entry["lost"] for entry in sky.air.log if entry["sender"] == 1]

    assert lost(with_others=True) == lost(with_others=False)


def test_a_board_that_goes_down_while_sending_is_not_heard() -> None:
    sky = Sky(places={1: NEAR})
    sky.send(1, 10, b"a" * 20)
    sky.air.abort(1, 20_000_000)
    assert sky.run() == []
    assert sky.lost() == {"a" * 20: "aborted"}


def test_duty_cycle_counts_an_hour_per_sub_band() -> None:
    """36 s of an hour in the 1 % band; a frame an hour ago no longer counts; between the bands nobody may send."""
    account = DutyCycle()
    for n in range(36):
        account.add("board 1", F, (n + 1) * 10 * NS, NS)
    account.add("board 1", 869_525_000, 400 * NS, 100 * NS)
    account.add("board 2", F, 400 * NS, NS)
    assert account.violations == []
    account.add("board 1", 868_500_000, 500 * NS, NS)
    assert [(v.sender, v.used_ns, v.allowed_ns) for v in account.violations] == [
        ("board 1", 37 * NS, 36 * NS)
    ]
    account.add("board 1", F, 3700 * NS, NS)
    assert len(account.violations) == 1
    account.add("board 1", 868_650_000, 3800 * NS, 1)
    assert account.violations[-1].allowed_ns == 0


def test_places_follow_from_the_seed_and_lie_in_the_city() -> None:
    assert somewhere("1/place/1", 1500) == somewhere("1/place/1", 1500)
    assert all(abs(complex(p.x_m, p.y_m)) <= 1500.1 for p in (somewhere(str(n), 1500) for n in range(200)))


@pytest.mark.parametrize("loss", [-0.1, 1.5])
def test_a_share_that_is_none_is_refused(loss: float) -> None:
    with pytest.raises(ValueError, match="uplink_loss"):
        Sky(uplink_loss=loss)


def test_a_silent_board_is_heard_by_nobody_until_its_silence_ends() -> None:
    sky = Sky(places={1: NEAR, 2: FAR}, silences={1: [(1 * NS, 2 * NS)]})
    sky.send(1, 1500, b"in")
    sky.send(2, 1700, b"other")
    sky.send(1, 2500, b"after")
    assert sky.run() == [b"other", b"after"]
    assert sky.lost()["in"] == "silence"
