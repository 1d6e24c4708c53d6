"""A Doppler radar on a UART (OmniPreSense OPS243-A): passages by direction, and speeds; see docs/sensors/radar.md."""

import time

from machine import UART
from micropython import const

from counting import GARBAGE, MERGED, MISSED, NO_SIGNAL, OVERFLOW, SHORT, STUCK, SUMS, TICKS
from counting.doppler import FEW, MANY, Doppler
from counting.ring import Ring
from counting.sensor import Sensor
from counting.speeds import Speeds
from counting.watch import later

# Passages between two readings.
_ROOM = const(128)
# What the UART's driver keeps outside of our heap while we are busy: 1 s at 19,200 baud. While flash is erased count on
# no more than the chip's own 128 bytes, 67 ms: whether the driver's interrupt goes on then is a matter of the build.
_BUFFER = const(2048)
# The driver takes up to 120 bytes at once; when these do not fit it takes none (ESP-IDF, uart.c).
_FULL = const(_BUFFER - 120)
_PART = const(128)
# Sent to the sensor: its unit (UM-003, "Speed Output Units"), both directions, and a zero when nothing moves ("Blank
# Data Reporting"), so that its silence can be told from its death.
_SET_UP = {"kmh": b"UKR|BZ", "mps": b"UMR|BZ"}


class RadarSensor(Sensor):
    """Outputs towards, away. Needs no hardware counter."""

    outputs = 2

    def __init__(self, settings, *units):
        super().__init__(settings, *units)
        self._ring = Ring(_ROOM)
        self._doppler = Doppler(
            settings["unit"],
            settings["min_hits"],
            settings["quiet_ms"],
            settings["min_speed_kmh"] * 10,
            self._ring.put,
        )
        self._speeds = (Speeds(), Speeds())
        self._part = bytearray(_PART)
        # `overruns`: how often bytes were lost; then what was read of each when it was read last.
        self._overruns = self._heard = self._bad = self._lost = 0
        self._handler = self._receive

    def _open(self):
        settings = self.settings
        tx = settings["tx_pin"]
        uart = self._uart = UART(
            settings["uart"],
            settings["baud"],
            rx=settings["pin"],
            tx=-1 if tx is None else tx,
            rxbuf=_BUFFER,
            timeout_char=2,
        )
        self._set_up()
        uart.irq(self._handler, UART.IRQ_RX)

    def _close(self):
        self._uart.deinit()

    def _set_up(self):
        """Tell the sensor how to speak: at each reading, for one that was switched on later, or again, has not heard it."""
        settings = self.settings
        if settings["tx_pin"] is not None:
            self._uart.write(_SET_UP[settings["unit"]])

    def _receive(self, uart):
        """The interrupt handler, and a tick once a reading."""
        now = time.ticks_ms()
        doppler, part = self._doppler, self._part
        full = uart.any() > _FULL
        while True:
            n = uart.readinto(part)
            if not n:
                break
            for i in range(n):
                doppler.feed(part[i], now)
        if full:
            # What came after is missing.
            self._overruns = (self._overruns + 1) & SUMS
            doppler.resync()
        doppler.settle(now)

    def take(self):
        """[towards, away] since the last call."""
        self._set_up()
        later(self._handler, self._uart)
        doppler, ring, settings = self._doppler, self._ring, self.settings
        counts = [0, 0]
        health = 0
        while True:
            passage = ring.get()
            if passage is None:
                break
            speed, away = passage
            if away == FEW:
                health |= SHORT
            else:
                if away >= MANY:
                    away -= MANY
                    health |= MERGED
                counts[away] += 1
                self._speeds[away if settings["output"] is not None else 0].add(speed)
        heard, bad, lost = doppler.heard, doppler.bad, ring.lost + self._overruns
        good, wrong = (heard - self._heard) & SUMS, (bad - self._bad) & SUMS
        if wrong:
            # They may have been what was missing to a passage.
            health |= MISSED
        if wrong > good:
            health |= GARBAGE
        elif not good and settings["tx_pin"] is not None:
            health |= NO_SIGNAL
        if lost != self._lost:
            health |= OVERFLOW
        self._heard, self._bad, self._lost = heard, bad, lost
        self.blind_ms = TICKS if health & (NO_SIGNAL | OVERFLOW | GARBAGE) else 0
        now = time.ticks_ms()
        for began in doppler.began:
            if began >= 0 and settings["stuck_s"] * 1000 <= (now - began) & TICKS < TICKS // 2:  # type: ignore[operator]
                health |= STUCK
        self.health = health
        return counts

    def flow(self):
        """(mean speed, v85, None) per output since the last call; of the output "all" the first."""
        return [speeds.taken() + (None,) for speeds in self._speeds]  # noqa: RUF005 - MicroPython cannot do that

    def lately(self):
        """(mean speed, None) per output since the last call of this."""
        return [(speeds.lately(), None) for speeds in self._speeds]
