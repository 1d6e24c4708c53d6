"""What LoRaWAN must not forget: two records, *nonces* and *session*, each stored before it is used.

Counters are reserved ahead: the session record holds a frame counter that is not reached yet, so that a restart
skips some and never uses one twice. What the next uplink carries only once - an acknowledgement, an answer to a MAC
command - is taken off the record before that uplink is sent: it is stored without anything reserved, which makes that
uplink store it again.

A flash that takes nothing any more: what is reserved is still good, and once it is spent nothing is sent (OSError). There is
nothing sounder. A join needs a DevNonce that no later start takes again, and so does a session that lives in RAM alone.

Wear. Nonces: one write per join request and one per accept; the back-off allows some 70 requests in the first hour of
a round, 70 in the next ten and 17 a day after that. Session: every FCNT_BLOCK uplinks and once or twice per downlink;
96 intervals and ten downlinks make about 20 writes a day, 7,300 a year, of 100,000 erasures that each block endures;
littlefs spreads them over all blocks.
"""

from micropython import const

from lorawan import unload
from lorawan.session import sticky

# Uplinks between two writes of the counter, which a restart skips at most. So many are left to a node whose flash takes
# nothing any more: five days to say so. A network hears 16 bits of the counter, and follows unless 64 starts that sent
# were not heard (of 1.0.3: 16); else the node joins anew.
FCNT_BLOCK = const(1024)
DEV_NONCE_END = const(0x10000)
NO_JOIN_NONCE = b"\xff\xff\xff"


class NoncesLost(Exception):
    """The nonces record is damaged: DevNonces that were used are unknown. A technician must provision anew."""


class NoncesSpent(Exception):
    """All 65,536 DevNonces of this JoinEUI are used; the device needs a new JoinEUI or to be created anew."""


class Store:
    """Both records in a `records.Files`-like object (read, replace). owner: JoinEUI and DevEUI, 16 bytes.

    dev_nonce: the next one that may be used. join_nonce: the last accepted one as on the air. last_data_rate: of the
    last join request, None before any. attempts, round_s: requests of the round of joining that has not ended, and
    the seconds from its first to its last request while the device was on. test_port_closed: FPort 224 was closed
    for good.
    """

    dev_nonce = attempts = round_s = 0
    join_nonce = NO_JOIN_NONCE
    last_data_rate = None
    test_port_closed = False

    def __init__(self, files, region, owner):
        from lorawan import nonces

        self._files = files
        self._region = region
        self._reserved = 0
        self.owner = owner
        nonces.read(self, files)
        unload("nonces")

    def take_dev_nonce(self, data_rate, attempts=1, round_s=0):
        """A DevNonce that was never used, stored as used before it is returned. Raises NoncesSpent."""
        nonce = self.dev_nonce
        if nonce >= DEV_NONCE_END:
            raise NoncesSpent("no DevNonce left for this JoinEUI")
        self.dev_nonce = nonce + 1
        self.last_data_rate, self.attempts, self.round_s = data_rate, attempts, round_s
        self.save_nonces()
        return nonce

    def end_round(self):
        """The network was heard: the back-off of joins begins anew."""
        if self.attempts:
            self.attempts = self.round_s = 0
            self.save_nonces()

    def save_nonces(self):
        """Store the nonces record as it is."""
        from lorawan import nonces

        try:
            nonces.write(self, self._files)
        finally:
            unload("nonces")

    def load_sessions(self):
        """(the session in use, the one before it or None), counters beyond every one used; (None, None) without."""
        from lorawan import session_record

        session, other = session_record.read(self, self._files, self._region)
        unload("session_record")
        self._reserved = session.fcnt_up if session is not None else 0
        return session, other

    def save_sessions(self, session, other=None):
        """Store the sessions as they are now, with a fresh block of uplink counters reserved for the first."""
        from lorawan import session_record

        reserved = session.fcnt_up
        if not session.ack_due and sticky(session.answers) == session.answers:
            reserved += FCNT_BLOCK
        try:
            session_record.write(self, self._files, session, other, reserved)
        finally:
            unload("session_record")
        self._reserved = reserved

    def reserve(self, session, other=None, anew=False):
        """Make sure that session.fcnt_up is covered by the stored record before it is sent; anew: store it anyway."""
        spent = session.fcnt_up >= self._reserved
        if anew or spent:
            try:
                self.save_sessions(session, other)
            except OSError:
                if spent:
                    raise
