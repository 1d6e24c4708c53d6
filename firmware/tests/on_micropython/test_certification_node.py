"""What the node as a program owes the network: acknowledging and fetching soon, falling back, no storm of joins."""

from world import install, world

install()

import asyncio  # noqa: E402

import fake_machine  # noqa: E402
from lorawan_rig import DEV_EUI, JOIN_EUI, Memory, port_of  # noqa: E402
from node_rig import APP_KEY, MIDNIGHT, Site  # noqa: E402

from lorawan import crypto, eu868, frames  # noqa: E402
from zaehlwerk_protocol import ports  # noqa: E402

HOUR = 3600


def airs(site, from_s=0, to_s=1 << 30):
    """[(second, PHY payload)] of the data uplinks that went out."""
    return [
        (begin / 1000000, phy)
        for begin, _, _, _, phy in site.network.air
        if phy[0] != frames.JOIN_REQUEST and from_s <= begin / 1000000 < to_s
    ]


def join_airtime(site, from_s, to_s):
    """Seconds of join requests on the air in a span."""
    spans = [
        end - begin
        for begin, end, _, _, phy in site.network.air
        if phy[0] == frames.JOIN_REQUEST and from_s <= begin / 1000000 < to_s
    ]
    return sum(spans) / 1000000


def with_flags(site, when, kind=frames.UNCONFIRMED_DOWN, control=0):
    """From second `when` on the next downlink is of this kind with these bits, once; the network answers anything."""
    network = site.network
    original, once = network.down, []

    def down(ack, fopts, item):
        phy = bytearray(original(ack, fopts, item)[:-4])
        if site.now() >= when and not once:
            once.append(site.now())
            phy[0], phy[5] = kind, phy[5] | control
        session = network.session
        return bytes(phy) + crypto.data_mic(
            session.nwk_s_key, 1, session.address, session.down - 1, bytes(phy)
        )

    network.down = down
    site.at(when, lambda: network.queue.append((99, b"\1")))
    return once


def test_a_confirmed_downlink_is_acknowledged_within_seconds_by_an_empty_frame():
    site = Site(unix=MIDNIGHT - 600)
    once = with_flags(site, HOUR, kind=frames.CONFIRMED_DOWN)
    site.run(2 * HOUR)
    after = airs(site, once[0])
    at, phy = after[0]
    assert 3 <= at - once[0] <= 30
    assert phy[5] & frames.ACK
    assert len(phy) == frames.OVERHEAD
    # Then the intervals go on as before.
    assert not after[1][1][5] & frames.ACK
    assert after[1][0] - once[0] > 600


def test_a_network_with_more_to_send_is_asked_within_seconds():
    site = Site(unix=MIDNIGHT - 600)
    once = with_flags(site, HOUR, control=frames.PENDING)
    site.run(2 * HOUR)
    at, phy = airs(site, once[0])[0]
    assert 3 <= at - once[0] <= 30
    assert len(phy) == frames.OVERHEAD
    assert airs(site, at + 1)[0][0] - at > 600


def test_a_network_that_never_ends_to_have_more_leaves_the_counts_their_time():
    site = Site(unix=MIDNIGHT - 600)
    original = site.network.down

    def down(ack, fopts, item):
        phy = bytearray(original(ack, fopts, item)[:-4])
        phy[5] |= frames.PENDING
        session = site.network.session
        return bytes(phy) + crypto.data_mic(
            session.nwk_s_key, 1, session.address, session.down - 1, bytes(phy)
        )

    on_air = site.network.on_air

    def answered(phy, frequency, sf):
        if site.network.session is not None:
            site.network.queue.append((99, b"\1"))
        on_air(phy, frequency, sf)

    site.network.down, site.network.on_air = down, answered
    site.at(HOUR, lambda: setattr(site.node.device.mac.session, "data_rate", 0))
    site.run(2 * HOUR)
    sent = [at for at, _ in site.frames(ports.COUNTS)]
    assert len(sent) >= 7
    # With its airtime at SF12.
    assert all([(site.unix + at) % 900 in (60, 61, 62) for at in sent])
    empty = [at for at, phy in airs(site) if len(phy) == frames.OVERHEAD]
    assert 50 < len([at for at in empty if at < HOUR]) < HOUR // 6
    # 1.16 s each, of which the node spends the 150th part of its time at most.
    assert 5 < len([at for at in empty if at >= HOUR]) <= HOUR // 173


def test_answers_that_do_not_fit_beside_a_count_go_before_it_and_the_count_follows_at_once():
    site = Site(unix=MIDNIGHT - 600)
    network = site.network
    original, asked = network.down, []

    def down(ack, fopts, item):
        if site.now() > HOUR and not asked:
            asked.append(site.now())
            fopts = b"\x06" * 7
        return original(ack, fopts, item)

    network.down = down
    site.at(HOUR, lambda: network.queue.append((99, b"\1")))
    site.run(2 * HOUR)
    after = airs(site, asked[0] + 1)
    phy = after[0][1]
    assert port_of(phy) == 0
    session = network.session
    plain = crypto.crypt_payload(session.nwk_s_key, 0, session.address, phy[6] | phy[7] << 8, phy[9:-4])
    assert plain[:21] == b"\x06\x00\x07" * 7
    assert port_of(after[1][1]) == ports.COUNTS
    assert after[1][0] - after[0][0] < 30


