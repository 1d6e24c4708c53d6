"""Through which gateway a downlink goes, and how it is handed over, window after window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from . import eu868
from .events import TxInfo
from .identities import Identities
from .reception import Downlink, Heard, TransmitDownlink, Uplink
from .scheduler import NS_PER_S


@dataclass(frozen=True)
class Item:
    """A downlink in one receive window: how and what."""

    tx: TxInfo
    phy: bytes
    carries_item: bool = False
    """Whether a queue item is in it."""


Outcome = Item | str
"""The item that the gateway took, or the name of the gw.TxAckStatus of the last one if it took none."""


class DownlinkPath(ABC):
    """The way of a downlink to its gateway and of the answer back."""

    @abstractmethod
    def send(
        self, items: list[Item], through: Heard, downlink_id: int | None, answered: Callable[[Outcome], None]
    ) -> None:
        """Offer the items, one for each window; `answered` is called once with the outcome, or never.

        `downlink_id`: the server's number for it; None: nobody else knows of it, the path draws one if it needs one.
        """


class DirectPath(DownlinkPath):
    """To gateways in the same process, which answer at once."""

    def __init__(self, transmit: TransmitDownlink) -> None:
        self._transmit = transmit

    def send(
        self, items: list[Item], through: Heard, downlink_id: int | None, answered: Callable[[Outcome], None]
    ) -> None:
        """Offer the items in turn; `answered` is called before this returns."""
        answered(hand_over(items, through, self._transmit))


def choose(uplink: Uplink, min_margin_db: float, identities: Identities) -> Heard:
    """The gateway for the answer to an uplink: any one with `min_margin_db` above the floor, else the best heard."""
    floor = eu868.REQUIRED_SNR_DB[eu868.SPREADING_FACTORS[uplink.data_rate]]
    ranked = sorted(uplink.heard, key=lambda h: (-h.reception.snr, -h.reception.rssi, h.reception.gateway_id))
    good = [one for one in ranked if one.reception.snr - floor >= min_margin_db]
    if not good:
        return ranked[0]
    chosen = identities.choose_gateway([one.reception.gateway_id for one in good])
    return next(one for one in good if one.reception.gateway_id == chosen)


def windows(uplink: Uplink, through: Heard, rx1_delay_s: int) -> tuple[TxInfo, TxInfo]:
    """RX1 (the uplink's channel and data rate, RX1DROffset 0) and RX2, one second later (RP002 2.5.7)."""
    frequency = through.reception.frequency
    sf = eu868.SPREADING_FACTORS[uplink.data_rate]
    rx2_sf = eu868.SPREADING_FACTORS[eu868.RX2_DATA_RATE]
    context = through.context
    return (
        TxInfo(frequency, sf, eu868.downlink_power(frequency), rx1_delay_s, context),
        TxInfo(
            eu868.RX2_FREQUENCY, rx2_sf, eu868.downlink_power(eu868.RX2_FREQUENCY), rx1_delay_s + 1, context
        ),
    )


def hand_over(items: list[Item], through: Heard, transmit: TransmitDownlink) -> Outcome:
    """Offer each window in turn; the one that the gateway takes, or the error of the last if it takes none.

    Times count from the end of the uplink at that gateway.
    """
    error: str | None = None
    for item in items:
        error = transmit(
            Downlink(
                gateway_id=through.reception.gateway_id,
                start_ns=through.at_ns + item.tx.delay_s * NS_PER_S,
                frequency=item.tx.frequency,
                sf=item.tx.sf,
                bandwidth=eu868.BANDWIDTH,
                power=item.tx.power,
                phy=item.phy,
            )
        )
        if error is None:
            return item
    return error or "INTERNAL_ERROR"
