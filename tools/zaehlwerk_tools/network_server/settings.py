"""What can be set at the network server; every default is ChirpStack's own."""

from __future__ import annotations

from dataclasses import dataclass

from .scheduler import NS_PER_MS


@dataclass(frozen=True)
class Settings:
    """Settings of one network server. Durations are virtual time in nanoseconds."""

    history: int = 10
    """Events kept per device (`per_device_event_log_max_history`); 0 turns the streams off without a word, as there."""

    adr: bool = True
    """False: never a LinkADRReq, and the ADR bit of downlinks is clear (`adr_disabled`)."""

    installation_margin_db: float = 10.0
    """dB kept in reserve by ADR (`installation_margin`)."""

    gateway_time: bool = True
    """Gateways know GPS time: an event's `time` and DeviceTimeAns then name the end of the uplink.
    False: as recorded with gateways that have none; both then name the moment the server handled the uplink."""

    gateway_prefer_min_margin_db: float = 10.0
    """Downlinks go through any one of the gateways with at least this link margin, else through the best."""

    deduplication_ns: int = 200 * NS_PER_MS
    """How long copies of an uplink from other gateways are collected (`deduplication_delay`)."""

    downlink_data_delay_ns: int = 100 * NS_PER_MS
    """How long an application may take to use the receive window of its own uplink (`get_downlink_data_delay`)."""

    handling_ns: int = 10 * NS_PER_MS
    """Measured: from the end of the deduplication window to the event."""

    join_accept_ns: int = 10 * NS_PER_MS
    """Measured: from there to the join accept, 220 ms after the request."""

    data_downlink_ns: int = 15 * NS_PER_MS
    """Measured: from the end of the downlink data delay to the downlink, 325 ms after the uplink."""
