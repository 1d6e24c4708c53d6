from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tools.tests.network_server.rig import FAR, NEAR, Rig, joined_rig
from zaehlwerk_tools.provisioning import Profile

LINK_ADR, NEW_CHANNEL, DEV_STATUS = 0x03, 0x07, 0x06
DAY_S = 86_400


async def test_an_uplink_that_asks_nothing_gets_no_downlink() -> None:
    async with joined_rig() as it:
        assert it.hear(it.device.uplink(b"x")) is None


async def test_a_confirmed_uplink_is_acknowledged_once() -> None:
    async with joined_rig() as it:
        phy = it.device.uplink(b"x", confirmed=True)
        first = it.hear(phy)
        assert first
        assert first.ack
        assert it.hear(phy) is None


async def test_downlinks_follow_the_uplink_by_one_second_or_two() -> None:
    async with joined_rig() as it:
        for refusals, delay_s, sf in (([], 1, 10), (["TOO_LATE"], 2, 12)):
            it.refusals = list(refusals)
            end = it.send(it.device.uplink(b"x", confirmed=True), sf=10)
            before = len(it.downlinks)
            it.scheduler.run_for(0.324)
            assert len(it.downlinks) == before
            it.scheduler.run_for(0.001)
            sent = it.downlinks[-1]
            assert (sent.start_ns - end, sent.sf) == (delay_s * 10**9, sf)
            it.scheduler.run_for(5)


async def test_what_no_window_can_take_is_logged_and_sent_again_with_the_same_counter() -> None:
    async with joined_rig() as it:
        item = await it.enqueue(b"x")
        it.refusals = ["COLLISION_PACKET", "TOO_LATE"]
        assert it.hear(it.device.uplink(b"x")) is None
        (log,) = await it.bodies("log")
        assert (log["code"], log["level"], log["description"]) == ("DOWNLINK_GATEWAY", "ERROR", "TOO_LATE")
        assert "queue_item_id" not in log["context"]
        answer = it.hear(it.device.uplink(b"x"))
        assert answer
        assert (answer.f_cnt, answer.data) == (0, b"x")
        assert [ack["queueItemId"] for ack in await it.bodies("txack")] == [item]


async def test_a_downlink_goes_through_the_best_gateway_if_none_is_good() -> None:
    async with joined_rig() as it:
        phy = it.device.uplink(b"x", confirmed=True)
        it.send(phy, snr=-12.0)
        it.send(phy, snr=-11.0, gateways=(FAR,))
        it.scheduler.run_for(5)
        assert it.downlinks[-1].gateway_id == FAR


async def test_a_downlink_goes_through_any_of_the_good_gateways() -> None:
    async with joined_rig() as it:
        for _ in range(20):
            it.hear(it.device.uplink(b"x", confirmed=True, adr=False), snr=5.0, gateways=(NEAR, FAR))
        assert {d.gateway_id for d in it.downlinks[1:]} == {NEAR, FAR}


