"""The same seed gives the same bytes."""

from __future__ import annotations

from tools.tests.network_server.rig import FAR, NEAR, joined_rig
from zaehlwerk_tools.network_server import Identities


async def day(seed: int) -> tuple[list[bytes], list[bytes], tuple[str, ...]]:
    """(downlinks, items, ids) of a few uplinks with everything that is drawn by lot in them."""
    async with joined_rig(seed=seed) as it:
        queued = [await it.enqueue(bytes([n]), confirmed=n % 2 == 1) for n in range(4)]
        for number in range(6):
            it.hear(
                it.device.uplink(bytes([number]), confirmed=True, f_opts=b"\x0d"),
                snr=6.0,
                gateways=(NEAR, FAR),
            )
        items = [item.SerializeToString(deterministic=True) for item in await it.events()]
        registered = it.registered
        ids = (
            registered.tenant_id,
            registered.application_id,
            registered.profile_id,
            *queued,
            it.server.admin_key,
        )
        return [d.gateway_id.encode() + d.phy for d in it.downlinks], items, ids


async def test_the_same_seed_gives_the_same_bytes() -> None:
    assert await day(7) == await day(7)


async def test_another_seed_gives_others() -> None:
    (downlinks, items, ids), (other_downlinks, other_items, other_ids) = await day(7), await day(8)
    assert not set(downlinks) & set(other_downlinks)
    assert not set(items) & set(other_items)
    assert not set(ids) & set(other_ids)


def test_what_is_drawn_in_one_place_does_not_shift_another() -> None:
    one, other = Identities(1), Identities(1)
    for _ in range(5):
        other.uuid("queue 70b3d57ed0000001")
        other.uplink_id("0102030405060708")
    assert one.uuid("deduplication") == other.uuid("deduplication")
