"""The join server: OTAA of LoRaWAN 1.0.x (TS001-1.0.4 chapter 6), with ChirpStack's checks and log events."""

from __future__ import annotations

import hmac

from . import crypto, eu868, events, gateways
from .device import Device, Keys
from .network import Network
from .phy import JOIN_ACCEPT, JoinRequest, join_accept_body
from .reception import Uplink
from .session import Session

MHDR_JOIN_ACCEPT = JOIN_ACCEPT << 5
DL_SETTINGS = eu868.RX2_DATA_RATE
"""RX1DROffset 0, RX2 data rate 0, OptNeg 0 (1.0.x)."""


class Joins:
    """Handles join requests."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def handle(self, uplink: Uplink, request: JoinRequest) -> None:
        """Answer a join request, or log why not. An unknown device, or one without keys or OTAA, leaves no trace."""
        device = self._network.registry.devices.get(request.dev_eui)
        if device is None or device.keys is None or device.is_disabled:
            return
        if not self._network.registry.profiles[device.profile_id].definition.supports_otaa:
            return
        if not hmac.compare_digest(crypto.cmac(device.keys.nwk_key, request.signed), request.mic):
            self._log(
                device,
                "UPLINK_MIC",
                "MIC of join-request is invalid, make sure keys are correct",
                {"deduplication_id": uplink.deduplication_id},
            )
            return
        nonce = (request.join_eui, request.dev_nonce)
        if nonce in device.keys.dev_nonces:
            context = {
                "deduplication_id": uplink.deduplication_id,
                "join_eui": request.join_eui,
                "dev_nonce": str(request.dev_nonce),
            }
            self._log(device, "OTAA", "DevNonce has already been used", context)
            return
        device.keys.dev_nonces.add(nonce)
        accept = self._activate(device, device.keys, request)
        network = self._network
        network.scheduler.at(
            network.scheduler.now_ns + network.settings.join_accept_ns,
            lambda: self._accept(device, uplink, accept),
        )

    def _activate(self, device: Device, keys: Keys, request: JoinRequest) -> bytes:
        """Give the device a new session; returns the join accept."""
        join_nonce, keys.join_nonce = keys.join_nonce, keys.join_nonce + 1
        dev_addr = self._network.identities.dev_addr(device.dev_eui)
        network_key, application_key = crypto.session_keys(
            keys.nwk_key, join_nonce, eu868.NET_ID, request.dev_nonce
        )
        device.session = Session(dev_addr, network_key, application_key)
        device.join_eui = request.join_eui
        if self._network.registry.profiles[device.profile_id].definition.flush_queue_on_activate:
            device.flush()
        body = join_accept_body(
            join_nonce, eu868.NET_ID, dev_addr, DL_SETTINGS, eu868.RX1_DELAY_S, eu868.CF_LIST
        )
        return crypto.seal_join_accept(keys.nwk_key, MHDR_JOIN_ACCEPT, body)

    def _accept(self, device: Device, uplink: Uplink, accept: bytes) -> None:
        network = self._network
        if device.session is None or network.registry.devices.get(device.dev_eui) is not device:
            return
        through = gateways.choose(uplink, network.settings.gateway_prefer_min_margin_db, network.identities)
        items = [
            gateways.Item(tx, accept) for tx in gateways.windows(uplink, through, eu868.JOIN_ACCEPT_DELAY_S)
        ]
        network.downlinks.send(items, through, None, lambda _: None)
        info = network.registry.device_info(device)
        network.emit(
            device,
            events.join(uplink.deduplication_id, network.rx_time(uplink), info, device.session.dev_addr),
        )

    def _log(self, device: Device, code: str, description: str, context: dict[str, str]) -> None:
        network = self._network
        info = network.registry.device_info(device)
        network.emit(device, events.log(network.scheduler.now_ns, info, "ERROR", code, description, context))