class TestQueue:
    async def test_items_go_out_one_by_one_and_say_whether_more_wait(self) -> None:
        async with joined_rig() as it:
            for data in (b"a", b"b", b"c"):
                await it.enqueue(data)
            answers = [it.hear(it.device.uplink(b"x")) for _ in range(4)]
            assert [(a.data, a.pending) for a in answers if a] == [(b"a", True), (b"b", True), (b"c", False)]
            assert answers[3] is None

    async def test_a_confirmed_item_is_pending_until_the_next_uplink_settles_it(self) -> None:
        async with joined_rig() as it:
            item = await it.enqueue(b"a", confirmed=True)
            answer = it.hear(it.device.uplink(b"x"))
            assert answer
            assert answer.confirmed
            (waiting,) = await it.queue()
            assert (waiting.id, waiting.is_pending, waiting.f_cnt_down) == (item, True, 0)
            it.hear(it.device.uplink(b"x", ack=True))
            assert await it.queue() == []
            (ack,) = await it.bodies("ack")
            assert (ack["queueItemId"], ack["acknowledged"]) == (item, True)

    async def test_an_unacknowledged_item_is_given_up_at_the_next_uplink(self) -> None:
        async with joined_rig() as it:
            await it.enqueue(b"a", confirmed=True)
            it.hear(it.device.uplink(b"x"))
            assert it.hear(it.device.uplink(b"x")) is None
            (ack,) = await it.bodies("ack")
            assert ack["acknowledged"] is False
            assert await it.queue() == []

    async def test_flushing_on_enqueue_spares_the_pending_item(self) -> None:
        from chirpstack_api import api

        async with joined_rig() as it:
            pending = await it.enqueue(b"a", confirmed=True)
            await it.enqueue(b"b")
            it.hear(it.device.uplink(b"x"))
            item = api.DeviceQueueItem(dev_eui=it.device.dev_eui, f_port=10, data=b"c")
            request = api.EnqueueDeviceQueueItemRequest(queue_item=item, flush_queue=True)
            new = await it.call("DeviceService/Enqueue", request)
            assert [waiting.id for waiting in await it.queue()] == [pending, new.id]

    @pytest.mark.parametrize(("sf", "fits"), [(12, 51), (10, 51), (9, 115), (8, 222), (7, 222)])
    async def test_the_longest_item_depends_on_the_data_rate(self, sf: int, fits: int) -> None:
        async with joined_rig() as it:
            await it.enqueue(bytes(fits + 1))
            await it.enqueue(bytes(fits))
            answer = it.hear(it.device.uplink(b"x"), sf=sf)
            assert answer
            assert len(answer.data) == fits
            (log,) = await it.bodies("log")
            assert log["code"] == "DOWNLINK_PAYLOAD_SIZE"
            assert (log["context"]["item_size"], log["context"]["max_payload_size"]) == (
                str(fits + 1),
                str(fits),
            )

    async def test_an_item_that_only_rx1_can_carry_waits_if_rx2_is_used(self) -> None:
        async with joined_rig() as it:
            await it.enqueue(bytes(100))
            it.refusals = ["COLLISION_PACKET"]
            answer = it.hear(it.device.uplink(b"x"), sf=9)
            assert answer
            assert (answer.f_port, answer.pending) == (None, True)
            assert not await it.bodies("txack")
            answer = it.hear(it.device.uplink(b"x"), sf=9)
            assert answer
            assert (len(answer.data), answer.f_cnt) == (100, 1)

    async def test_an_item_expires_in_virtual_time(self) -> None:
        async with joined_rig() as it:
            at = Timestamp()
            at.FromNanoseconds(it.scheduler.now_ns + 60 * 10**9)
            late = await it.enqueue(b"a", expires_at=at)
            it.scheduler.run_for(61)
            assert it.hear(it.device.uplink(b"x")) is None
            (log,) = await it.bodies("log")
            assert (log["code"], log["context"]) == ("EXPIRED", {"queue_item_id": late})

    async def test_an_item_encrypted_for_a_used_counter_is_dropped(self) -> None:
        async with joined_rig() as it:
            it.hear(it.device.uplink(b"x", confirmed=True))
            it.hear(it.device.uplink(b"x", confirmed=True))
            item = await it.enqueue(b"a", is_encrypted=True, f_cnt_down=1)
            assert it.hear(it.device.uplink(b"x")) is None
            (log,) = await it.bodies("log")
            assert log["code"] == "F_CNT_DOWN"
            assert log["context"] == {
                "device_f_cnt_down": "2",
                "queue_item_f_cnt_down": "1",
                "queue_item_id": item,
            }

    async def test_an_encrypted_item_is_sent_as_it_is_with_its_own_counter(self) -> None:
        async with joined_rig() as it:
            await it.enqueue(b"abc", is_encrypted=True, f_cnt_down=5)
            it.hear(it.device.uplink(b"x"))
            assert it.downlinks[-1].phy[-7:-4] == b"abc"
            assert it.downlinks[-1].phy[6:8] == b"\x05\x00"
            answer = it.hear(it.device.uplink(b"x", confirmed=True))
            assert answer
            assert answer.f_cnt == 6

    async def test_nothing_is_sent_to_a_device_that_joined_again_meanwhile(self) -> None:
        async with joined_rig() as it:
            old = it.device.uplink(b"x", confirmed=True)
            it.send(old)
            it.scheduler.run_for(0.05)
            it.device.dev_nonce = 1
            it.send(it.device.join_request())
            it.scheduler.run_for(7)
            assert len(it.downlinks) == 2
            assert all(d.phy[0] == 0x20 for d in it.downlinks)


