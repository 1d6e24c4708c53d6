"""The Class A MAC as a state machine without I/O: fed with requests, time and what the radio heard, it answers
with the next operation (see `operations`). Only the store, handed in, writes - before a transmission and after
the last window, never between.

Times are milliseconds of uptime. One transaction at a time: `join` or `send`, then `proceed`, `transmitted` and
`heard` as the operations ask, until `Done`.
"""

from lorawan import adr, frames, mac_commands
from lorawan import region as air
from lorawan.crypto import session_keys
from lorawan.duty_cycle import DutyCycle
from lorawan.operations import Done, Listen, Transmit, Wait
from lorawan.session import Session

_MAX_FOPTS = 15
# RETRANSMIT_TIMEOUT 2 s +- 1 s (RP002-1.0.4 section 2.4.1), between the NbTrans copies of a frame.
_REPEAT_MS = 1000
_REPEAT_SPREAD_MS = 2000
# Late or early by up to this much a preamble is still heard; settings may change it.
DEFAULT_RX_ERROR_MS = 30
_DRIFT_PPM = 100


class PayloadTooLong(ValueError):
    """A payload beyond what the data rate and the waiting MAC commands leave; ask `Mac.room` first."""


class NotJoined(Exception):
    """Sending needs a session; join first."""


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

    refused counts received frames that were not taken, by reason.
    """

    def __init__(
        self, region, store, identity, random, now=0, battery=None, gain=0, rx_error_ms=DEFAULT_RX_ERROR_MS
    ):
        self._region = region
        self._store = store
        self._identity = identity
        self._random = random
        self._battery = battery
        self._gain = gain
        self._rx_error_us = rx_error_ms * 1000
        self.session = store.load_session()
        self.duty = DutyCycle(region, now, self._spent_before())
        self.refused = {}
        self._once = []
        self._clear()

    def _clear(self):
        self._request = (None, b"", b"")
        self._frame = b""
        self._joining = False
        self._nonce = b""
        self._confirmed = False
        self._copies = 0
        self._window = 0
        self._channel = 0
        self._data_rate = 0
        self._time_asked = False

    def _spent_before(self):
        """Airtime that the last frame before this start may have taken: its clock is lost, so all is assumed."""
        if self.session is not None:
            data_rate = self.session.data_rate
            length = self._region.MAX_PAYLOAD[data_rate] + frames.OVERHEAD + 1
        elif self._store.last_data_rate is not None:
            data_rate, length = self._store.last_data_rate, 23
        else:
            return 0
        sf, bandwidth = self._region.DATA_RATES[data_rate]
        return air.airtime_us(sf, bandwidth, length)

    @property
    def silent(self):
        """Whether the network has been silent through every step of the ADR back-off."""
        return self.session is not None and adr.exhausted(self.session)

    def room(self, requests=0):
        """Bytes of payload that the next uplink can hold beside MAC answers and `requests` bytes more."""
        waiting = sum(len(answer) for answer in self.session.sticky + self._once)
        fopts = min(_MAX_FOPTS, waiting + requests)
        return air.max_payload(self._region, adr.next_data_rate(self.session), fopts)

    def stretch(self, length, requests=0):
        """The longest payload that takes no more airtime than `length` bytes: LoRa pays in symbols."""
        base = self.room(0) - self.room(requests) + frames.OVERHEAD + 1 + length
        base += min(_MAX_FOPTS, sum(len(answer) for answer in self.session.sticky + self._once))
        sf, bandwidth = self._region.DATA_RATES[adr.next_data_rate(self.session)]
        longest = base
        while air.airtime_us(sf, bandwidth, longest + 1) == air.airtime_us(sf, bandwidth, base):
            longest += 1
        return length + longest - base

    def airtime_us(self, length):
        """Airtime of an uplink with `length` bytes of payload and no MAC commands at the current data rate."""
        sf, bandwidth = self._region.DATA_RATES[self.session.data_rate]
        return air.airtime_us(sf, bandwidth, length + frames.OVERHEAD + 1)

    # --- requests

    def join(self, now, data_rate):
        """Ask for a join at `data_rate`; the first operation. The session of before stays until it succeeds."""
        self._clear()
        self._joining = True
        self._data_rate = data_rate
        self._copies = 1
        return self.proceed(now)

    def join_airtime_us(self, data_rate):
        """Airtime of a join request."""
        sf, bandwidth = self._region.DATA_RATES[data_rate]
        return air.airtime_us(sf, bandwidth, 23)

    def send(self, now, port, payload, confirmed=False, link_check=False, device_time=False):
        """Send an uplink on `port` (None: MAC commands only); the first operation.

        Raises NotJoined, PayloadTooLong.
        """
        session = self.session
        if session is None:
            raise NotJoined("no session")
        requests = (bytes([mac_commands.LINK_CHECK]) if link_check else b"") + (
            bytes([mac_commands.DEVICE_TIME]) if device_time else b""
        )
        if port is not None and len(payload) > self.room(len(requests)):
            raise PayloadTooLong("%d bytes where %d fit" % (len(payload), self.room(len(requests))))
        self._clear()
        adr.count_uplink(session)
        self._request = (port, payload, requests)
        self._confirmed = confirmed
        self._time_asked = device_time
        self._data_rate = session.data_rate
        self._copies = session.nb_trans
        return self.proceed(now)

    # --- steps

    def proceed(self, now):
        """After a Wait: Transmit, or Wait again. Counters are stored before this returns a Transmit."""
        if self._joining:
            candidates = range(len(self._region.DEFAULT_CHANNELS))
            frequencies = [channel[0] for channel in self._region.DEFAULT_CHANNELS]
        else:
            channels = self.session.channels
            candidates = channels.usable(channels.mask, self._data_rate)
            if not candidates:
                channels.restore_defaults()
                candidates = channels.usable(channels.mask, self._data_rate)
            frequencies = channels.frequencies
        free = [i for i in candidates if self.duty.free_at(frequencies[i]) <= now]
        if not free:
            return Wait(min(self.duty.free_at(frequencies[i]) for i in candidates))
        self._channel = free[self._random(len(free))]
        if self._joining:
            payload = self._join_request()
            power = self._region.MAX_EIRP
        else:
            payload = self._data_frame()
            power = air.eirp(self._region, self.session.tx_power)
        self._frequency = frequencies[self._channel]
        sf, bandwidth = self._region.DATA_RATES[self._data_rate]
        self._airtime = air.airtime_us(sf, bandwidth, len(payload))
        return Transmit(self._frequency, sf, bandwidth, power - self._gain, payload, self._airtime)

    def transmitted(self, now):
        """The transmission ended now; the first window."""
        max_duty = self.session.max_duty if self.session is not None else 0
        self.duty.spend(now, self._frequency, self._airtime, max_duty)
        self._copies -= 1
        self._window = 1
        return self._listen()

    def heard(self, now, payload, snr=0):
        """What the window brought (None: nothing): the second window, a Wait before a repetition, or Done."""
        if payload is not None:
            try:
                done = self._accept(payload) if self._joining else self._take(payload, snr)
                self._clear()
                return done
            except frames.FrameRefused as error:
                reason = str(error)
                self.refused[reason] = self.refused.get(reason, 0) + 1
        if self._window == 1:
            self._window = 2
            return self._listen()
        if self._copies > 0:
            return Wait(now + _REPEAT_MS + self._random(_REPEAT_SPREAD_MS))
        self._clear()
        return Done()

    def failed(self):
        """The radio failed in the middle of a transaction: forget it. Its counters stay used."""
        self._clear()

    # --- inside

    def _join_request(self):
        number = self._store.take_dev_nonce(self._data_rate)
        self._nonce = number.to_bytes(2, "little")
        identity = self._identity
        return frames.join_request(identity.app_key, identity.join_eui, identity.dev_eui, number)

    def _data_frame(self):
        """The frame to send: built once, repeated unchanged."""
        if self._frame:
            return self._frame
        session = self.session
        port, payload, requests = self._request
        self._store.reserve(session)
        fopts, room = b"", _MAX_FOPTS - len(requests)
        if port is not None:
            room = min(room, self._region.MAX_PAYLOAD[self._data_rate] - len(payload) - len(requests))
        for answer in session.sticky:
            if len(fopts) + len(answer) <= room:
                fopts += answer
        while self._once and len(fopts) + len(self._once[0]) <= room:
            fopts += self._once.pop(0)
        control = frames.ADR | (frames.ACK if session.ack_due else 0)
        if adr.wants_answer(session):
            control |= frames.ADR_ACK_REQ
        self._frame = frames.data_up(
            session, session.fcnt_up, self._confirmed, control, fopts + requests, port, payload
        )
        session.fcnt_up += 1
        session.ack_due = False
        return self._frame

    def _listen(self):
        """The receive window `self._window` of this transmission."""
        region, session = self._region, self.session
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
        sf, bandwidth = region.DATA_RATES[data_rate]
        early_us, symbols = air.window(sf, bandwidth, self._rx_error_us + delay * _DRIFT_PPM)
        return Listen(delay * 1000000 - early_us, frequency, sf, bandwidth, symbols)

    def _accept(self, phy):
        """A join accept becomes the session, stored."""
        identity, region = self._identity, self._region
        accept = frames.read_join_accept(identity.app_key, phy)
        if accept.join_nonce == self._store.join_nonce:
            raise frames.FrameRefused("join accept: JoinNonce used before")
        keys = session_keys(identity.app_key, accept.join_nonce, accept.net_id, self._nonce)
        session = Session(region, accept.address, keys[0], keys[1], accept.join_nonce)
        session.data_rate = self._data_rate
        session.rx_delay = accept.rx_delay or 1
        session.rx1_offset = min(accept.dl_settings >> 4 & 0x07, region.MAX_RX1_OFFSET)
        data_rate = accept.dl_settings & 0x0F
        if data_rate < len(region.DATA_RATES):
            session.rx2_data_rate = data_rate
        session.channels.apply_cf_list(accept.cf_list)
        self._store.save_session(session)
        self.session = session
        self._once = []
        done = Done()
        done.joined = done.heard = True
        return done

    def _take(self, phy, snr):
        """A downlink is counted, its commands are obeyed, the session is stored."""
        session = self.session
        downlink = frames.read_downlink(session, phy)
        session.fcnt_down = downlink.counter
        adr.heard(session)
        session.sticky = []
        session.ack_due = downlink.confirmed
        commands = downlink.payload if downlink.port == 0 else downlink.fopts
        battery = self._battery() if self._battery else 255
        heard = mac_commands.obey(session, commands, snr, battery)
        self._once.extend(heard.once)
        done = Done()
        done.heard = True
        done.acknowledged = downlink.ack and self._confirmed
        done.pending = downlink.pending
        done.link_check = heard.link_check
        done.time = heard.time if self._time_asked else None
        if downlink.port:
            done.port, done.payload = downlink.port, downlink.payload
        self._store.save_session(session)
        return done
