from __future__ import annotations

import base64

import pytest
from chirpstack_api import api

from tools.tests.network_server.rig import FAR, NEAR, joined_rig
from tools.tests.network_server.virtual_device import Received
from zaehlwerk_tools.network_server import Reception
from zaehlwerk_tools.network_server.events import duration, single, timestamp

MS = 1_000_000
GPS_EPOCH = 315_964_800


def test_moments_have_as_many_digits_as_they_need() -> None:
    whole = 1_795_387_693 * 10**9
    texts = {0: "", 5 * 10**8: ".500", 389_345_000: ".389345", 389_345_967: ".389345967"}
    for ns, digits in texts.items():
        assert timestamp(whole + ns) == f"2026-11-22T22:48:13{digits}+00:00"
        assert duration(7 * 10**9 + ns) == f"7{digits}s"


@pytest.mark.parametrize(
    ("value", "short"), [(100 / 254 * 100, 39.37008), (7.5, 7.5), (-0.1, -0.1), (100.0, 100.0)]
)
def test_floats_are_single_precision(value: float, short: float) -> None:
    assert single(value) == short


async def test_the_first_copy_opens_a_window_of_200_ms_in_which_gateways_add_theirs() -> None:
    async with joined_rig() as it:
        phy = it.device.uplink(b"x")
        it.send(phy)
        it.scheduler.run_for(0.199)
        it.send(phy, gateways=(FAR,))
        it.scheduler.run_for(5)
        (up,) = await it.bodies("up")
        assert [rx["gatewayId"] for rx in up["rxInfo"]] == [NEAR, FAR]


async def test_a_copy_within_400_ms_vanishes_and_a_later_one_is_a_retransmission() -> None:
    async with joined_rig() as it:
        phy = it.device.uplink(b"x")
        it.send(phy)
        it.scheduler.run_for(0.4)
        it.send(phy, gateways=(FAR,))
        it.scheduler.run_for(5)
        assert [item.description for item in await it.events()] == ["join", "up"]
        it.send(phy)
        it.scheduler.run_for(5)
        (log,) = await it.bodies("log")
        assert log["code"] == "UPLINK_F_CNT_RETRANSMISSION"
        assert len(await it.bodies("up")) == 1


async def test_the_same_bytes_on_another_channel_are_another_transmission() -> None:
    async with joined_rig() as it:
        phy = it.device.uplink(b"x")
        now = it.scheduler.now_ns
        for frequency in (868_100_000, 868_300_000):
            it.server.uplink(now, phy, Reception(NEAR, frequency, 9, 125_000, -110, -5.0))
        it.scheduler.run_for(5)
        assert [item.description for item in await it.events()] == ["join", "up", "log"]


async def test_gateways_with_gps_date_the_uplink_by_the_end_of_the_frame() -> None:
    async with joined_rig() as it:
        end = it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(5)
        (up,) = await it.bodies("up")
        (rx,) = up["rxInfo"]
        assert up["time"] == rx["gwTime"] == rx["nsTime"] == timestamp(end)
        gps = end - GPS_EPOCH * 10**9 + 18 * 10**9
        assert rx["timeSinceGpsEpoch"] == duration(gps)
        assert rx["rssi"] == -110
        assert "channel" not in rx


async def test_what_is_zero_is_left_out_of_what_the_gateway_said() -> None:
    async with joined_rig() as it:
        now = it.scheduler.now_ns
        it.server.uplink(now, it.device.uplink(b"x"), Reception(NEAR, 868_100_000, 9, 125_000, 0, 0.0, 3))
        it.scheduler.run_for(5)
        (rx,) = (await it.bodies("up"))[0]["rxInfo"]
        assert rx["channel"] == 3
        assert not {"rssi", "snr"} & set(rx)


async def test_an_item_is_dated_by_the_virtual_clock_when_the_server_is_done_with_it() -> None:
    async with joined_rig() as it:
        end = it.send(it.device.uplink(b"x"))
        it.scheduler.run_for(5)
        item = (await it.events())[-1]
        assert item.id == f"{(end + 210 * MS) // MS}-0"


def time_answer(received: Received | None) -> tuple[int, int]:
    assert received is not None
    assert received.f_opts[0] == 0x0D
    return int.from_bytes(received.f_opts[1:5], "little"), received.f_opts[5]


async def test_device_time_is_gps_time_at_the_end_of_the_uplink() -> None:
    async with joined_rig() as it:
        it.scheduler.run_for(0.6875)
        end = it.scheduler.now_ns
        seconds, fraction = time_answer(it.hear(it.device.uplink(b"x", f_opts=b"\x0d")))
        assert seconds == end // 10**9 - GPS_EPOCH + 18
        assert fraction == 176


