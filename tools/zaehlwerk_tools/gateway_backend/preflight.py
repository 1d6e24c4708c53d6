"""Before a run: does the network server hear our gateways at all, and is it the same time there as here?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend.addresses import ApiAddress, MqttAddress
from zaehlwerk_tools.gateway_backend.diagnosis import (
    MOST_SKEW_S,
    NS,
    not_seen,
    skew_ns,
    skew_told,
    stats_trouble,
)
from zaehlwerk_tools.gateway_backend.registration import Registration
from zaehlwerk_tools.gateway_backend.server_api import NetworkServerError
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.virtual_gateways import VirtualGateways

SEEN_S = 15.0
LOOK_S = 0.2


async def preflight(
    gateways: VirtualGateways,
    registration: Registration,
    topics: Topics,
    address: MqttAddress,
    api: ApiAddress,
    now_ns: Callable[[], int],
    seen_s: float = SEEN_S,
) -> str | None:
    """Sends every gateway's statistics and waits until the server has seen each; a remark about the clocks, or None.

    Raises BrokerError if the broker does not hand them on, NetworkServerError if the server sees nothing or its clock is
    too far off.
    """
    before_ns = now_ns()
    for gateway_id, code in (await gateways.send_stats()).items():
        trouble = stats_trouble(code, topics.stats(gateway_id), address)
        if trouble:
            raise BrokerError(trouble)
    skew = 0
    for gateway_id in gateways.links:
        seen_ns = await _seen(registration, gateway_id, seen_s)
        if seen_ns is None:
            raise NetworkServerError(not_seen(gateway_id, topics.stats(gateway_id), address, api, seen_s))
        skew = max(skew, skew_ns(before_ns, seen_ns, now_ns()), key=abs)
    told = skew_told(skew, api)
    if abs(skew) > MOST_SKEW_S * NS:
        raise NetworkServerError(f"{told}; a run needs them within {MOST_SKEW_S:.0f} s of each other")
    return told


async def _seen(registration: Registration, gateway_id: str, seen_s: float) -> int | None:
    try:
        async with asyncio.timeout(seen_s):
            while True:
                seen_ns = await registration.last_seen_ns(gateway_id)
                if seen_ns is not None:
                    return seen_ns
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return None
