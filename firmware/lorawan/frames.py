"""PHY payloads of data frames (LoRaWAN 1.0.4 chapter 4): made and taken apart, no state. Join frames: see `join`.

What is wrong with a received frame is a `FrameRefused` with a reason; nothing is returned before its MIC is checked.
"""

from micropython import const

from lorawan import crypto
from lorawan.region import OVERHEAD

# MHDR: MType << 5 (LoRaWAN 1.0.4 section 4.2); the low bits are the major version, 0.
JOIN_REQUEST = const(0x00)
JOIN_ACCEPT = const(0x20)
UNCONFIRMED_UP = const(0x40)
UNCONFIRMED_DOWN = const(0x60)
CONFIRMED_UP = const(0x80)
CONFIRMED_DOWN = const(0xA0)
# MType and major version; what lies between is reserved and not looked at.
KIND = const(0xE3)

ADR = const(0x80)
ADR_ACK_REQ = const(0x40)
ACK = const(0x20)
PENDING = const(0x10)

_LAST_COUNTER = const(0xFFFFFFFE)


class FrameRefused(ValueError):
    """A received frame that is not for us or not valid; the text is the reason."""


class Downlink:
    """A data downlink: port is None when there is no FRMPayload and no FPort."""

    def __init__(self, confirmed, control, counter, fopts, port, payload):
        self.confirmed = confirmed
        self.ack = bool(control & ACK)
        self.pending = bool(control & PENDING)
        self.counter = counter
        self.fopts = fopts
        self.port = port
        self.payload = payload


def data_up(session, counter, confirmed, control, fopts, port, payload):
    """A data uplink. control holds the flags ADR, ADR_ACK_REQ, ACK; port None sends no payload."""
    header = bytes([CONFIRMED_UP if confirmed else UNCONFIRMED_UP])
    message = header + session.address.to_bytes(4, "little")
    message += bytes([control | len(fopts)]) + (counter & 0xFFFF).to_bytes(2, "little") + fopts
    if port is not None:
        key = session.app_s_key if port else session.nwk_s_key
        message += bytes([port]) + crypto.crypt_payload(key, 0, session.address, counter, payload)
    return message + crypto.data_mic(session.nwk_s_key, 0, session.address, counter, message)


def read_downlink(session, phy, longest=242):
    """Downlink of the `phy` bytes for `session`; counts nothing, changes nothing.

    longest: what FOpts and FRMPayload may be long together at the data rate it came with (N of RP002-1.0.4). The
    counter's upper half is inferred from session.fcnt_down, the last one taken (-1 before the first); one that is
    not higher is a replay, however large the gap (LoRaWAN 1.0.4 section 4.3.1.5).
    """
    if len(phy) < OVERHEAD:
        raise FrameRefused("shorter than a data frame")
    if phy[0] & KIND not in (UNCONFIRMED_DOWN, CONFIRMED_DOWN):
        raise FrameRefused("not a data downlink")
    if len(phy) - OVERHEAD - 1 > longest:
        raise FrameRefused("longer than the data rate allows")
    if int.from_bytes(phy[1:5], "little") != session.address:
        raise FrameRefused("another device's address")
    control = phy[5]
    last = session.fcnt_down
    counter = (phy[6] | phy[7] << 8) | (max(last, 0) & ~0xFFFF)
    if counter <= last:
        counter += 0x10000
    message, code = phy[:-4], phy[-4:]
    if (
        counter > _LAST_COUNTER
        or crypto.data_mic(session.nwk_s_key, 1, session.address, counter, message) != code
    ):
        raise FrameRefused("MIC or counter")
    start = 8 + (control & 0x0F)
    if start > len(message):
        raise FrameRefused("FOpts longer than the frame")
    fopts = message[8:start]
    port, payload = None, b""
    if start < len(message):
        port = message[start]
        if port == 0 and fopts:
            raise FrameRefused("FOpts together with FPort 0")
        key = session.app_s_key if port else session.nwk_s_key
        payload = crypto.crypt_payload(key, 1, session.address, counter, message[start + 1 :])
    return Downlink(phy[0] & KIND == CONFIRMED_DOWN, control, counter, fopts, port, payload)
