"""The virtual board of the simulator: its radio hands every transmission and every receive window to the virtual air."""

import asyncio
import struct

import board_link as _link
from micropython import const

from radio import Packet, Radio, RadioError

PCNT_UNITS = _link.pcnt_units
_TX_MAX = const(255)


class VirtualRadio(Radio):
    """Exact in time: TX done and RX done are known to the microsecond, as a DIO1 interrupt would report them."""

    def __init__(self):
        self._busy_ms = 0  # until then (this boot's clock) the radio is busy
        self._busy_us = 0
        self._window = None

    def start(self):
        pass

    def sleep(self):
        self._window = None

    async def _wait(self, at_ms, at_us):
        # Other tasks run meanwhile.
        while True:
            left = at_ms - _link.ms + (1 if at_us > _link.us else 0)
            if left <= 0:
                return
            await asyncio.sleep_ms(left)

    async def transmit(self, frequency, sf, bandwidth, power, payload):
        n = len(payload)
        if not 0 < n <= _TX_MAX:
            raise RadioError("payload of %d bytes: a LoRa frame holds 1 to 255" % n)
        await self._wait(self._busy_ms, self._busy_us)  # a cancelled reception goes on to its end
        struct.pack_into("<IBIb", _link.buffer, 9, frequency, sf, bandwidth, power)
        _link.buffer[19 : 19 + n] = payload
        _link.ask(84, 10 + n, 6)
        self._busy_ms, self._busy_us = struct.unpack_from("<IH", _link.reply)
        done_ms, done_us = self._busy_ms, self._busy_us
        await self._wait(done_ms, done_us)
        return _link.ticks_us_at(done_ms, done_us)

    def prepare_receive(self, frequency, sf, bandwidth, symbols):
        self._window = (frequency, sf, bandwidth, symbols)

    async def receive(self):
        if self._window is None:
            raise RadioError("receive without prepare_receive")
        await self._wait(self._busy_ms, self._busy_us)
        struct.pack_into("<IBIH", _link.buffer, 9, *self._window)
        self._window = None
        _link.ask(82, 11, 10)
        _link.start_notices()
        n, end_ms, end_us, rssi, snr = struct.unpack_from("<BIHhb", _link.reply)
        payload = b""
        if n:
            _link.more(n)
            payload = bytes(memoryview(_link.reply)[:n])
        self._busy_ms = end_ms
        self._busy_us = end_us
        await self._wait(end_ms, end_us)
        return Packet(payload, rssi, snr, _link.ticks_us_at(end_ms, end_us)) if n else None


def radio():
    """The board's radio; see `radio.Radio`."""
    return VirtualRadio()


def _analog(kind):
    import machine

    return machine._analog(kind, 0)


def battery_mv():
    """Battery voltage in mV, None when the board runs on mains."""
    value = _analog(1)
    return None if value < 0 else value


def temperature():
    """Temperature in 0.1 °C."""
    return _analog(2)