async def test_device_time_of_gateways_without_gps_is_the_servers() -> None:
    async with joined_rig(gateway_time=False) as it:
        end = it.scheduler.now_ns
        seconds, fraction = time_answer(it.hear(it.device.uplink(b"x", f_opts=b"\x0d")))
        assert (seconds, fraction) == (end // 10**9 - GPS_EPOCH + 18, 210 * 256 // 1000)


async def test_a_link_check_tells_the_best_margin_and_the_number_of_gateways() -> None:
    async with joined_rig() as it:
        answer = it.hear(it.device.uplink(b"x", f_opts=b"\x02"), sf=9, snr=-5.2, gateways=(NEAR, FAR))
        assert answer
        assert answer.f_opts == bytes([0x02, 7, 2])


@pytest.mark.parametrize(
    ("sent", "margin", "level", "unavailable", "external", "shown"),
    [
        (bytes([6, 254, 10]), 10, 100.0, False, False, "100%"),
        (bytes([6, 100, 0x3F]), -1, 39.37008, False, False, "39%"),
        (bytes([6, 0, 0x20]), -32, 0.0, False, True, "0%"),
        (bytes([6, 255, 31]), 31, 0.0, True, False, "0%"),
    ],
)
async def test_a_device_status_becomes_an_event_and_part_of_the_device(
    sent: bytes, margin: int, level: float, unavailable: bool, external: bool, shown: str
) -> None:
    async with joined_rig() as it:
        it.hear(it.device.uplink(b"x", f_opts=sent))
        item = (await it.events())[-1]
        (status,) = await it.bodies("status")
        assert item.description == "status"
        assert status["margin"] == margin
        assert status["batteryLevel"] == level
        assert (status["batteryLevelUnavailable"], status["externalPowerSource"]) == (unavailable, external)
        assert item.properties["Battery level"] == shown
        got = await it.call("DeviceService/Get", api.GetDeviceRequest(dev_eui=it.device.dev_eui))
        assert got.device_status.margin == margin
        assert got.device_status.external_power_source is external
        wanted = pytest.approx(level, abs=0.01) if level else -1.0
        assert got.device_status.battery_level == wanted


async def test_a_device_was_last_seen_at_its_last_accepted_uplink() -> None:
    async with joined_rig() as it:
        phy = it.device.uplink(b"x")
        end = it.send(phy)
        it.scheduler.run_for(60)
        it.send(phy)
        it.scheduler.run_for(5)
        request = api.ListDevicesRequest(application_id=it.registered.application_id, limit=1)
        (entry,) = (await it.call("DeviceService/List", request)).result
        assert entry.last_seen_at.ToNanoseconds() == end + 210 * MS


async def test_payloads_on_fport_0_are_commands_and_no_data() -> None:
    async with joined_rig() as it:
        answer = it.hear(it.device.uplink(b"\x02", 0))
        assert answer
        assert answer.f_opts[:1] == b"\x02"
        (up,) = await it.bodies("up")
        assert (up["fPort"], up["data"]) == (0, "")


async def test_tags_are_merged_and_the_devices_win() -> None:
    async with joined_rig() as it:
        request = api.GetDeviceRequest(dev_eui=it.device.dev_eui)
        device = (await it.call("DeviceService/Get", request)).device
        device.tags["site"] = "mine"
        device.tags["product"] = "prototype"
        await it.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
        await it.enqueue(b"x")
        it.hear(it.device.uplink(b"x"))
        tags = {"station": "hafenstrasse", "channels": "in,out", "product": "prototype", "site": "mine"}
        assert (await it.bodies("up"))[0]["deviceInfo"]["tags"] == tags
        assert (await it.bodies("join"))[0]["deviceInfo"]["tags"] == {
            **tags,
            "site": "test",
            "product": "counter",
        }
        assert (await it.bodies("txack"))[0]["deviceInfo"]["tags"] == tags


async def test_a_txack_lacks_the_applications_tags() -> None:
    async with joined_rig() as it:
        await it.enqueue(b"x")
        it.hear(it.device.uplink(b"x"))
        assert "site" not in (await it.bodies("txack"))[0]["deviceInfo"]["tags"]


async def test_a_disabled_device_is_not_heard() -> None:
    async with joined_rig() as it:
        request = api.GetDeviceRequest(dev_eui=it.device.dev_eui)
        device = (await it.call("DeviceService/Get", request)).device
        device.is_disabled = True
        await it.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
        assert it.hear(it.device.uplink(b"x", confirmed=True)) is None
        assert not await it.bodies("up")


async def test_noise_is_counted_and_ignored() -> None:
    async with joined_rig() as it:
        it.send(b"\xff" * 20)
        it.scheduler.run_for(5)
        assert it.server.unreadable == 1
        assert [item.description for item in await it.events()] == ["join"]


async def test_a_modulation_that_the_region_has_not_is_refused_at_the_door() -> None:
    async with joined_rig() as it:
        with pytest.raises(ValueError, match="SF6 at 125000 Hz"):
            it.send(it.device.uplink(b"x"), sf=6)


async def test_data_and_properties_say_the_same() -> None:
    async with joined_rig() as it:
        it.hear(it.device.uplink(bytes(range(30)), 200))
        item = (await it.events())[-1]
        (up,) = await it.bodies("up")
        assert base64.b64decode(up["data"]) == bytes(range(30)) == bytes.fromhex(item.properties["Data"])
        assert item.properties == {"FCnt": "0", "FPort": "200", "DR": "3", "Data": bytes(range(30)).hex()}
