"""Data downlinks: what is sent in the receive windows of an uplink, and what a gateway's answer does to the queue."""

from __future__ import annotations

from dataclasses import dataclass

from chirpstack_api.api import device_profile_pb2

from . import crypto, eu868, events, gateways
from .adr import Link, ideal
from .device import Device, QueueItem
from .downlink_queue import next_item
from .events import TxInfo
from .mac_commands import (
    DEV_STATUS_REQUEST,
    LINK_ADR,
    NEW_CHANNEL,
    Command,
    link_adr_request,
    new_channel_request,
)
from .network import Network
from .phy import FOPTS_MAX, DataDownlink
from .reception import Heard, Uplink
from .scheduler import NS_PER_S
from .session import Session

NEW_CHANNELS_AT_ONCE = 3
MAX_REFUSALS = 3
"""After that many refusals in a row a MAC command is not asked again (`max_mac_command_error_count`)."""

DAY_NS = 86_400 * NS_PER_S


@dataclass(frozen=True)
class _Answer:
    """What is to be sent in one of the windows."""

    mac: list[list[Command]]
    item: QueueItem | None
    more: bool
    must_ack: bool


class Downlinks:
    """Answers uplinks."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def respond(
        self,
        device: Device,
        session: Session,
        uplink: Uplink,
        answers: list[Command],
        *,
        must_send: bool,
        must_ack: bool,
    ) -> None:
        """Send what there is: an acknowledgement, a queue item, MAC commands; nothing if there is none of them.

        A device that was removed, or has joined again meanwhile, gets nothing.
        """
        network = self._network
        if device.session is not session or network.registry.devices.get(device.dev_eui) is not device:
            return
        item, more, dropped = next_item(
            network, device, session, uplink, max_size=eu868.MAX_PAYLOAD[uplink.data_rate]
        )
        for event in dropped:
            network.emit(device, event)
        mac = [[answer] for answer in answers] + self._requests(device, session, uplink)
        if not (item or mac or must_ack or must_send):
            return
        through = gateways.choose(uplink, network.settings.gateway_prefer_min_margin_db, network.identities)
        what = _Answer(mac, item, more, must_ack)
        items = []
        for tx in gateways.windows(uplink, through, eu868.RX1_DELAY_S):
            size = eu868.MAX_PAYLOAD[eu868.SPREADING_FACTORS.index(tx.sf)]
            items.append(self._frame(session, what, tx, size))
        if item and not item.is_encrypted:
            item.f_cnt_down = session.f_cnt_down
        downlink_id = network.identities.downlink_id()
        network.downlinks.send(
            items,
            through,
            downlink_id,
            lambda taken: self._answered(device, session, item, downlink_id, through, taken),
        )

    def _answered(
        self,
        device: Device,
        session: Session,
        item: QueueItem | None,
        downlink_id: int,
        through: Heard,
        taken: gateways.Outcome,
    ) -> None:
        """The gateway has said what becomes of a downlink."""
        network = self._network
        if device.session is not session or network.registry.devices.get(device.dev_eui) is not device:
            return
        if isinstance(taken, str):
            info = network.registry.device_info(device)
            now = network.scheduler.now_ns
            network.emit(device, events.log(now, info, "ERROR", "DOWNLINK_GATEWAY", taken, {}))
        elif item and taken.carries_item:
            self._sent(device, session, item, downlink_id, through.reception.gateway_id, taken.tx)
        else:
            session.f_cnt_down += 1

    def _requests(self, device: Device, session: Session, uplink: Uplink) -> list[list[Command]]:
        """The server's own MAC commands, each list to be sent whole or not at all."""
        requests: list[list[Command]] = []
        missing = [index for index in range(len(eu868.CHANNELS)) if index not in session.channels]
        if missing and session.refusals.get(NEW_CHANNEL, 0) <= MAX_REFUSALS:
            requests.append(
                [
                    new_channel_request(index, eu868.CHANNELS[index], eu868.MAX_DATA_RATE)
                    for index in missing[:NEW_CHANNELS_AT_ONCE]
                ]
            )
        elif session.refusals.get(LINK_ADR, 0) <= MAX_REFUSALS:
            # Never in one frame with NewChannelReq, whose channels the mask would have to name.
            requests += self._adr(device, session, uplink)
        interval = self._profile(device).device_status_req_interval
        now = self._network.scheduler.now_ns
        asked = session.status_requested_ns
        if interval and (asked is None or now - asked >= DAY_NS // interval):
            requests.append([DEV_STATUS_REQUEST])
            session.status_requested_ns = now
        return requests

    def _adr(self, device: Device, session: Session, uplink: Uplink) -> list[list[Command]]:
        settings = self._network.settings
        if not (settings.adr and session.adr and self._profile(device).adr_algorithm_id == "default"):
            return []
        present = Link(uplink.data_rate, session.tx_power_index, session.nb_trans)
        wanted = ideal(
            present,
            session.history,
            eu868.REQUIRED_SNR_DB[eu868.SPREADING_FACTORS[uplink.data_rate]],
            settings.installation_margin_db,
            eu868.MAX_DATA_RATE,
            session.max_tx_power_index,
        )
        if wanted == present:
            return []
        return [
            [link_adr_request(wanted.data_rate, wanted.tx_power_index, session.channels, wanted.nb_trans)]
        ]

    def _frame(self, session: Session, what: _Answer, tx: TxInfo, size: int) -> gateways.Item:
        """The frame for a window that takes `size` bytes of FOpts and FRMPayload together."""
        options = b""
        for group in what.mac:
            encoded = b"".join(bytes(command) for command in group)
            if len(options) + len(encoded) > size:
                break
            options += encoded
            session.pending[group[0].cid] = group
        size -= len(options)
        item, pending = what.item, what.more
        f_port: int | None = None
        payload, key, encrypted = b"", session.app_s_key, False
        f_cnt, confirmed, carries_item = session.f_cnt_down, False, False
        if len(options) > FOPTS_MAX:
            # Too much for the header: the commands take FPort 0, and an item waits.
            f_port, payload, key, options = 0, options, session.nwk_s_key, b""
            pending = item is not None
        elif item and len(item.data) <= size:
            carries_item = True
            f_port, payload, encrypted, confirmed = item.f_port, item.data, item.is_encrypted, item.confirmed
            f_cnt = item.f_cnt_down or 0 if encrypted else f_cnt
        elif item:
            pending = True
        if not encrypted:
            payload = crypto.crypt_payload(key, crypto.DOWNLINK, session.dev_addr, f_cnt, payload)
        frame = DataDownlink(
            confirmed=confirmed,
            dev_addr=session.dev_addr,
            adr=self._network.settings.adr,
            ack=what.must_ack,
            pending=pending,
            f_cnt=f_cnt,
            f_opts=options,
            f_port=f_port,
            payload=payload,
        ).unsigned()
        mic = crypto.data_mic(session.nwk_s_key, crypto.DOWNLINK, session.dev_addr, f_cnt, frame)
        return gateways.Item(tx, frame + mic, carries_item)

    def _sent(
        self, device: Device, session: Session, item: QueueItem, downlink_id: int, gateway_id: str, tx: TxInfo
    ) -> None:
        network = self._network
        f_cnt = item.f_cnt_down or 0
        session.f_cnt_down = f_cnt + 1
        if item.confirmed:
            item.is_pending = True
        else:
            device.discard(item)
        info = network.registry.device_info(device, application_tags=False)
        now = network.scheduler.now_ns
        network.emit(device, events.txack(downlink_id, now, info, item.id, f_cnt, gateway_id, tx))

    def _profile(self, device: Device) -> device_profile_pb2.DeviceProfile:
        return self._network.registry.profiles[device.profile_id].definition
