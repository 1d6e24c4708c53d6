"""Carries the MAC's operations out with a radio and asyncio; what the application talks to.

From the start of a transmission to the end of the second window `quiet` is held: storage and collection wait.
"""

import asyncio
import gc
import time

from lorawan.operations import Done, Listen, Transmit
from radio import RadioError

# Radio prepared this long before its window opens.
_PREPARE_MS = 50


class Device:
    """A device on the network. `quiet` is an asyncio.Lock, uptime() gives monotonic ms since boot.

    tx_end is the uptime in ms of the end of the last transmission, radio_error the last failure's text or None.
    """

    def __init__(self, mac, radio, quiet, uptime, region, random):
        self.mac = mac
        self.tx_end = 0
        self.radio_error = None
        self._radio = radio
        self._quiet = quiet
        self._uptime = uptime
        self._schedule = None
        self._region = region
        self._random = random
        self._turn = asyncio.Lock()

    @property
    def joined(self):
        """Whether there is a session, of this start or of one before."""
        return self.mac.session is not None

    def start(self):
        """Power the radio up; raises RadioError."""
        self._radio.start()

    def rejoin(self):
        """Start a new round of joining: back-off and data rates from the beginning."""
        self._schedule = None

    async def join_once(self, spread_ms=0):
        """One join request when back-off and duty cycle allow it; whether it was accepted.

        spread_ms: the first request of a round waits a random part of it.
        """
        async with self._turn:
            schedule = self._schedule
            if schedule is None:
                from lorawan.join import JoinSchedule

                schedule = self._schedule = JoinSchedule(self._region, self._random)
                schedule.delay(self._uptime(), spread_ms)
            data_rate = schedule.data_rate()
            await self._until(schedule.earliest(self._uptime()))
            schedule.sent(self._uptime(), self.mac.join_airtime_us(data_rate))
            done = await self._run(self.mac.join, data_rate)
            if done.joined:
                self._schedule = None
            return done.joined

    def join_wait_ms(self):
        """How long the back-off still holds the next join request back, 0 when it may go out."""
        schedule = self._schedule
        if schedule is None:
            return 0
        now = self._uptime()
        return schedule.earliest(now) - now

    def stop(self):
        """The radio sleeps."""
        self._radio.sleep()

    async def send(self, port, payload, confirmed=False, link_check=False, device_time=False):
        """Send an uplink when the duty cycle allows it; a `Done`. Raises NotJoined, PayloadTooLong, RadioError."""
        async with self._turn:
            return await self._run(self.mac.send, port, payload, confirmed, link_check, device_time)

    async def _until(self, uptime_ms):
        wait = uptime_ms - self._uptime()
        if wait > 0:
            await asyncio.sleep_ms(wait)

    async def _run(self, request, *arguments):
        """Follow a transaction to its end."""
        await self._quiet.acquire()
        held = True
        try:
            operation = request(self._uptime(), *arguments)
            while not isinstance(operation, Done):
                if isinstance(operation, Transmit):
                    gc.collect()
                    end = await self._radio.transmit(
                        operation.frequency,
                        operation.sf,
                        operation.bandwidth,
                        operation.power,
                        operation.payload,
                    )
                    self.tx_end = self._uptime() - time.ticks_diff(time.ticks_us(), end) // 1000
                    operation = self.mac.transmitted(self.tx_end)
                elif isinstance(operation, Listen):
                    packet = await self._listen(operation, end)
                    if packet is None:
                        operation = self.mac.heard(self._uptime(), None)
                    else:
                        operation = self.mac.heard(self._uptime(), packet.payload, packet.snr)
                else:
                    self._quiet.release()
                    held = False
                    await self._until(operation.until)
                    await self._quiet.acquire()
                    held = True
                    operation = self.mac.proceed(self._uptime())
            self.radio_error = None
            return operation
        except RadioError as error:
            self.radio_error = str(error)
            raise
        finally:
            self.mac.failed()
            self._radio.sleep()
            if held:
                self._quiet.release()

    async def _listen(self, window, end):
        """Open `window`, counted from the ticks_us `end` of the transmission; a Packet or None."""
        opening = time.ticks_add(end, window.after_us)
        early = time.ticks_diff(opening, time.ticks_us()) // 1000 - _PREPARE_MS
        if early > 0:
            await asyncio.sleep_ms(early)
        self._radio.prepare_receive(window.frequency, window.sf, window.bandwidth, window.symbols)
        rest = time.ticks_diff(opening, time.ticks_us()) // 1000
        if rest > 0:
            await asyncio.sleep_ms(rest)
        return await self._radio.receive()
