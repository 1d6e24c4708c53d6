"""The Class A MAC as a state machine without I/O: fed with requests, time and what the radio heard, it answers
with the next operation (see `operations`). Only the store, handed in, writes - before a transmission and after
the last window, never between.

Times are milliseconds of uptime. One transaction at a time: `join` or `send`, then `proceed`, `transmitted` and
`heard` as the operations ask, until `Done`.

Repetitions. A frame, confirmed or not, goes out up to NbTrans times, unchanged, each time on another channel, until
any valid downlink comes: it shows that the network has the frame (LoRaWAN 1.0.4 sections 4.3.1.3 and 5.2). After a
confirmed frame without its ACK nothing is sent for RETRANSMIT_TIMEOUT. What was not acknowledged is the caller's to
send again, as a new frame.

Two sessions. LoRaWAN 1.0.4 has no command by which a network confirms a new session, and the MIC of a join accept
does not cover the DevNonce: an old accept, played back, makes a session that no network knows. So the session before
is kept, also across power cuts, until a downlink verifies under the new one:

- A join accept puts the new session in use; `other` is the last one under which the network was heard.
- A downlink of the session in use ends the doubt: `other` is forgotten.
- A downlink that verifies under `other` puts that one back in use and keeps the new one as `other`: the next
  downlink decides.
- `fall_back`, for a caller that has asked in vain for long, does the same without a downlink.
"""

from lorawan import adr, frames, unload
from lorawan import region as air
from lorawan.duty_cycle import DutyCycle
from lorawan.operations import Done, Listen, Transmit, Wait
from lorawan.session import FCNT_UP_END, fitting, sticky

_MAX_FOPTS = 15
_LINK_CHECK = b"\x02"
_DEVICE_TIME = b"\x0d"
# Applications have 1 to 223; 224 is the certification protocol's, the others are reserved (section 4.3.2).
_LAST_PORT = 223
_TEST_PORT = 224
_JOIN_REQUEST_BYTES = 23
# RETRANSMIT_TIMEOUT 2 s +- 1 s (RP002-1.0.4 section 3.3).
_REPEAT_MS = 1000
_REPEAT_SPREAD_MS = 2000
# Late or early by up to this much a preamble is still heard; settings may change it.
DEFAULT_RX_ERROR_MS = 30
# On top of it: the crystal, and the software that notes the end of a transmission and waits in milliseconds.
_DRIFT_PPM = 100
_ANCHOR_US = 2000
# DeviceTimeAns counts in 1/256 s, rounded down; 3 ms are _ANCHOR_US and the rounding of the uptime.
_TIME_ERROR_MS = 5


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

    def __repr__(self):
        return "Identity(dev_eui=%s)" % self.dev_eui.hex()


