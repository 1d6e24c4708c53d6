"""The Class A MAC as a state machine without I/O: fed with requests, time and what the radio heard, it answers
with the next operation (see `operations`). Only the store, handed in, writes - before a transmission and after
the last window, never between.

Times are milliseconds of uptime. One transaction at a time: `join` or `send`, then `proceed`, `transmitted` and
`heard` as the operations ask, until `Done`. What lives from one transaction to the next is here; the code of a
transaction is loaded for it and unloaded after it (see `transaction`).

Two sessions. LoRaWAN 1.0.4 has no command by which a network confirms a new session, and the MIC of a join accept
does not cover the DevNonce: an old accept, played back, makes a session that no network knows. So the session before
is kept, also across power cuts, until a downlink verifies under the new one:

- A join accept puts the new session in use; `other` is the last one under which the network was heard.
- A downlink of the session in use ends the doubt: `other` is forgotten.
- A downlink that verifies under `other` puts that one back in use and keeps the new one as `other`: the next
  downlink decides.
- `fall_back`, for a caller that has asked in vain for long, does the same without a downlink.
"""

from micropython import const

from lorawan import adr, unload
from lorawan import region as air
from lorawan.duty_cycle import DutyCycle
from lorawan.operations import Done
from lorawan.session import FCNT_UP_END

MAX_FOPTS = const(15)
_JOIN_REQUEST_BYTES = const(23)
# Late or early by up to this much a preamble is still heard; settings may change it.
DEFAULT_RX_ERROR_MS = const(30)
# On top of it: the software that notes the end of a transmission and waits in milliseconds.
_ANCHOR_US = const(2000)


class PayloadTooLong(ValueError):
    """A payload beyond what the data rate and the caller's own requests leave; ask `Mac.room` first."""


class NotJoined(Exception):
    """Sending needs a session whose counter is not spent; join first."""


class Identity:
    """Who the device is: join_eui and dev_eui as 8 bytes as printed, app_key as 16 bytes, never shown."""

    def __init__(self, join_eui, dev_eui, app_key):
        self.join_eui = join_eui
        self.dev_eui = dev_eui
        self.app_key = app_key


