"""What a device's MAC commands do to its session, and which answers they get."""

from __future__ import annotations

from . import eu868, events
from .device import Device, Status
from .events import Event
from .mac_commands import (
    DEV_STATUS,
    DEVICE_TIME,
    LINK_ADR,
    LINK_CHECK,
    NEW_CHANNEL,
    RX_PARAM_SETUP,
    RX_TIMING_SETUP,
    Command,
    device_time_answer,
    link_check_answer,
)
from .network import Network
from .reception import Uplink
from .session import Session

_CHANNEL_MASK_OK = 0x01
_DATA_RATE_OK = 0x02
_POWER_OK = 0x04
_ALL_OK = _CHANNEL_MASK_OK | _DATA_RATE_OK | _POWER_OK
"""Bits of LinkADRAns (TS001-1.0.4 5.3)."""

_NEW_CHANNEL_OK = 0x03
"""Both bits of NewChannelAns (5.6): data-rate range and frequency."""


class MacAnswers:
    """Handles the MAC commands of an uplink, grouped by identifier as the device sent them."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def handle(
        self, device: Device, session: Session, uplink: Uplink, commands: list[Command]
    ) -> tuple[list[Command], bool, Event | None]:
        """(answers in order, whether a downlink must follow even if it is empty, a status event if there was an answer)."""
        groups: dict[int, list[Command]] = {}
        for command in commands:
            groups.setdefault(command.cid, []).append(command)
        answers: list[Command] = []
        status_event: Event | None = None
        for cid, group in groups.items():
            pending = session.pending.pop(cid, [])
            if cid == LINK_CHECK:
                floor = eu868.REQUIRED_SNR_DB[eu868.SPREADING_FACTORS[uplink.data_rate]]
                answers.append(link_check_answer(uplink.max_snr - floor, len(uplink.heard)))
            elif cid == DEVICE_TIME:
                answers.append(device_time_answer(self._network.rx_time(uplink)))
            elif cid == DEV_STATUS:
                status_event = self._status(device, uplink, group[0].arguments)
            elif cid == LINK_ADR and pending:
                _link_adr(session, group, pending[-1])
            elif cid == NEW_CHANNEL and len(pending) == len(group):
                _new_channels(session, group, pending)
        must_answer = RX_PARAM_SETUP in groups or RX_TIMING_SETUP in groups
        return answers, must_answer, status_event

    def _status(self, device: Device, uplink: Uplink, arguments: bytes) -> Event:
        battery = arguments[0]
        # The margin is a signed number of six bits (5.5).
        margin = ((arguments[1] & 0x3F) ^ 0x20) - 0x20
        percent = round(battery / 254 * 100, 2) if 0 < battery < 255 else None
        device.status = Status(margin, battery == 0, percent)
        info = self._network.registry.device_info(device)
        return events.status(uplink.deduplication_id, self._network.rx_time(uplink), info, margin, battery)


def _link_adr(session: Session, answers: list[Command], request: Command) -> None:
    accepted = _ALL_OK
    for answer in answers:
        accepted &= answer.arguments[0]
    data_rate, power = request.arguments[0] >> 4, request.arguments[0] & 0x0F
    nb_trans = request.arguments[3] & 0x0F
    if accepted == _ALL_OK:
        session.refusals.pop(LINK_ADR, None)
        if (session.data_rate, session.tx_power_index, session.nb_trans) != (data_rate, power, nb_trans):
            session.history.clear()
        session.data_rate, session.tx_power_index, session.nb_trans = data_rate, power, nb_trans
    elif not session.adr and accepted & _CHANNEL_MASK_OK:
        # A device without ADR need only take the channel mask (5.3.1).
        session.refusals.pop(LINK_ADR, None)
        session.nb_trans = nb_trans
        if accepted & _DATA_RATE_OK:
            session.data_rate = data_rate
        if accepted & _POWER_OK:
            session.tx_power_index = power
    else:
        session.refusals[LINK_ADR] = session.refusals.get(LINK_ADR, 0) + 1
        if not accepted & _POWER_OK:
            # A refused index is taken for the end of the device's range; a refused 0 for a device that starts at 1.
            if power:
                session.max_tx_power_index = power - 1
            else:
                session.tx_power_index = 1


def _new_channels(session: Session, answers: list[Command], requests: list[Command]) -> None:
    for answer, request in zip(answers, requests, strict=True):
        index = request.arguments[0]
        if answer.arguments[0] & _NEW_CHANNEL_OK == _NEW_CHANNEL_OK:
            session.refusals.pop(NEW_CHANNEL, None)
            if index not in session.channels:
                session.channels.append(index)
        else:
            session.refusals[NEW_CHANNEL] = session.refusals.get(NEW_CHANNEL, 0) + 1
