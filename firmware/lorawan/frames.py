"""PHY payloads of LoRaWAN 1.0.4 (chapters 4 and 6): made and taken apart, no state.

Every reader checks the MIC before it returns anything; what is wrong is a `FrameRefused` with a reason.
"""

from lorawan import crypto

# MHDR: MType << 5 (LoRaWAN 1.0.4 section 4.2); the low bits are the major version, 0.
JOIN_REQUEST = 0x00
JOIN_ACCEPT = 0x20
UNCONFIRMED_UP = 0x40
UNCONFIRMED_DOWN = 0x60
CONFIRMED_UP = 0x80
CONFIRMED_DOWN = 0xA0

ADR = 0x80
ADR_ACK_REQ = 0x40
ACK = 0x20
PENDING = 0x10

# MHDR, DevAddr, FCtrl, FCnt, MIC, and the FPort that comes with a payload.
OVERHEAD = 12


class FrameRefused(ValueError):
    """A received frame that is not for us or not valid; the text is the reason."""


class JoinAccept:
    """What a join accept says: nonces as on the air, CFList as 16 bytes or b""."""

    def __init__(self, plain):
        self.join_nonce = plain[1:4]
        self.net_id = plain[4:7]
        self.address = int.from_bytes(plain[7:11], "little")
        self.dl_settings = plain[11]
        self.rx_delay = plain[12] & 0x0F
        self.cf_list = plain[13:-4]


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


def join_request(app_key, join_eui, dev_eui, dev_nonce):
    """The 23 bytes of a join request; EUIs are 8 bytes as printed, dev_nonce is 16 bits."""
    body = bytes([JOIN_REQUEST]) + bytes(reversed(join_eui)) + bytes(reversed(dev_eui))
    body += dev_nonce.to_bytes(2, "little")
    return body + crypto.mic(app_key, body)


def read_join_accept(app_key, phy):
    """JoinAccept of the `phy` bytes. The network *decrypted* it, so encrypting reads it (section 6.2.3)."""
    if len(phy) not in (17, 33) or phy[0] != JOIN_ACCEPT:
        raise FrameRefused("not a join accept")
    plain = phy[:1] + crypto.encrypt(app_key, phy[1:])
    if crypto.mic(app_key, plain[:-4]) != plain[-4:]:
        raise FrameRefused("join accept: MIC")
    return JoinAccept(plain)


def data_up(session, counter, confirmed, control, fopts, port, payload):
    """A data uplink. control holds the flags ADR, ADR_ACK_REQ, ACK; port None sends no payload."""
    header = bytes([CONFIRMED_UP if confirmed else UNCONFIRMED_UP])
    message = header + session.address.to_bytes(4, "little")
    message += bytes([control | len(fopts)]) + (counter & 0xFFFF).to_bytes(2, "little") + fopts
    if port is not None:
        key = session.app_s_key if port else session.nwk_s_key
        message += bytes([port]) + crypto.crypt_payload(key, 0, session.address, counter, payload)
    return message + crypto.data_mic(session.nwk_s_key, 0, session.address, counter, message)


def read_downlink(session, phy):
    """Downlink of the `phy` bytes for `session`; counts nothing, changes nothing.

    The counter's upper half is inferred from session.fcnt_down, the last one taken (-1 before the first);
    one that is not higher is a replay (LoRaWAN 1.0.4 section 4.3.1.5).
    """
    if len(phy) < OVERHEAD:
        raise FrameRefused("shorter than a data frame")
    if phy[0] not in (UNCONFIRMED_DOWN, CONFIRMED_DOWN):
        raise FrameRefused("not a data downlink")
    if int.from_bytes(phy[1:5], "little") != session.address:
        raise FrameRefused("another device's address")
    control = phy[5]
    last = session.fcnt_down
    counter = (phy[6] | phy[7] << 8) | (max(last, 0) & ~0xFFFF)
    if counter <= last:
        counter += 0x10000
    message, code = phy[:-4], phy[-4:]
    if crypto.data_mic(session.nwk_s_key, 1, session.address, counter, message) != code:
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
    return Downlink(phy[0] == CONFIRMED_DOWN, control, counter, fopts, port, payload)
