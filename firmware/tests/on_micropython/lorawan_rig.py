"""A MAC with its store in memory and time in the test's hands; and a network's side of the frames."""

from lorawan import crypto, eu868, frames
from lorawan.mac import Identity, Mac
from lorawan.operations import Done, Listen, Transmit, Wait
from lorawan.store import Store

APP_KEY = bytes(range(16))
DEV_EUI = bytes.fromhex("70b3d57ed0000001")
JOIN_EUI = bytes(8)
# The join accept of a real ChirpStack for DevNonce 0, with its CFList (vectors/chirpstack_session.jsonl).
ACCEPT = bytes.fromhex("206c4febfc6f4765d93a752041e9e214f0ea3357af18d542089176ffaed8f023bf")
HOUR_MS = 3600000


def rest_ms(airtime_us):
    """How long a sub-band of 1 % rests after a frame: no hour holds 36 s, the longest frame, of 2,794 ms, at its end."""
    turn_ms = -(-airtime_us * 3600 // (36000 - 2794))
    return turn_ms - airtime_us // 1000


class PowerCut(BaseException):
    """The power goes at this file operation."""


class Memory:
    """Files in memory. The power is cut at operation `cut_at` (1 is the first): before or after it took effect."""

    def __init__(self, content=None, cut_at=0, after=False):
        self.content = dict(content or {})
        self.cut_at = cut_at
        self.after = after
        self.operations = 0

    def read(self, name):
        return self.content.get(name)

    def replace(self, name, data):
        self.operations += 1
        if self.operations == self.cut_at and not self.after:
            raise PowerCut
        self.content[name] = bytes(data)
        if self.operations == self.cut_at:
            raise PowerCut


class Rig:
    """mac, and `now` in ms of uptime, which the steps move on."""

    def __init__(self, files=None, random=None, **settings):
        self.files = Memory() if files is None else files
        self.now = 0
        store = Store(self.files, eu868, JOIN_EUI + DEV_EUI)
        identity = Identity(JOIN_EUI, DEV_EUI, APP_KEY)
        self.mac = Mac(eu868, store, identity, random or (lambda n: 0), **settings)
        self.down = 0
        self.operation = None

    def ready(self, operation):
        """Wait as told until the MAC transmits; the Transmit."""
        while isinstance(operation, Wait):
            self.now = max(self.now, operation.until)
            operation = self.mac.proceed(self.now)
        assert isinstance(operation, Transmit), operation
        self.now += operation.airtime_us // 1000
        return operation

    def windows(self, first=None, second=None, snr=7):
        """Play both windows with what they bring; what the transaction ended with (or its next Wait)."""
        self.listened = [self.mac.transmitted(self.now)]
        self.now += 1000
        operation = self.mac.heard(self.now, first, snr)
        if isinstance(operation, Listen):
            self.listened.append(operation)
            self.now += 1000
            operation = self.mac.heard(self.now, second, snr)
        return operation

    def join(self, data_rate=5, accept=ACCEPT):
        """A successful join."""
        self.ready(self.mac.join(self.now, data_rate))
        done = self.windows(accept)
        assert done.joined
        return self.mac.session

    def send(self, port=1, payload=b"\x01", down=None, second=None, **options):
        """An uplink; `down` and `second` are frames, or functions of the Transmit that give one."""
        self.sent = self.ready(self.mac.send(self.now, port, payload, **options))
        return self.windows(down, second)

    def downlink(
        self,
        fopts=b"",
        port=None,
        payload=b"",
        ack=False,
        confirmed=False,
        counter=None,
        session=None,
        control=0,
    ):
        """A frame of the network for `session`, the present one by default; control adds bits to FCtrl."""
        session = session or self.mac.session
        counter = self.down if counter is None else counter
        self.down = counter + 1
        head = bytes([frames.CONFIRMED_DOWN if confirmed else frames.UNCONFIRMED_DOWN])
        head += session.address.to_bytes(4, "little")
        head += (
            bytes([(frames.ACK if ack else 0) | control | len(fopts)])
            + (counter & 0xFFFF).to_bytes(2, "little")
            + fopts
        )
        if port is not None:
            key = session.app_s_key if port else session.nwk_s_key
            head += bytes([port]) + crypto.crypt_payload(key, 1, session.address, counter, payload)
        return head + crypto.data_mic(session.nwk_s_key, 1, session.address, counter, head)

    def plain(self, phy):
        """The FRMPayload of an uplink of the present session, deciphered."""
        session, at = self.mac.session, 8 + (phy[5] & 15)
        key = session.app_s_key if phy[at] else session.nwk_s_key
        return crypto.crypt_payload(key, 0, session.address, counter_of(phy), phy[at + 1 : -4])

    def commands(self, fopts):
        """An uplink answered with MAC commands, and the FOpts of the next uplink."""
        self.send(down=self.downlink(fopts))
        self.send()
        return fopts_of(self.sent.payload)


def fopts_of(phy):
    """FOpts of an uplink."""
    return phy[8 : 8 + (phy[5] & 15)]


def port_of(phy):
    """FPort of an uplink, None without."""
    at = 8 + (phy[5] & 15)
    return phy[at] if at < len(phy) - 4 else None


def counter_of(phy):
    """FCnt of an uplink, its lower 16 bits."""
    return phy[6] | phy[7] << 8


__all__ = ["Done", "Listen", "Memory", "PowerCut", "Rig", "Transmit", "Wait"]