class Mac:
    """random(n) gives 0..n-1; battery() a DevStatus byte; gain in dB of the antenna over isotropic.

    certification: the firmware's version as 4 bytes switches the test protocol of FPort 224 on, whose state is then in
    the attribute of that name, else that is None. refused counts received frames, and contents of frames, that were not
    taken, by reason. adr: whether the network may set data rate and power. used: mask of the channels that were sent on
    since all were; nothing is sent before not_before. answered: answers had an uplink of their own, and nothing was
    heard since.
    """

    adr = True
    certification = None
    answered = False
    used = 0
    _transaction = None

    def __init__(
        self,
        region,
        store,
        identity,
        random,
        now=0,
        battery=None,
        gain=0,
        rx_error_ms=DEFAULT_RX_ERROR_MS,
        certification=None,
    ):
        self.region = region
        self.store = store
        self.identity = identity
        self.random = random
        self.battery = battery
        self.gain = gain
        self.rx_error_us = rx_error_ms * 1000 + _ANCHOR_US
        self.session, self.other = store.load_sessions()
        self.duty = DutyCycle(region, now, self._spent_before())
        self.refused = {}
        self.not_before = now
        if certification is not None and not store.test_port_closed:
            from lorawan.certification import Certification

            self.certification = Certification(self, certification, store)

    def _spent_before(self):
        """Airtime that the last frame before this start may have taken: its clock is lost, so all is assumed."""
        session, store, spent = self.session, self.store, 0
        if session is not None:
            data_rate = min(session.data_rate, session.air_rate)
            spent = self.airtime_at(data_rate, self.region.MAX_PAYLOAD[data_rate] + air.OVERHEAD + 1)
        if store.last_data_rate is not None and (session is None or store.attempts):
            spent = max(spent, self.join_airtime_us(store.last_data_rate))
        return spent

    def airtime_at(self, data_rate, length):
        """Airtime in microseconds of `length` bytes of PHY payload."""
        sf, bandwidth = self.region.DATA_RATES[data_rate]
        return air.airtime_us(sf, bandwidth, length)

    @property
    def joined(self):
        """Whether there is a session with uplink counters left."""
        return self.session is not None and self.session.fcnt_up < FCNT_UP_END

    @property
    def join_round(self):
        """(attempts, seconds) of a round of joining that has not ended, (0, 0) without; see `store.Store`."""
        return self.store.attempts, self.store.round_s

    @property
    def join_round_rate(self):
        """The data rate of the last request of that round."""
        return self.store.last_data_rate

    def next_rate(self):
        """Data rate of the next uplink."""
        return adr.next_data_rate(self.session) if self.adr else self.session.data_rate

    def room(self, requests=0):
        """Bytes of payload that the next uplink can hold beside MAC answers and `requests` bytes more."""
        return self.region.MAX_PAYLOAD[self.next_rate()] - self._fopts_length(requests)

    def _fopts_length(self, requests):
        return min(MAX_FOPTS, len(self.session.answers) + requests)

    def stretch(self, length, requests=0):
        """The longest payload that takes no more airtime than `length` bytes: LoRa pays in symbols."""
        rate = self.next_rate()
        base = longest = self._fopts_length(requests) + air.OVERHEAD + 1 + length
        while self.airtime_at(rate, longest + 1) == self.airtime_at(rate, base):
            longest += 1
        return length + longest - base

    def airtime_us(self, length):
        """Airtime of an uplink with `length` bytes of payload and no MAC commands at the current data rate."""
        return self.airtime_at(self.session.data_rate, length + air.OVERHEAD + 1)

    def join_airtime_us(self, data_rate):
        """Airtime of a join request."""
        return self.airtime_at(data_rate, _JOIN_REQUEST_BYTES)

    def refuse(self, reason):
        """Count what was received and not taken."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def fall_back(self):
        """Put the session before the unconfirmed one back in use; whether there was one. Stored when this returns."""
        if self.other is None or self.session.fcnt_down >= 0:
            return False
        self.session, self.other = self.other, self.session
        self.store.save_sessions(self.session, self.other)
        return True

    # --- transactions

    def join(self, now, data_rate, attempts=1, round_s=0):
        """Ask for a join at `data_rate`; the first operation. The session of before stays until it succeeds.

        attempts and round_s are stored with the DevNonce, see `store.Store`. Raises NoncesSpent.
        """
        return self._begin().join(now, data_rate, attempts, round_s)

    def send(self, now, port, payload, confirmed=False, link_check=False, device_time=False):
        """Send an uplink on `port` (None: MAC commands only); the first operation.

        MAC answers that do not fit beside the payload go first, and `Done.sent` is False. Raises NotJoined,
        PayloadTooLong, ValueError for a port that is not the application's.
        """
        return self._begin().send(now, port, payload, confirmed, link_check, device_time)

    def _begin(self):
        self.failed()
        from lorawan.transaction import Transaction

        self._transaction = Transaction(self)
        return self._transaction

    def proceed(self, now):
        """After a Wait: Transmit, or Wait again. Counters are stored before this returns a Transmit."""
        return self._transaction.proceed(now)  # type: ignore[union-attr]

    def transmitted(self, now):
        """The transmission ended now; the first window."""
        return self._transaction.transmitted(now)  # type: ignore[union-attr]

    def heard(self, now, payload, snr=0):
        """What the window brought (None: nothing): the second window, a Wait before a repetition, or Done."""
        operation = self._transaction.heard(now, payload, snr)  # type: ignore[union-attr]
        if isinstance(operation, Done):
            self._end()
        return operation

    def failed(self):
        """The radio failed in the middle of a transaction: forget it. Its counters stay used."""
        if self._transaction is not None:
            self._transaction.abandon()
            self._end()

    def _end(self):
        self._transaction = None
        unload("transaction", "join", "frames", "crypto")