class TestMacCommands:
    async def test_link_adr_is_repeated_until_it_is_answered(self) -> None:
        async with joined_rig() as it:
            asked = [it.hear(it.device.uplink(b"x"), snr=7.5) for _ in range(2)]
            assert [a.f_opts.hex() for a in asked if a] == ["0351ff0001"] * 2
            it.hear(it.device.uplink(b"x", f_opts=b"\x03\x07"), sf=7, snr=7.5)
            after = it.hear(it.device.uplink(b"x"), sf=7, snr=2.0)
            assert after is None or after.f_opts[:2] != b"\x03\x51"

    async def test_link_adr_is_given_up_after_four_refusals(self) -> None:
        async with joined_rig() as it:
            assert it.hear(it.device.uplink(b"x"), snr=7.5)
            for left in (3, 2, 1, 0):
                answer = it.hear(it.device.uplink(b"x", f_opts=b"\x03\x05"), snr=7.5)
                assert (answer is not None) is (left > 0)

    async def test_an_accepted_link_adr_is_judged_by_what_is_heard_after_it(self) -> None:
        async with joined_rig() as it:
            answer = it.hear(it.device.uplink(b"x"), sf=7, snr=7.5)
            assert answer
            assert answer.f_opts.hex() == "0351ff0001"
            # The good frame before counts no more: it was sent with more power.
            assert it.hear(it.device.uplink(b"x", f_opts=b"\x03\x07"), sf=7, snr=0.0) is None

    async def test_a_device_that_changes_its_data_rate_is_judged_anew(self) -> None:
        async with joined_rig() as it:
            assert it.hear(it.device.uplink(b"x"), sf=9, snr=7.5)
            assert it.hear(it.device.uplink(b"x"), sf=12, snr=-12.0) is None

    async def test_adr_can_be_switched_off(self) -> None:
        async with joined_rig(adr=False) as it:
            assert it.hear(it.device.uplink(b"x"), snr=7.5) is None
            answer = it.hear(it.device.uplink(b"x", confirmed=True), snr=7.5)
            assert answer
            assert not answer.adr
            assert answer.f_opts == b""

    async def test_a_device_that_does_not_ask_for_adr_gets_none(self) -> None:
        async with joined_rig() as it:
            assert it.hear(it.device.uplink(b"x", adr=False), snr=7.5) is None

    async def test_device_status_is_asked_for_as_often_as_the_profile_says(self) -> None:
        async with joined_rig(profile=Profile(device_status_req_interval=2)) as it:
            asked = []
            for _ in range(8):
                answer = it.hear(it.device.uplink(b"x"))
                asked.append(answer is not None and answer.f_opts == bytes([DEV_STATUS]))
                it.scheduler.run_for(DAY_S / 8 - 3)
            assert asked == [True, False, False, False] * 2

    async def test_adr_ack_req_gets_a_downlink_and_the_channels_again(self) -> None:
        async with joined_rig() as it:
            answer = it.hear(it.device.uplink(b"x", adr_ack_req=True))
            assert answer
            # Three requests of six bytes do not fit into FOpts: they are sent on FPort 0.
            assert (answer.f_opts, answer.f_port) == (b"", 0)
            assert answer.data.hex() == "0703184f8450" + "0704e8568450" + "0705b85e8450"
            accepted = bytes([NEW_CHANNEL, 3])
            answer = it.hear(it.device.uplink(b"x", f_opts=accepted * 3))
            assert answer
            assert answer.f_opts.hex() == "070688668450" + "0707586e8450"
            assert it.hear(it.device.uplink(b"x", f_opts=accepted * 2)) is None

    async def test_no_link_adr_while_channels_are_missing(self) -> None:
        async with joined_rig() as it:
            answer = it.hear(it.device.uplink(b"x", adr_ack_req=True), snr=7.5)
            assert answer
            assert bytes([LINK_ADR, 0x51]) not in answer.data

    async def test_an_item_waits_behind_commands_on_fport_0(self) -> None:
        async with joined_rig() as it:
            await it.enqueue(b"a")
            answer = it.hear(it.device.uplink(b"x", adr_ack_req=True))
            assert answer
            assert (answer.f_port, answer.pending) == (0, True)
            assert len(await it.queue()) == 1
            assert not await it.bodies("txack")
            it.hear(it.device.uplink(b"x", f_opts=bytes([NEW_CHANNEL, 3]) * 3))
            assert await it.queue() == []

    async def test_commands_that_do_not_fit_wait_and_the_item_goes(self) -> None:
        async with joined_rig() as it:
            await it.enqueue(bytes(51))
            answer = it.hear(it.device.uplink(b"x", f_opts=b"\x0d"), sf=12)
            assert answer
            assert answer.f_opts[:1] == b"\x0d"
            assert (answer.f_port, answer.pending) == (None, True)
            assert await in_the_next_frame(it) == bytes(51)


async def in_the_next_frame(it: Rig) -> bytes:
    answer = it.hear(it.device.uplink(b"x"), sf=12)
    assert answer
    return answer.data
