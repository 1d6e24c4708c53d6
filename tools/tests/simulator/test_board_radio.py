"""A board's radio on the air: exact ends, receive windows at a scripted gateway, many boards at once, same seed same log."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tools.tests.simulator.small_city import GATEWAY, START_NS, City
from zaehlwerk_tools.simulator.air_frames import Gateway, Heard
from zaehlwerk_tools.simulator.airtime import airtime_ns
from zaehlwerk_tools.simulator.board_spec import BoardError
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.propagation import Place
from zaehlwerk_tools.simulator.scheduler import NS

SEND = """
import asyncio, time
from boards.heltec_v3 import radio
async def main():
    r = radio()
    r.start()
    await asyncio.sleep(5)
    before = time.ticks_us()
    done = await r.transmit(868100000, 7, 125000, 14, b"hello")
    print(time.ticks_diff(done, before), time.ticks_diff(time.ticks_us(), done) < 1100)
    {then}
asyncio.run(main())
"""

PREPARATION_US = 20_000
"""More than a driver takes to set a chip up for a transmission."""

WINDOW = """
    r.prepare_receive({frequency}, 7, 125000, {symbols})
    await asyncio.sleep_ms({wait} - time.ticks_diff(time.ticks_us(), done) // 1000)
    p = await r.receive()
    if p is None:
        print(None, time.ticks_diff(time.ticks_us(), done))
    else:
        print(p.payload, p.rssi, p.snr, time.ticks_diff(p.end, done))
"""


def reply(delay_ms: int) -> Callable[[City, int, bytes, Heard], None]:
    def on_uplink(city: City, at_ns: int, payload: bytes, heard: Heard) -> None:
        start = at_ns + delay_ms * 1_000_000
        assert (
            city.air.downlink(GATEWAY, start, heard.frequency, 7, 125_000, 14, b"answer to " + payload)
            is None
        )

    return on_uplink


@pytest.mark.parametrize("bits", [64, 32])
def test_a_transmission_ends_after_its_airtime(city: City, bits: int) -> None:
    city.add(SEND.format(then=""), bits=bits)
    took, prompt = city.run(60)[0].split()
    airtime = airtime_ns(5, 7, 125_000, crc=True)
    assert airtime / 1000 <= int(took) <= airtime / 1000 + PREPARATION_US
    assert prompt == "True"
    ((at, payload, heard),) = city.uplinks
    assert payload == b"hello"
    assert START_NS + 5 * NS + airtime < at < START_NS + 5 * NS + airtime + 100_000_000
    assert (heard.gateway_id, heard.frequency, heard.sf, heard.channel) == (GATEWAY, 868_100_000, 7, 0)


@pytest.mark.parametrize("bits", [64, 32])
def test_a_downlink_is_heard_in_the_window_that_meets_its_preamble(
    make_city: Callable[..., City], bits: int
) -> None:
    city = make_city(on_uplink=reply(1000))
    city.add(SEND.format(then=WINDOW.format(frequency=868100000, symbols=12, wait=998).strip()), bits=bits)
    answer = city.run(60)[1]
    text, rssi, snr, end = answer.rsplit(" ", 3)
    assert text == "b'answer to hello'"
    assert (int(rssi) < -50, int(snr)) == (True, 12)
    expected_us = 1_000_000 + airtime_ns(15, 7, 125_000, crc=False) / 1000
    assert int(end) == pytest.approx(expected_us, abs=2)


def test_a_window_longer_than_the_frame_hears_it_to_its_own_end(make_city: Callable[..., City]) -> None:
    city = make_city(on_uplink=reply(1000))
    city.add(SEND.format(then=WINDOW.format(frequency=868100000, symbols=1000, wait=900).strip()))
    assert int(city.run(60)[1].rsplit(" ", 1)[1]) == pytest.approx(
        1_000_000 + airtime_ns(15, 7, 125_000, crc=False) / 1000, abs=2
    )


@pytest.mark.parametrize(
    ("frequency", "symbols", "wait"),
    [(868_100_000, 8, 980), (868_100_000, 8, 1010), (868_300_000, 20, 995)],
    ids=["too early", "too late", "on another channel"],
)
def test_a_window_that_misses_the_preamble_ends_after_its_symbols(
    make_city: Callable[..., City], frequency: int, symbols: int, wait: int
) -> None:
    city = make_city(on_uplink=reply(1000))
    city.add(SEND.format(then=WINDOW.format(frequency=frequency, symbols=symbols, wait=wait).strip()))
    nothing, ended = city.run(60)[1].split()
    assert nothing == "None"
    assert int(ended) / 1000 == pytest.approx(wait + symbols * 1.024, abs=2.5)


def test_other_tasks_run_while_the_board_receives(make_city: Callable[..., City]) -> None:
    city = make_city(on_uplink=reply(1000))
    then = """
    async def tick():
        for _ in range(4):
            await asyncio.sleep_ms(10)
            print("tick", time.ticks_diff(time.ticks_us(), done) // 1000)
    r.prepare_receive(868100000, 7, 125000, 40)
    await asyncio.sleep_ms(990 - time.ticks_diff(time.ticks_us(), done) // 1000)
    asyncio.create_task(tick())
    p = await r.receive()
    print("packet", time.ticks_diff(time.ticks_us(), done) // 1000)
    await asyncio.sleep_ms(1)
""".strip()
    city.add(SEND.format(then=then))
    lines = city.run(60)[1:]
    times = [int(line.split()[1]) for line in lines]
    assert times == sorted(times)
    assert [line.split()[0] for line in lines][:4] == ["tick"] * 4


def test_a_board_hears_no_frame_that_collides_with_another_gateways(
    make_city: Callable[..., City],
) -> None:
    """Two gateways answer on the same channel at once, equally strong: noise comes out; one stronger by 6 dB is heard."""
    second = "1111111111111111"

    def both(power: int) -> Callable[[City, int, bytes, Heard], None]:
        def on_uplink(city: City, at_ns: int, payload: bytes, heard: Heard) -> None:
            if heard.gateway_id == GATEWAY:
                for gateway, dbm in ((GATEWAY, 14), (second, power)):
                    city.air.downlink(gateway, at_ns + NS, 868_100_000, 7, 125_000, dbm, gateway.encode())

        return on_uplink

    for power, heard in ((14, False), (7, True)):
        city = make_city(gateways=[Gateway(GATEWAY), Gateway(second, Place(0.0, 0.0))], on_uplink=both(power))
        city.add(SEND.format(then=WINDOW.format(frequency=868100000, symbols=12, wait=998).strip()))
        assert (city.run(60)[1].split()[0] == f"b'{GATEWAY}'") == heard


def test_a_payload_no_radio_can_send_is_refused_by_name(city: City) -> None:
    city.add(SEND.format(then="await r.transmit(868100000, 7, 125000, 14, b'x' * 256)"))
    with pytest.raises(BoardError, match="RadioError: SX1262: payload of 256 bytes"):
        city.run(60)


def test_what_a_radio_does_not_know_ends_the_run(city: City) -> None:
    city.add(SEND.format(then="await r.transmit(868100000, 6, 125000, 14, b'x')"))
    with pytest.raises(BoardError, match="RadioError: SX1262: SF6"):
        city.run(60)


CHATTER = """
import asyncio, machine, os, random, time
from boards.heltec_v3 import radio
async def main():
    r = radio()
    r.start()
    c = machine.Counter(0, machine.Pin(4))
    n = 0
    while True:
        await asyncio.sleep_ms(20000 + random.getrandbits(14))
        n += 1
        f = (868100000, 868300000, 868500000)[random.getrandbits(16) % 3]
        done = await r.transmit(f, 7, 125000, 14, b"%d %d %s" % (n, c.value(), os.urandom(3)))
        r.prepare_receive(f, 7, 125000, 12)
        await asyncio.sleep_ms(998 - time.ticks_diff(time.ticks_us(), done) // 1000)
        p = await r.receive()
        if p is not None:
            await asyncio.sleep_ms(len(p.payload))
asyncio.run(main())
"""


def chatter(make: Callable[..., City], seed: int) -> City:
    def on_uplink(city: City, at_ns: int, payload: bytes, heard: Heard) -> None:
        # Refused when the gateway is busy already; that shows in the log by its absence.
        city.air.downlink(GATEWAY, at_ns + NS, heard.frequency, 7, 125_000, 14, payload[:5])

    city = make(seed=seed, loss=0.2, on_uplink=on_uplink)
    for n in range(6):
        pulses = [START_NS + (k * 997 + n) * 1_000_000 for k in range(3000)]
        city.add(CHATTER, PulseInputs({4: pulses}), crystal_ppb=(n - 3) * 5000, bits=32 if n == 5 else 64)
    city.run(3000)
    return city


def test_same_seed_same_log_byte_for_byte(make_city: Callable[..., City]) -> None:
    """Six boards in six processes, with loss, collisions, randomness and crystals: the log does not depend on who is
    scheduled when."""
    first, second, other = (chatter(make_city, seed) for seed in (1, 1, 2))
    assert first.air.uplinks_sent > 500
    assert {entry["lost"] for entry in first.air.log if entry["direction"] == "up"} >= {
        None,
        "loss",
        "collision",
    }
    assert any(entry.get("heard_by") for entry in first.air.log)
    assert first.air.log_text() == second.air.log_text()
    assert first.air.log_text() != other.air.log_text()


def test_the_log_is_in_order_of_decision(make_city: Callable[..., City]) -> None:
    city = chatter(make_city, 3)
    ends = [int(str(entry["end_ns"])) for entry in city.air.log]
    assert ends == sorted(ends)


def test_a_wrong_crystal_shifts_the_boards_time(make_city: Callable[..., City]) -> None:
    """100 ppm fast: what the board takes for 1000 s is 0.1 s less."""
    sent = []
    for ppb in (0, 100_000):
        city = make_city()
        city.add(SEND.format(then="").replace("sleep(5)", "sleep(1000)"), crystal_ppb=ppb)
        city.run(2000)
        sent.append(city.uplinks[0][0])
    assert (sent[0] - sent[1]) / NS == pytest.approx(0.1, abs=0.001)


def test_boards_compute_at_the_same_time(city: City) -> None:
    """While one board computes, another one goes on: both processes have been seen working between two events."""
    work = """
import time
def crunch():
    n = 0
    for i in range(400000):
        n += i
    return n
for _ in range(20):
    time.sleep(100)
    crunch()
print("done")
"""
    city.add(work)
    city.add(work)
    began = time.monotonic()
    city.run(10_000)
    elapsed = time.monotonic() - began
    cpu = sum(board.cpu_s for board in city.boards)
    assert all(board.ended for board in city.boards)
    assert cpu > 0.2
    # Not one after the other, on a machine with two cores; on one core the sum is all there can be.
    assert elapsed < max(cpu * 1.5, 1.0) + 1.0


def test_a_board_in_real_time_sends_at_its_time(make_city: Callable[..., City]) -> None:
    """Pace 20: five virtual seconds before the frame take a quarter of a wall second."""
    city = make_city(pace=20)
    city.add(SEND.format(then=""), head_start_ns=NS)
    began = time.monotonic()
    city.run(6)
    assert 0.3 <= time.monotonic() - began < 2
    assert [payload for _, payload, _ in city.uplinks] == [b"hello"]
