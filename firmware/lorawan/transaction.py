"""One uplink or one join request from its first to its last copy, with the windows after each. See `mac.Mac`.

Repetitions. A frame, confirmed or not, goes out up to NbTrans times, unchanged, each time on another channel, until
any valid downlink comes: it shows that the network has the frame (LoRaWAN 1.0.4 sections 4.3.1.3 and 5.2). After a
confirmed frame without its ACK nothing is sent for RETRANSMIT_TIMEOUT. What was not acknowledged is the caller's to
send again, as a new frame.
"""

from micropython import const

from lorawan import adr, frames, unload
from lorawan import region as air
from lorawan.mac import MAX_FOPTS, NotJoined, PayloadTooLong
from lorawan.operations import Done, Listen, Transmit, Wait
from lorawan.session import fitting, sticky

_LINK_CHECK = b"\x02"
_DEVICE_TIME = b"\x0d"
# Applications have 1 to 223; 224 is the certification protocol's, the others are reserved (section 4.3.2).
_LAST_PORT = const(223)
_TEST_PORT = const(224)
# RETRANSMIT_TIMEOUT 2 s +- 1 s (RP002-1.0.4 section 3.3).
_REPEAT_MS = const(1000)
_REPEAT_SPREAD_MS = const(2000)
# Beside `Mac.rx_error_us` the crystal makes a window late or early.
_DRIFT_PPM = const(100)
# DeviceTimeAns counts in 1/256 s, rounded down; 3 ms are the noting of the end and the rounding of the uptime.
_TIME_ERROR_MS = const(5)