class Mac:
    """random(n) gives 0..n-1; battery() a DevStatus byte; gain in dB of the antenna over isotropic.

    certification: the firmware's version as 4 bytes switches the test protocol of FPort 224 on, whose state is then in
    the attribute of that name, else that is None. refused counts received frames, and contents of frames, that were not taken, by reason. adr:
    whether the network may set data rate and power.
    """

    adr = True
    certification = None

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
        self._region = region
        self._store = store
        self._identity = identity
        self._random = random
        self._battery = battery
        self._gain = gain
        self._rx_error_us = rx_error_ms * 1000 + _ANCHOR_US
        self.session, self.other = store.load_sessions()
        self.duty = DutyCycle(region, now, self._spent_before())
        self.refused = {}
        # Channels used since all were; nothing is sent before _not_before.
        self._used = 0
        self._not_before = now
        self._joining = self._taken = None
        self._answered = False
        self._clear()
        if certification is not None and not store.test_port_closed:
            from lorawan.certification import Certification

            self.certification = Certification(self, certification, store)

    def _clear(self):
        """No transaction is under way."""
        self._port, self._payload, self._requests, self._frame = None, b"", b"", b""
        self._confirmed = False
        self._sent = True
        self._copies = 0
        self._first_end = None
        if self._joining is not None:
            self._joining = None
            unload("join")

    def _spent_before(self):
        """Airtime that the last frame before this start may have taken: its clock is lost, so all is assumed."""
        session, store, spent = self.session, self._store, 0
        if session is not None:
            data_rate = min(session.data_rate, session.air_rate)
            spent = self._airtime_at(data_rate, self._region.MAX_PAYLOAD[data_rate] + frames.OVERHEAD + 1)
        if store.last_data_rate is not None and (session is None or store.attempts):
            spent = max(spent, self.join_airtime_us(store.last_data_rate))
        return spent

    def _airtime_at(self, data_rate, length):
        sf, bandwidth = self._region.DATA_RATES[data_rate]
        return air.airtime_us(sf, bandwidth, length)

    @property
    def joined(self):
        """Whether there is a session with uplink counters left."""
        return self.session is not None and self.session.fcnt_up < FCNT_UP_END

    @property
    def join_round(self):
        """(attempts, seconds) of a round of joining that has not ended, (0, 0) without; see `store.Store`."""
        return self._store.attempts, self._store.round_s

    @property
    def join_round_rate(self):
        """The data rate of the last request of that round."""
        return self._store.last_data_rate

    def _next_rate(self):
        return adr.next_data_rate(self.session) if self.adr else self.session.data_rate

    def room(self, requests=0):
        """Bytes of payload that the next uplink can hold beside MAC answers and `requests` bytes more."""
        return self._region.MAX_PAYLOAD[self._next_rate()] - self._fopts_length(requests)

    def _fopts_length(self, requests):
        return min(_MAX_FOPTS, len(self.session.answers) + requests)

    def stretch(self, length, requests=0):
        """The longest payload that takes no more airtime than `length` bytes: LoRa pays in symbols."""
        rate = self._next_rate()
        base = longest = self._fopts_length(requests) + frames.OVERHEAD + 1 + length
        while self._airtime_at(rate, longest + 1) == self._airtime_at(rate, base):
            longest += 1
        return length + longest - base

    def airtime_us(self, length):
        """Airtime of an uplink with `length` bytes of payload and no MAC commands at the current data rate."""
        return self._airtime_at(self.session.data_rate, length + frames.OVERHEAD + 1)

    def join_airtime_us(self, data_rate):
        """Airtime of a join request."""
        return self._airtime_at(data_rate, _JOIN_REQUEST_BYTES)

    # --- requests

    def join(self, now, data_rate, attempts=1, round_s=0):
        """Ask for a join at `data_rate`; the first operation. The session of before stays until it succeeds.

        attempts and round_s are stored with the DevNonce, see `store.Store`. Raises NoncesSpent.
        """
        from lorawan import join

        self._clear()
        self._joining = join
        self._data_rate = data_rate
        self._round = attempts, round_s
        self._copies = 1
        return self.proceed(now)

    def send(self, now, port, payload, confirmed=False, link_check=False, device_time=False):
        """Send an uplink on `port` (None: MAC commands only); the first operation.

        MAC answers that do not fit beside the payload go first, and `Done.sent` is False. Raises NotJoined,
        PayloadTooLong, ValueError for a port that is not the application's.
        """
        session = self.session
        if not self.joined:
            raise NotJoined("no session with uplink counters left")
        requests = (_LINK_CHECK if link_check else b"") + (_DEVICE_TIME if device_time else b"")
        longest = self._region.MAX_PAYLOAD[self._next_rate()]
        if port is not None:
            if not 0 < port <= (_LAST_PORT if self.certification is None else _TEST_PORT):
                raise ValueError("FPort %d is not an application's" % port)
            if len(payload) + len(requests) > longest:
                raise PayloadTooLong("%d bytes where %d fit" % (len(payload), longest - len(requests)))
        self._clear()
        self._stepped = self.adr and adr.count_uplink(session)
        commands = session.answers + requests
        room = _MAX_FOPTS if port is None else min(_MAX_FOPTS, longest - len(payload))
        if len(commands) > room and not (self._answered and port is not None):
            # Table 15 of section 5: answers before requests before payload.
            self._sent = port is None
            port, payload, confirmed = None, b"", False
        self._answered = not self._sent
        if port is None and len(commands) > _MAX_FOPTS:
            port, payload, commands = 0, fitting(commands, longest), b""
        # What no frame holds is cut off: the network asks again for what was not answered. Answers that are repeated
        # until a downlink comes had a frame of their own before this one, or they would never let a payload through.
        self._fopts = fitting(commands, min(_MAX_FOPTS, longest - len(payload)))
        self._port, self._payload, self._requests = port, payload, requests
        self._confirmed = confirmed
        self._data_rate = session.data_rate
        self._copies = session.nb_trans
        return self.proceed(now)

    # --- steps

    def proceed(self, now):
        """After a Wait: Transmit, or Wait again. Counters are stored before this returns a Transmit."""
        if now < self._not_before:
            return Wait(self._not_before)
        session, max_duty = self.session, 0
        if session is not None:
            max_duty = session.max_duty
        if self._joining is not None:
            candidates = range(len(self._region.DEFAULT_CHANNELS))
            frequencies = [channel[0] for channel in self._region.DEFAULT_CHANNELS]
        else:
            channels = session.channels
            candidates = channels.usable(channels.mask, self._data_rate)
            if not candidates:
                channels.restore_defaults()
                candidates = channels.usable(channels.mask, self._data_rate)
            frequencies = channels.frequencies
        free = [i for i in candidates if self.duty.free_at(frequencies[i], max_duty) <= now]
        if not free:
            return Wait(min([self.duty.free_at(frequencies[i], max_duty) for i in candidates]))
        # Each channel once before any is used again (RP002-1.0.4 section 3.3).
        fresh = [i for i in free if not self._used >> i & 1]
        if not fresh:
            self._used &= ~sum([1 << i for i in free])
            fresh = free
        self._channel = fresh[self._random(len(fresh))]
        self._used |= 1 << self._channel
        if not self._frame:
            self._build()
        power = air.eirp(self._region, 0 if self._joining is not None else session.tx_power)
        self._frequency = frequencies[self._channel]
        sf, bandwidth = self._region.DATA_RATES[self._data_rate]
        self._airtime = self._airtime_at(self._data_rate, len(self._frame))
        return Transmit(self._frequency, sf, bandwidth, power - self._gain, self._frame, self._airtime)

    def transmitted(self, now):
        """The transmission ended now; the first window."""
        self.duty.spend(now, self._frequency, self._airtime)
        self._taken = None
        self._copies -= 1
        self._window = 1
        self._end = now
        if self._first_end is None:
            self._first_end = now
        return self._listen()

    def heard(self, now, payload, snr=0):
        """What the window brought (None: nothing): the second window, a Wait before a repetition, or Done."""
        done = Done()
        if payload is not None:
            try:
                if self._joining is not None:
                    self._accept(self._joining, payload, done)
                else:
                    self._take(payload, snr, done)
                return self._finish(now, done)
            except frames.FrameRefused as error:
                self.refuse(str(error))
        if self._window == 1:
            self._window = 2
            return self._listen()
        if self._copies > 0:
            return Wait(now + self._timeout())
        return self._finish(now, done)

    def failed(self):
        """The radio failed in the middle of a transaction: forget it. Its counters stay used."""
        if self._taken is not None:
            self.session.answers, self.session.ack_due = self._taken
            self._taken = None
        self._clear()

    def fall_back(self):
        """Put the session before the unconfirmed one back in use; whether there was one. Stored when this returns."""
        if self.other is None or self.session.fcnt_down >= 0:
            return False
        self.session, self.other = self.other, self.session
        self._store.save_sessions(self.session, self.other)
        return True

    def refuse(self, reason):
        """Count what was received and not taken."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    # --- inside

    def _timeout(self):
        return _REPEAT_MS + self._random(_REPEAT_SPREAD_MS)

    def _finish(self, now, done):
        """The transaction is over."""
        if self._confirmed and not done.acknowledged:
            rx2 = self._end + (self.session.rx_delay + 1) * 1000
            self._not_before = max(now, rx2) + self._timeout()
        done.sent = self._sent
        self._clear()
        return done

    def _build(self):
        """The frame to send: built once, repeated unchanged. What it carries only once is off the record then."""
        session = self.session
        if self._joining is not None:
            self._nonce = self._store.take_dev_nonce(self._data_rate, *self._round)
            self._frame = self._joining.request(self._identity, self._nonce)
            return
        self._taken = session.answers, session.ack_due
        control = frames.ADR if self.adr else 0
        if session.ack_due:
            control |= frames.ACK
        if self.adr and session.adr_ack_count >= adr.ACK_LIMIT:
            control |= frames.ADR_ACK_REQ
        session.answers = sticky(session.answers)
        session.ack_due = False
        session.air_rate = self._data_rate
        self._store.reserve(session, self.other, self._stepped)
        self._frame = frames.data_up(
            session, session.fcnt_up, self._confirmed, control, self._fopts, self._port, self._payload
        )
        session.fcnt_up += 1

    def _listen(self):
        """The receive window `self._window` of this transmission."""
        region, session = self._region, self.session
        if self._joining is not None:
            delay = region.JOIN_ACCEPT_DELAY1_S
            frequency, data_rate = self._frequency, self._data_rate
            second = region.RX2_FREQUENCY, region.RX2_DATA_RATE
        else:
            delay = session.rx_delay
            frequency = session.channels.downlink(self._channel)
            data_rate = max(self._data_rate - session.rx1_offset, 0)
            second = session.rx2_frequency, session.rx2_data_rate
        if self._window == 2:
            delay += 1
            frequency, data_rate = second
        self._longest = region.MAX_PAYLOAD[data_rate]
        sf, bandwidth = region.DATA_RATES[data_rate]
        early_us, symbols = air.window(sf, bandwidth, self._rx_error_us + delay * _DRIFT_PPM)
        return Listen(delay * 1000000 - early_us, frequency, sf, bandwidth, symbols)

    def _accept(self, join, phy, done):
        """A join accept becomes the session, stored; the one under which the network was heard last is kept."""
        store, old = self._store, self.session
        accept = join.read_accept(self._identity.app_key, phy)
        if accept.join_nonce == store.join_nonce:
            raise frames.FrameRefused("join accept: JoinNonce used before")
        session = join.session(self._region, self._identity.app_key, accept, self._nonce, self._data_rate)
        if self.joined and old.fcnt_down >= 0:
            self.other = old
        self.session, store.join_nonce = session, accept.join_nonce
        store.save_sessions(session, self.other)
        store.end_round()
        done.joined = done.heard = True

    def _take(self, phy, snr, done):
        """A downlink is counted, its commands are obeyed, the session is stored."""
        try:
            downlink = frames.read_downlink(self.session, phy, self._longest)
            self.other = None
        except frames.FrameRefused as error:
            downlink = self._of_the_other(phy, error)
        session, port = self.session, downlink.port
        session.fcnt_down = downlink.counter
        session.adr_ack_count = 0
        session.answers = b""
        session.ack_due = done.ack_due = downlink.confirmed
        done.heard = True
        done.acknowledged = downlink.ack and self._confirmed
        done.pending = downlink.pending
        self._answered = False
        commands = downlink.fopts if port else downlink.fopts + downlink.payload
        if commands:
            from lorawan import mac_commands

            mac_commands.obey(session, commands, snr, self._battery, self.adr, done)
            unload("mac_commands")
        # Answers to what this frame did not ask are none.
        if _LINK_CHECK not in self._requests:
            done.link_check = None
        if _DEVICE_TIME not in self._requests:
            done.time = None
        # The network may have timed the first copy.
        done.time_error_ms = _TIME_ERROR_MS + self._end - self._first_end
        if port and port <= _LAST_PORT:
            done.port, done.payload = port, downlink.payload
        elif port and (port > _TEST_PORT or self.certification is None):
            self.refuse("FPort reserved")
        self._store.end_round()
        self._store.save_sessions(session, self.other)
        if self.certification is not None:
            self.certification.heard(downlink)

    def _of_the_other(self, phy, error):
        """A downlink under the session before, which goes back into use; raises `error` when it is none."""
        if self.other is None:
            raise error
        try:
            downlink = frames.read_downlink(self.other, phy, self._longest)
        except frames.FrameRefused:
            raise error
        self.session, self.other = self.other, self.session
        # What this frame asked was asked under the new session.
        self._confirmed, self._requests = False, b""
        return downlink
