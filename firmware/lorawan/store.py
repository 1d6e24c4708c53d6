"""What LoRaWAN must not forget: two records, *nonces* and *session*, each stored before it is used.

Counters are reserved ahead: the session record holds a frame counter that is not reached yet, so that a
restart skips some and never uses one twice. Nonces are written for each join request, before it is sent.
"""

import struct

from lorawan.records import RecordError, seal, unseal
from lorawan.session import pack, unpack

_NONCES = "nonces"
_SESSION = "session"
_NONCES_VERSION = 1
_SESSION_VERSION = 1
_NONCES_FORMAT = "<I16s3sB"

# Uplinks between two writes of the counter. A day of 96 intervals costs 3 writes; a restart skips 32 at most.
FCNT_BLOCK = 32
DEV_NONCE_END = 0x10000
NO_JOIN_NONCE = b"\xff\xff\xff"


class NoncesLost(Exception):
    """The nonces record is damaged: DevNonces that were used are unknown. A technician must provision anew."""


class NoncesSpent(Exception):
    """All 65,536 DevNonces of this JoinEUI are used; the device needs a new JoinEUI or to be created anew."""


class Store:
    """Both records in a `records.Files`-like object (read, replace). owner: JoinEUI and DevEUI, 16 bytes.

    dev_nonce: the next one that may be used. join_nonce: the last accepted one as on the air.
    last_data_rate: of the last join request, for the airtime that a restart assumes spent; None before any.
    """

    def __init__(self, files, region, owner):
        self._files = files
        self._region = region
        self._owner = owner
        self._reserved = 0
        self.dev_nonce = 0
        self.join_nonce = NO_JOIN_NONCE
        self.last_data_rate = None
        record = files.read(_NONCES)
        if record is not None:
            try:
                fields = struct.unpack(_NONCES_FORMAT, unseal(_NONCES_VERSION, record))
            except RecordError as error:
                raise NoncesLost("state/%s: %s" % (_NONCES, error))
            # DevNonces are counted per JoinEUI; a new one starts again at 0 (LoRaWAN 1.0.4 section 6.2.4).
            if fields[1] == owner:
                self.dev_nonce, self.join_nonce, self.last_data_rate = fields[0], fields[2], fields[3]

    def take_dev_nonce(self, data_rate):
        """A DevNonce that was never used, stored as used before it is returned."""
        nonce = self.dev_nonce
        if nonce >= DEV_NONCE_END:
            raise NoncesSpent("no DevNonce left for this JoinEUI")
        record = struct.pack(_NONCES_FORMAT, nonce + 1, self._owner, self.join_nonce, data_rate)
        self._files.replace(_NONCES, seal(_NONCES_VERSION, record))
        self.dev_nonce = nonce + 1
        self.last_data_rate = data_rate
        return nonce

    def load_session(self):
        """The stored Session, its counter beyond every one used; None without one or when it is damaged."""
        record = self._files.read(_SESSION)
        if record is None:
            return None
        try:
            data = unseal(_SESSION_VERSION, record)
        except RecordError:
            return None  # joining again repairs it
        if data[:16] != self._owner:
            return None
        session = unpack(self._region, data[16:])
        self._reserved = session.fcnt_up
        self.join_nonce = session.join_nonce
        return session

    def save_session(self, session):
        """Store the session as it is now, with a fresh block of uplink counters reserved."""
        reserved = session.fcnt_up + FCNT_BLOCK
        data = self._owner + pack(session, reserved)
        self._files.replace(_SESSION, seal(_SESSION_VERSION, data))
        self._reserved = reserved
        self.join_nonce = session.join_nonce

    def reserve(self, session):
        """Make sure that session.fcnt_up is covered by the stored record before it is sent."""
        if session.fcnt_up >= self._reserved:
            self.save_session(session)
