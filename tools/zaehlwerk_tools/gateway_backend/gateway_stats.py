"""What a gateway has received and sent within a while, as gw.GatewayStats."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chirpstack_api import gw

from zaehlwerk_tools.gateway_backend.downlinks import Transmission
from zaehlwerk_tools.gateway_backend.gateway_time import NS
from zaehlwerk_tools.simulator.air_frames import Heard

INTERVAL_S = 30
"""ChirpStack's own default for a gateway's statistics; one that is silent for two intervals is shown as offline."""

_Modulation = tuple[int, int]
"""Spreading factor, Hz."""


@dataclass(slots=True)
class Statistics:
    """Counts of one gateway; each message begins new ones."""

    received: int = 0
    asked: int = 0
    sent: int = 0
    rx_frequencies: Counter[int] = field(default_factory=Counter)
    tx_frequencies: Counter[int] = field(default_factory=Counter)
    rx_modulations: Counter[_Modulation] = field(default_factory=Counter)
    tx_modulations: Counter[_Modulation] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    def heard(self, heard: Heard) -> None:
        """A frame came in."""
        self.received += 1
        self.rx_frequencies[heard.frequency] += 1
        self.rx_modulations[heard.sf, heard.bandwidth] += 1

    def took(self, planned: Transmission) -> None:
        """A frame goes out."""
        self.sent += 1
        self.tx_frequencies[planned.frequency] += 1
        self.tx_modulations[planned.sf, planned.bandwidth] += 1

    def answered(self, ack: gw.DownlinkTxAck) -> None:
        """A command was answered."""
        self.asked += 1
        self.statuses[outcome(ack)] += 1

    def message(self, gateway_id: str, now_ns: int) -> gw.GatewayStats:
        """The message that says all this."""
        stats = gw.GatewayStats(
            gateway_id=gateway_id,
            rx_packets_received=self.received,
            rx_packets_received_ok=self.received,
            tx_packets_received=self.asked,
            tx_packets_emitted=self.sent,
            rx_packets_per_frequency=self.rx_frequencies,
            tx_packets_per_frequency=self.tx_frequencies,
            tx_packets_per_status=self.statuses,
            rx_packets_per_modulation=_per_modulation(self.rx_modulations, inverted=False),
            tx_packets_per_modulation=_per_modulation(self.tx_modulations, inverted=True),
        )
        stats.time.seconds, stats.time.nanos = divmod(now_ns, NS)
        return stats


def outcome(ack: gw.DownlinkTxAck) -> str:
    """The status that decides: OK if an item was taken, else the last one's, as ChirpStack reads it."""
    statuses = [gw.TxAckStatus.Name(item.status) for item in ack.items]
    return "OK" if "OK" in statuses else statuses[-1] if statuses else "INTERNAL_ERROR"


def _per_modulation(counts: Counter[_Modulation], *, inverted: bool) -> list[gw.PerModulationCount]:
    return [
        gw.PerModulationCount(
            count=count,
            modulation=gw.Modulation(
                lora=gw.LoraModulationInfo(
                    bandwidth=bandwidth,
                    spreading_factor=sf,
                    code_rate=gw.CR_4_5,
                    polarization_inversion=inverted,
                )
            ),
        )
        for (sf, bandwidth), count in sorted(counts.items())
    ]