class Transaction:
    """Of `mac`, whose session and duty cycle it changes as it goes."""

    def __init__(self, mac):
        self._mac = mac
        self._port, self._payload, self._requests, self._frame = None, b"", b"", b""
        self._confirmed = False
        self._sent = True
        self._first_end = None
        # Of a join: the functions of `lorawan.join`, which make the request, read the accept, make the session.
        self._joining = None
        # What a data frame carries only once.
        self._taken = None

    def join(self, now, data_rate, attempts, round_s):
        """See `Mac.join`."""
        # Held from now on: while a window waits nothing may be loaded, and even the import of what is loaded looks
        # into the file system.
        from lorawan import join

        self._joining = join.request, join.read_accept, join.session
        self._data_rate = data_rate
        self._round = attempts, round_s
        self._copies = 1
        return self.proceed(now)

    def send(self, now, port, payload, confirmed, link_check, device_time):
        """See `Mac.send`."""
        mac = self._mac
        session = mac.session
        if not mac.joined:
            raise NotJoined("no session with uplink counters left")
        requests = (_LINK_CHECK if link_check else b"") + (_DEVICE_TIME if device_time else b"")
        longest = mac.region.MAX_PAYLOAD[mac.next_rate()]
        if port is not None:
            if not 0 < port <= (_LAST_PORT if mac.certification is None else _TEST_PORT):
                raise ValueError("FPort %d is not an application's" % port)
            if len(payload) + len(requests) > longest:
                raise PayloadTooLong("%d bytes where %d fit" % (len(payload), longest - len(requests)))
        self._stepped = mac.adr and adr.count_uplink(session)
        commands = session.answers + requests
        room = MAX_FOPTS if port is None else min(MAX_FOPTS, longest - len(payload))
        if len(commands) > room and not (mac.answered and port is not None):
            # Table 15 of section 5: answers before requests before payload.
            self._sent = port is None
            port, payload, confirmed = None, b"", False
        mac.answered = not self._sent
        if port is None and len(commands) > MAX_FOPTS:
            port, payload, commands = 0, fitting(commands, longest), b""
        # What no frame holds is cut off: the network asks again for what was not answered. Answers that are repeated
        # until a downlink comes had a frame of their own before this one, or they would never let a payload through.
        self._fopts = fitting(commands, min(MAX_FOPTS, longest - len(payload)))
        self._port, self._payload, self._requests = port, payload, requests
        self._confirmed = confirmed
        self._data_rate = session.data_rate
        self._copies = session.nb_trans
        return self.proceed(now)

    def proceed(self, now):
        """See `Mac.proceed`."""
        mac = self._mac
        if now < mac.not_before:
            return Wait(mac.not_before)
        session, region, max_duty = mac.session, mac.region, 0
        if session is not None:
            max_duty = session.max_duty
        if self._joining:
            candidates = range(len(region.DEFAULT_CHANNELS))
            frequencies = [channel[0] for channel in region.DEFAULT_CHANNELS]
        else:
            channels = session.channels
            candidates = channels.usable(channels.mask, self._data_rate)
            if not candidates:
                channels.restore_defaults()
                candidates = channels.usable(channels.mask, self._data_rate)
            frequencies = channels.frequencies
        free = [i for i in candidates if mac.duty.free_at(frequencies[i], max_duty) <= now]
        if not free:
            return Wait(min([mac.duty.free_at(frequencies[i], max_duty) for i in candidates]))
        # Each channel once before any is used again (RP002-1.0.4 section 3.3).
        fresh = [i for i in free if not mac.used >> i & 1]
        if not fresh:
            mac.used &= ~sum([1 << i for i in free])
            fresh = free
        self._channel = fresh[mac.random(len(fresh))]
        mac.used |= 1 << self._channel
        if not self._frame:
            self._build()
        power = air.eirp(region, 0 if self._joining else session.tx_power)
        self._frequency = frequencies[self._channel]
        sf, bandwidth = region.DATA_RATES[self._data_rate]
        self._airtime = mac.airtime_at(self._data_rate, len(self._frame))
        return Transmit(self._frequency, sf, bandwidth, power - mac.gain, self._frame, self._airtime)

    def _build(self):
        """The frame to send: built once, repeated unchanged. What it carries only once is off the record then."""
        mac = self._mac
        session = mac.session
        if self._joining:
            self._nonce = mac.store.take_dev_nonce(self._data_rate, *self._round)
            self._frame = self._joining[0](mac.identity, self._nonce)
            return
        self._taken = session.answers, session.ack_due
        control = frames.ADR if mac.adr else 0
        if session.ack_due:
            control |= frames.ACK
        if mac.adr and session.adr_ack_count >= adr.ACK_LIMIT:
            control |= frames.ADR_ACK_REQ
        session.answers = sticky(session.answers)
        session.ack_due = False
        session.air_rate = self._data_rate
        mac.store.reserve(session, mac.other, self._stepped)
        self._frame = frames.data_up(
            session, session.fcnt_up, self._confirmed, control, self._fopts, self._port, self._payload
        )
        session.fcnt_up += 1

    def transmitted(self, now):
        """See `Mac.transmitted`."""
        self._mac.duty.spend(now, self._frequency, self._airtime)
        self._taken = None
        self._copies -= 1
        self._window = 1
        self._end = now
        if self._first_end is None:
            self._first_end = now
        return self._listen()

    def _listen(self):
        """The receive window `self._window` of this transmission."""
        mac = self._mac
        region, session = mac.region, mac.session
        if self._joining:
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
        early_us, symbols = air.window(sf, bandwidth, mac.rx_error_us + delay * _DRIFT_PPM)
        return Listen(delay * 1000000 - early_us, frequency, sf, bandwidth, symbols)

    def heard(self, now, payload, snr):
        """See `Mac.heard`."""
        done = Done()
        if payload is not None:
            try:
                if self._joining:
                    self._accept(payload, done)
                else:
                    self._take(payload, snr, done)
                return self._finish(now, done)
            except frames.FrameRefused as error:
                self._mac.refuse(str(error))
        if self._window == 1:
            self._window = 2
            return self._listen()
        if self._copies > 0:
            return Wait(now + self._timeout())
        return self._finish(now, done)

    def abandon(self):
        """Nothing more comes of it: what was taken off the record for a frame that did not go out is put back."""
        if self._taken is not None:
            session = self._mac.session
            session.answers, session.ack_due = self._taken  # type: ignore[misc]

    def _timeout(self):
        return _REPEAT_MS + self._mac.random(_REPEAT_SPREAD_MS)

    def _finish(self, now, done):
        """The last operation."""
        mac = self._mac
        if self._confirmed and not done.acknowledged:
            rx2 = self._end + (mac.session.rx_delay + 1) * 1000
            mac.not_before = max(now, rx2) + self._timeout()
        done.sent = self._sent
        return done

    def _accept(self, phy, done):
        """A join accept becomes the session, stored; the one under which the network was heard last is kept."""
        mac = self._mac
        store, old = mac.store, mac.session
        _, read_accept, session_of = self._joining  # type: ignore[misc]
        accept = read_accept(mac.identity.app_key, phy)
        if accept.join_nonce == store.join_nonce:
            raise frames.FrameRefused("join accept: JoinNonce used before")
        session = session_of(mac.region, mac.identity.app_key, accept, self._nonce, self._data_rate)
        if mac.joined and old.fcnt_down >= 0:
            mac.other = old
        mac.session, store.join_nonce = session, accept.join_nonce
        store.save_sessions(session, mac.other)
        store.end_round()
        done.joined = done.heard = True

    def _take(self, phy, snr, done):
        """A downlink is counted, its commands are obeyed, the session is stored."""
        mac = self._mac
        try:
            downlink = frames.read_downlink(mac.session, phy, self._longest)
            mac.other = None
        except frames.FrameRefused as error:
            downlink = self._of_the_other(phy, error)
        session, port = mac.session, downlink.port
        session.fcnt_down = downlink.counter
        session.adr_ack_count = 0
        session.answers = b""
        session.ack_due = done.ack_due = downlink.confirmed
        done.heard = True
        done.acknowledged = downlink.ack and self._confirmed
        done.pending = downlink.pending
        mac.answered = False
        commands = downlink.fopts if port else downlink.fopts + downlink.payload
        if commands:
            from lorawan import mac_commands

            mac_commands.obey(session, commands, snr, mac.battery, mac.adr, done)
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
        elif port and (port > _TEST_PORT or mac.certification is None):
            mac.refuse("FPort reserved")
        try:
            mac.store.end_round()
            mac.store.save_sessions(session, mac.other)
        except OSError:
            if mac.other is not None:
                raise
            # What the network says of itself holds all the same. What it wants done does not: played back after the next
            # start it would be done again.
            session.ack_due = done.ack_due = False
            done.port = None
        if mac.certification is not None:
            mac.certification.heard(downlink)

    def _of_the_other(self, phy, error):
        """A downlink under the session before, which goes back into use; raises `error` when it is none."""
        mac = self._mac
        if mac.other is None:
            raise error
        try:
            downlink = frames.read_downlink(mac.other, phy, self._longest)
        except frames.FrameRefused:
            raise error
        mac.session, mac.other = mac.other, mac.session
        # What this frame asked was asked under the new session.
        self._confirmed, self._requests = False, b""
        return downlink
