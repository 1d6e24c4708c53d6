from __future__ import annotations

from chirpstack_api import api

from tools.tests.network_server.rig import joined_rig, rig
from zaehlwerk_tools.provisioning import Profile

NS = 10**9


async def test_a_join_accept_comes_in_rx1_five_seconds_after_the_request() -> None:
    async with rig() as it:
        await it.provision()
        end = it.send(it.device.join_request(), sf=10)
        it.scheduler.run_for(0.219)
        assert not it.downlinks
        it.scheduler.run_for(0.001)
        (accept,) = it.downlinks
        assert (accept.start_ns - end) == 5 * NS
        assert (accept.frequency, accept.sf, accept.bandwidth, accept.power) == (868_100_000, 10, 125_000, 16)


async def test_a_join_accept_that_rx1_cannot_take_goes_into_rx2() -> None:
    async with rig() as it:
        await it.provision()
        it.refusals = ["COLLISION_PACKET"]
        end = it.send(it.device.join_request())
        it.scheduler.run_for(7)
        (accept,) = it.downlinks
        assert (accept.start_ns - end, accept.frequency, accept.sf, accept.power) == (
            6 * NS,
            869_525_000,
            12,
            29,
        )


async def test_each_join_has_the_next_join_nonce_and_a_new_address() -> None:
    async with joined_rig() as it:
        first = (it.device.join_nonce, it.device.addr)
        it.device.dev_nonce = 1
        it.join()
        assert first[0] == 0
        assert it.device.join_nonce == 1
        assert it.device.addr != first[1]


async def test_a_new_session_starts_its_counters_at_zero() -> None:
    async with joined_rig() as it:
        for _ in range(3):
            it.hear(it.device.uplink(b"x"))
        it.device.dev_nonce = 1
        it.join()
        it.hear(it.device.uplink(b"y"))
        assert [up["fCnt"] for up in await it.bodies("up")] == [0, 1, 2, 0]


async def test_a_dev_nonce_is_used_once_even_after_a_restart_of_the_server() -> None:
    async with joined_rig() as it:
        it.server.forget_sessions()
        it.send(it.device.join_request())
        it.scheduler.run_for(7)
        assert len(it.downlinks) == 1
        (log,) = await it.bodies("log")
        assert log["code"] == "OTAA"
        assert log["context"]["dev_nonce"] == "0"


async def test_dev_nonces_count_for_each_join_eui() -> None:
    async with joined_rig() as it:
        it.device.join_eui = "0000000000000001"
        it.join()
        assert len(await it.bodies("join")) == 2


async def test_joins_without_keys_or_otaa_leave_no_trace() -> None:
    async with rig() as it:
        registered = await it.provision()
        profile = api.DeviceProfile(name="no OTAA", tenant_id=registered.tenant_id)
        made = await it.call(
            "DeviceProfileService/Create", api.CreateDeviceProfileRequest(device_profile=profile)
        )
        device = api.Device(
            dev_eui=it.device.dev_eui,
            name="x",
            application_id=registered.application_id,
            device_profile_id=made.id,
        )
        await it.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
        it.send(it.device.join_request())
        it.scheduler.run_for(7)
        device.device_profile_id = registered.profile_id
        await it.call("DeviceService/Update", api.UpdateDeviceRequest(device=device))
        await it.call("DeviceService/DeleteKeys", api.DeleteDeviceKeysRequest(dev_eui=it.device.dev_eui))
        it.send(it.device.join_request())
        it.scheduler.run_for(7)
        assert not it.downlinks
        assert not await it.events()


async def test_the_queue_survives_a_join_unless_the_profile_says_otherwise() -> None:
    for flush, left in ((False, 1), (True, 0)):
        profile = Profile(device_status_req_interval=0, flush_queue_on_activate=flush)
        async with joined_rig(profile=profile) as it:
            await it.enqueue(b"x")
            it.device.dev_nonce = 1
            it.join()
            assert len(await it.queue()) == left


async def test_a_server_that_lost_its_sessions_hears_devices_again_after_a_join() -> None:
    async with joined_rig() as it:
        it.hear(it.device.uplink(b"a"))
        it.server.forget_sessions()
        it.hear(it.device.uplink(b"b"))
        it.device.dev_nonce = 1
        it.join()
        it.hear(it.device.uplink(b"c"))
        assert [item.properties["Data"] for item in await it.events() if item.description == "up"] == [
            "61",
            "63",
        ]


async def test_a_session_lost_before_its_join_accept_was_sent_is_not_accepted() -> None:
    async with rig() as it:
        await it.provision()
        it.send(it.device.join_request())
        it.scheduler.run_for(0.215)
        it.server.forget_sessions()
        it.scheduler.run_for(7)
        assert not it.downlinks
        assert not await it.events()
