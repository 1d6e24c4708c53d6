"""A frame that a gateway heard on the virtual air, as the message gw.UplinkFrame."""

from __future__ import annotations

from chirpstack_api import gw

from zaehlwerk_tools.gateway_backend.gateway_time import NS, gps_ns
from zaehlwerk_tools.simulator.air_frames import Heard


def uplink_frame(
    heard: Heard, phy: bytes, *, uplink_id: int, context: bytes, end_ns: int | None = None
) -> gw.UplinkFrame:
    """The message of one gateway. `end_ns`: when the frame ended (UTC Unix ns), of a gateway that knows GPS time.

    With it ChirpStack takes the end of the frame for the event's time and for DeviceTimeAns, whatever the way to it took;
    without it its own clock. `ns_time` is the network server's to set.
    """
    frame = gw.UplinkFrame(phy_payload=phy)
    frame.tx_info.frequency = heard.frequency
    lora = frame.tx_info.modulation.lora
    lora.bandwidth = heard.bandwidth
    lora.spreading_factor = heard.sf
    lora.code_rate = gw.CR_4_5
    rx = frame.rx_info
    rx.gateway_id = heard.gateway_id
    rx.uplink_id = uplink_id
    rx.rssi = heard.rssi
    rx.snr = heard.snr
    rx.channel = heard.channel
    rx.context = context
    rx.crc_status = gw.CRC_OK
    if end_ns is not None:
        rx.gw_time.seconds, rx.gw_time.nanos = divmod(end_ns, NS)
        gps = rx.time_since_gps_epoch
        gps.seconds, gps.nanos = divmod(gps_ns(end_ns), NS)
    return frame
