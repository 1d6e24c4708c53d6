"""Data uplinks: which session, which counter, which MAC commands; then the event, then the downlink."""

from __future__ import annotations

from . import crypto, eu868, events
from .device import Device
from .downlinks import Downlinks
from .mac_answers import MacAnswers
from .mac_commands import read_uplink
from .network import Network
from .phy import DataUplink
from .reception import Uplink
from .session import Counter, Session, check

_REJECTED = {
    Counter.RETRANSMISSION: (
        "UPLINK_F_CNT_RETRANSMISSION",
        "Uplink was flagged as re-transmission / frame-counter did not increment",
    ),
    Counter.RESET: ("UPLINK_F_CNT_RESET", "Frame-counter reset or rollover detected"),
}


class Uplinks:
    """Handles data uplinks."""

    def __init__(self, network: Network, downlinks: Downlinks) -> None:
        self._network = network
        self._downlinks = downlinks
        self._mac = MacAnswers(network)

    def handle(self, uplink: Uplink, frame: DataUplink) -> None:
        """Take a data frame. Without a session that its MIC fits, it leaves no trace."""
        found = self._find(frame)
        if found is None:
            return
        device, session, verdict, f_cnt = found
        if verdict is not Counter.NEW and not device.skip_f_cnt_check:
            self._reject(device, uplink, verdict, f_cnt)
            return
        session.f_cnt_up = f_cnt + 1
        self._accept(device, session, uplink, frame, f_cnt)

    def _find(self, frame: DataUplink) -> tuple[Device, Session, Counter, int] | None:
        for device in self._network.registry.with_dev_addr(frame.dev_addr):
            if device.session is not None and (checked := check(device.session, frame)):
                return device, device.session, *checked
        return None

    def _reject(self, device: Device, uplink: Uplink, verdict: Counter, f_cnt: int) -> None:
        code, description = _REJECTED[verdict]
        context = {"deduplication_id": uplink.deduplication_id, "f_cnt_up": str(f_cnt)}
        network = self._network
        info = network.registry.device_info(device)
        network.emit(device, events.log(network.rx_time(uplink), info, "WARNING", code, description, context))

    def _accept(
        self, device: Device, session: Session, uplink: Uplink, frame: DataUplink, f_cnt: int
    ) -> None:
        network = self._network
        mac_payload = not frame.f_port
        key = session.nwk_s_key if mac_payload else session.app_s_key
        payload = crypto.crypt_payload(key, crypto.UPLINK, session.dev_addr, f_cnt, frame.payload)
        device.last_seen_ns = network.scheduler.now_ns
        session.adr = frame.adr
        session.heard_at(uplink.data_rate)
        if frame.adr_ack_req:
            # The device may have gone back to its default channels: it is told the others again.
            session.channels = list(range(len(eu868.DEFAULT_CHANNELS)))
        commands = read_uplink(payload if frame.f_port == 0 else frame.f_opts)
        answers, must_answer, status_event = self._mac.handle(device, session, uplink, commands)
        session.remember(f_cnt, uplink.max_snr)
        network.emit(
            device,
            events.up(
                uplink.deduplication_id,
                network.rx_time(uplink),
                network.registry.device_info(device),
                dev_addr=session.dev_addr,
                adr=frame.adr,
                data_rate=uplink.data_rate,
                f_cnt=f_cnt,
                f_port=frame.f_port,
                confirmed=frame.confirmed,
                data=b"" if mac_payload else payload,
                heard=list(uplink.heard),
                gateway_time=network.settings.gateway_time,
            ),
        )
        if status_event:
            network.emit(device, status_event)
        if frame.ack:
            self._acknowledged(device, uplink)
        settings = network.settings
        network.scheduler.at(
            network.scheduler.now_ns + settings.downlink_data_delay_ns + settings.data_downlink_ns,
            lambda: self._downlinks.respond(
                device,
                session,
                uplink,
                answers,
                must_send=must_answer or frame.adr_ack_req,
                must_ack=frame.confirmed,
            ),
        )

    def _acknowledged(self, device: Device, uplink: Uplink) -> None:
        item = device.pending_item()
        if item is None:
            return
        device.discard(item)
        network = self._network
        info = network.registry.device_info(device)
        network.emit(
            device,
            events.ack(
                uplink.deduplication_id, network.rx_time(uplink), info, item.id, True, item.f_cnt_down or 0
            ),
        )
