"""Joining: what is asked, and what an accept makes of it. Loaded while a join is under way.

LoRaWAN 1.0.4 sections 6.2.5 and 6.2.6.
"""

from micropython import const

from lorawan import crypto, frames
from lorawan.region import sub_band
from lorawan.session import Session

# CFList: five frequencies in 100 Hz, and its type (RP002-1.0.4 section 3.3.1).
_CF_LIST_BYTES = const(16)


def request(identity, dev_nonce):
    """The 23 bytes of a join request; dev_nonce is 16 bits."""
    body = bytes([frames.JOIN_REQUEST])
    for eui in (identity.join_eui, identity.dev_eui):
        body += bytes(reversed(eui))
    body += dev_nonce.to_bytes(2, "little")
    return body + crypto.mic(identity.app_key, body)


class Accept:
    """What a join accept says: nonces as on the air, cf_list as 16 bytes or b""."""

    def __init__(self, plain):
        self.join_nonce = plain[1:4]
        self.net_id = plain[4:7]
        self.address = int.from_bytes(plain[7:11], "little")
        self.dl_settings = plain[11]
        self.rx_delay = plain[12] & 0x0F
        self.cf_list = plain[13:-4]


def read_accept(app_key, phy):
    """Accept of the `phy` bytes. The network *decrypted* it, so encrypting reads it. Raises FrameRefused."""
    if len(phy) not in (17, 33) or phy[0] & frames.KIND != frames.JOIN_ACCEPT:
        raise frames.FrameRefused("not a join accept")
    plain = phy[:1] + crypto.encrypt(app_key, phy[1:])
    if crypto.mic(app_key, plain[:-4]) != plain[-4:]:
        raise frames.FrameRefused("join accept: MIC")
    return Accept(plain)


def session(region, app_key, accept, dev_nonce, data_rate):
    """The Session that `accept` begins after a request with `dev_nonce` at `data_rate`.

    RX1DROffset 6 and 7 are reserved: the highest one is taken. An RX2DataRate that the device does not have leaves
    the region's: a device that dropped the accept would be off the network for the same price.
    """
    keys = crypto.session_keys(app_key, accept.join_nonce, accept.net_id, dev_nonce.to_bytes(2, "little"))
    made = Session(region, accept.address, keys[0], keys[1], data_rate)
    made.rx_delay = accept.rx_delay or 1
    made.rx1_offset = min(accept.dl_settings >> 4 & 0x07, region.MAX_RX1_OFFSET)
    if accept.dl_settings & 0x0F < len(region.DATA_RATES):
        made.rx2_data_rate = accept.dl_settings & 0x0F
    _apply_cf_list(region, made.channels, accept.cf_list)
    return made


def _apply_cf_list(region, channels, cf_list):
    """CFList type 0 defines the channels after the defaults; one of another type changes nothing.

    A frequency of 0 is an unused channel, and one that may not be sent on is refused as NewChannelReq would be.
    """
    if len(cf_list) != _CF_LIST_BYTES or cf_list[15] != 0:
        return
    first = len(region.DEFAULT_CHANNELS)
    for i in range(region.CF_LIST_CHANNELS):
        frequency = int.from_bytes(cf_list[3 * i : 3 * i + 3], "little") * 100
        if frequency and sub_band(region, frequency) is not None:
            channels.define(first + i, frequency, 0, len(region.DATA_RATES) - 1)
