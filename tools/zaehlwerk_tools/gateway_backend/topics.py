"""The MQTT topics between a gateway and ChirpStack, as ChirpStack's MQTT forwarder uses them."""

from __future__ import annotations

from dataclasses import dataclass

from zaehlwerk_tools.errors import ZaehlwerkError

DEFAULT_PREFIX = "eu868"
"""`topic_prefix` in ChirpStack's own region_eu868.toml."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics below a region's prefix, which may be empty; gateways are named by their EUI, 16 hexadecimal digits."""

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        prefix = self.prefix
        if prefix.strip("/") != prefix or any(c in "+#$" or not c.isprintable() for c in prefix):
            raise ZaehlwerkError(
                f"--mqtt-topic-prefix '{prefix}': expected the topic_prefix of ChirpStack's region, e.g. eu868, "
                "without / at either end and without + # $"
            )

    def up(self, gateway_id: str) -> str:
        """Where a received frame goes (gw.UplinkFrame)."""
        return self._below(gateway_id, "event/up")

    def ack(self, gateway_id: str) -> str:
        """Where the fate of a downlink goes (gw.DownlinkTxAck)."""
        return self._below(gateway_id, "event/ack")

    def stats(self, gateway_id: str) -> str:
        """Where statistics go (gw.GatewayStats); they are what ChirpStack takes for a sign of life."""
        return self._below(gateway_id, "event/stats")

    def state(self, gateway_id: str) -> str:
        """Where the state of the connection stands, retained (gw.ConnState)."""
        return self._below(gateway_id, "state/conn")

    def down(self, gateway_id: str) -> str:
        """Where downlinks for the gateway come (gw.DownlinkFrame)."""
        return self._below(gateway_id, "command/down")

    def _below(self, gateway_id: str, rest: str) -> str:
        path = f"gateway/{gateway_id}/{rest}"
        return f"{self.prefix}/{path}" if self.prefix else path