def test_a_session_that_no_network_knows_is_given_up_for_the_one_before_without_another_join():
    """An accept of long ago, played back to a node that asks to join because the network was silent for hours."""
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 12 * HOUR)
    network = site.network
    site.network.lose = lambda *_: 2 * HOUR < site.now() < 6 * HOUR
    real, network.played = network.join, False

    def join(phy):
        if network.joined == 0:
            return real(phy)
        network.played = True
        import cryptolib

        plain = b"\x20" + b"\x77\0\0" + b"\0\0\0" + b"\x01\x02\x03\x04" + b"\0\x01"
        plain += crypto.mic(APP_KEY, plain)
        return b"\x20" + cryptolib.aes(APP_KEY, 1).decrypt(plain[1:])

    network.join = join
    site.run(14 * HOUR)
    assert network.played
    addresses = [phy[1:5] for _, phy in airs(site)]
    assert b"\x01\x02\x03\x04" in addresses
    assert addresses[-1] == network.session.address.to_bytes(4, "little")
    assert site.node.device.mac.other is None
    assert len(network.joins) == 2
    assert site.counts()[-1].totals[0] == fake_machine.pulses[4]


def test_a_node_that_restarts_all_the_time_keeps_to_the_back_off_of_joins():
    """A supply that breaks down every few minutes, without a network."""
    for every, hours in ((40, 2), (400, 11)):
        site = Site(unix=MIDNIGHT - 600)
        site.network.lose_joins = lambda _: True
        for at in range(every, hours * HOUR, every):
            site.run(at)
        assert 0.5 < join_airtime(site, 0, HOUR) < 36, every
        assert join_airtime(site, HOUR, 11 * HOUR) < 36, every
        nonces = [phy[17] | phy[18] << 8 for phy in site.network.joins]
        assert nonces == list(range(len(nonces)))


def test_a_node_whose_power_never_lasts_as_long_as_its_back_off_does_not_wait_for_ever():
    """Starts of ten minutes each, days into a round whose last request asks for five hours of rest."""
    site = Site(unix=MIDNIGHT - 600)
    site.network.lose_joins = lambda _: True
    site.run(100)
    store = site.node.device.mac.store
    store.take_dev_nonce(0, 300, 40 * HOUR)
    before = len(site.network.joins)
    site.network.lose_joins = lambda _: False
    starts = 0
    while not site.network.joined and starts < 400:
        starts += 1
        site.run(100 + 600 * starts)
    assert site.network.joined == 1
    assert len(site.network.joins) == before + 1
    # Some 90 on average.
    assert starts > 5


def test_restarts_do_not_begin_the_first_hour_of_a_round_anew():
    site = Site(unix=MIDNIGHT - 600)
    site.network.lose_joins = lambda _: True
    for at in range(1000, 11 * HOUR, 1000):
        site.run(at)
    assert join_airtime(site, 0, HOUR) > 5
    assert join_airtime(site, 2 * HOUR, 11 * HOUR) < 36


def test_two_days_without_a_network_cost_no_more_joins_than_the_specification_allows():
    site = Site(unix=MIDNIGHT - 600, interval_s=3600)
    site.network.lose_joins = lambda _: True
    site.run(47 * HOUR)
    assert 10 < join_airtime(site, 0, HOUR) < 36
    assert 10 < join_airtime(site, HOUR, 11 * HOUR) < 36
    assert 2 < join_airtime(site, 11 * HOUR, 35 * HOUR) < 8.7
    rates = {sf for _, _, _, sf, phy in site.network.air if phy[0] == frames.JOIN_REQUEST}
    assert rates == {7, 8, 9, 10, 11, 12}


def test_a_join_that_waits_for_its_back_off_holds_up_no_count():
    site = Site(unix=MIDNIGHT - 600)
    site.pulses(4, 7, 30 * HOUR)
    site.run(HOUR)
    site.network.lose = site.network.lose_joins = lambda *_: True
    site.run(20 * HOUR)
    site.run(30 * HOUR)
    sent = [at for at, phy in airs(site, 21 * HOUR) if port_of(phy) == ports.COUNTS]
    assert len(sent) >= 30


def test_the_certification_runs_on_a_device_by_itself():
    from fake_network import Network

    from app.uptime import Uptime
    from lorawan.device import Device
    from lorawan.mac import Identity, Mac
    from lorawan.store import Store

    world.now_us = 0
    world.events.clear()
    network = Network(APP_KEY, MIDNIGHT)
    asyncio.new_event_loop()
    store = Store(Memory(), eu868, JOIN_EUI + DEV_EUI)
    mac = Mac(eu868, store, Identity(JOIN_EUI, DEV_EUI, APP_KEY), lambda n: n // 2, certification=b"\0\2\1\0")
    device = Device(mac, network, asyncio.Lock(), Uptime(), lambda n: n // 2)
    resets = []

    class Ended(Exception):
        pass

    def reset():
        resets.append(world.now_us)
        raise Ended

    network.queue = [
        (224, bytes.fromhex(payload)) for payload in ("0601", "7f", "080102", "02", "21", "0702", "01")
    ]

    async def main():
        try:
            await mac.certification.run(device, reset)
        except Ended:
            pass

    # Each command needs an uplink; the network sends one with each.
    asyncio.run(asyncio.wait_for_ms(main(), 600000))
    assert len(resets) == 1
    sent = [data for _, _, port, data in network.uplinks if port == 224]
    assert bytes.fromhex("7f" + "00020100" + "01000400" + "02010004") in sent
    assert b"\x08\x02\x03" in sent
    assert network.joined == 2
    kinds = [phy[0] for _, _, _, _, phy in network.air]
    assert kinds[-1] == frames.CONFIRMED_UP
    times = [begin // 1000000 for begin, _, _, _, phy in network.air if phy[0] != frames.JOIN_REQUEST]
    assert all([times[i + 1] - times[i] < 60 for i in range(1, len(times) - 1)])
