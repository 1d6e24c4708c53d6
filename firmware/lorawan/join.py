"""Joining: when to ask and how, what is asked, and what an accept makes of it. Loaded while a join is under way.

LoRaWAN 1.0.4 sections 6.2.5, 6.2.6 and chapter 7.
"""

from micropython import const

from lorawan import crypto, frames
from lorawan.region import sub_band
from lorawan.session import Session

_HOUR_S = const(3600)
# Less than 36 s of airtime in the first hour, 36 s in the next ten, 8.7 s per day after that. Each request rests for
# its own share of the period, so that the budget is spread. A frame that begins just before the end of its period is
# why the shares are below 1 %, 0.1 % and 0.01 %: (seconds since the first request, share of time as 1/n).
_PERIODS = ((_HOUR_S, 105), (11 * _HOUR_S, 1050))
_LATER = const(12000)

# Pause between two requests: at least the receive windows, and a random part, so that nodes drift apart.
_PAUSE_MS = const(8000)
_PAUSE_SPREAD_MS = const(8000)

# After a restart a pause has so many parts, each of which ends it with a chance of one in so many: a third of one.
_PARTS = const(16)
_CHANCES = const(48)

# CFList: five frequencies in 100 Hz, and its type (RP002-1.0.4 section 3.3.1).
_CF_LIST_BYTES = const(16)


def data_rate(region, attempts):
    """The data rate of the request after `attempts` of this round: the highest first, one lower each, and around."""
    count = len(region.DATA_RATES)
    return count - 1 - attempts % count


def pause_ms(airtime_us, round_s, random):
    """How long a round rests from the start of a request of `airtime_us` on, `round_s` after its first one."""
    share = _LATER
    for end, n in _PERIODS:
        if round_s < end:
            share = n
            break
    return max(airtime_us * share // 1000, _PAUSE_MS) + random(_PAUSE_SPREAD_MS)


def resumed_ms(airtime_us, round_s, random):
    """How long a round rests after a restart, when the time since its last request, of `airtime_us`, is not known.

    No longer than if it had just been sent. But no node may wait for ever whose power never lasts as long: each second
    of power makes a request as likely as the one before, at a third of what the back-off allows.
    """
    pause = pause_ms(airtime_us, round_s, random)
    part = 0
    while part < _PARTS and random(_CHANCES):
        part += 1
    return min(pause, pause * part // _PARTS + random(pause // _PARTS))


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
