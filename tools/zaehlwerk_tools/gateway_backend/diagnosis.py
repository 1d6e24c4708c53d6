"""What is wrong between virtual gateways and a network server, in words that say what to check. Pure."""

from __future__ import annotations

from zaehlwerk_tools.gateway_backend.addresses import ApiAddress, MqttAddress
from zaehlwerk_tools.gateway_backend.exchange import Exchange
from zaehlwerk_tools.gateway_backend.gateway_link import NO_MATCHING_SUBSCRIBERS, NOT_AUTHORIZED
from zaehlwerk_tools.gateway_backend.topics import Topics

NS = 1_000_000_000
SILENCE_S = 120.0
"""Since the first uplink: a node asks to join about every twelve seconds at first, and each request is answered at once."""
SILENT_JOINS = 3
TOLD_SKEW_S = 1.0
"""From here on the difference of the clocks is told: event times look wrong to people."""
MOST_SKEW_S = 60.0
"""From here on a run makes no sense: what the ledger waits for would come too early or too late."""


def stats_trouble(code: int | None, topic: str, address: MqttAddress) -> str | None:
    """What a broker's reason code for a gateway's statistics means; None if it took them."""
    if code == 0:
        return None
    where = f"the gateways' broker {address}"
    if code is None:
        return f"{where} does not acknowledge what is sent to {topic}: is it overloaded?"
    if code == NO_MATCHING_SUBSCRIBERS:
        return (
            f"nobody at {where} has subscribed to {topic}: the network server is not connected to this broker, or its "
            "region has another topic_prefix than --mqtt-topic-prefix says"
        )
    if code == NOT_AUTHORIZED:
        return (
            f"{where} does not let us send to {topic}: the user in --mqtt-url needs the rights of a gateway"
        )
    return f"{where} refused {topic} with reason code {code}"


def not_seen(gateway_id: str, topic: str, address: MqttAddress, api: ApiAddress, waited_s: float) -> str:
    """A registered gateway sent statistics that the broker took, and the server has not seen it."""
    return (
        f"the network server at {api} has not seen the gateway {gateway_id} within {waited_s:.0f} s, although its "
        f"statistics were sent to {topic} at {address}: check that the server reads this very broker, that its region is "
        "enabled and has the topic_prefix that --mqtt-topic-prefix says, and its log"
    )


def skew_ns(before_ns: int, server_ns: int, after_ns: int) -> int:
    """How far the server's clock is ahead of ours at least, if it said `server_ns` between our two moments; < 0: behind."""
    if server_ns > after_ns:
        return server_ns - after_ns
    return min(0, server_ns - before_ns)


def skew_told(skew: int, api: ApiAddress) -> str | None:
    """The difference of the clocks in words if it is worth telling."""
    if abs(skew) < TOLD_SKEW_S * NS:
        return None
    way = "ahead of" if skew > 0 else "behind"
    return f"the clock of the network server at {api} is {abs(skew) / NS:.1f} s {way} this machine's: check NTP on both"


def is_silent(exchange: Exchange, now_ns: int) -> bool:
    """Whether the server ought to have answered by now."""
    first = exchange.first_uplink_ns
    return (
        not exchange.commands
        and exchange.join_requests >= SILENT_JOINS
        and first is not None
        and now_ns - first >= SILENCE_S * NS
    )


def silence(exchange: Exchange, topics: Topics, gateway_id: str, address: MqttAddress, name: str) -> str:
    """The server sees the gateways and answers no join request."""
    down = topics.down(gateway_id)
    return (
        f"{exchange.join_requests} join requests went to the network server and no downlink came back: look at the "
        f"events of the devices in its application {name} (nothing there: the region's channels or the gateways' tenant; "
        f"UPLINK_MIC: the keys); if a join is shown there, check that the user in --mqtt-url may read {down} at {address}, "
        "and that the region's command_topic is the usual one"
    )
