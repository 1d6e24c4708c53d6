"""Carries the MAC's operations out with a radio and asyncio; what the application talks to.

From the start of a transmission to the end of the second window `quiet` is held: storage, collection and the loading
of code wait.
"""

import asyncio
import gc
import time

from micropython import const

from lorawan import unload
from lorawan.operations import Done, Listen, Transmit
from radio import RadioError

# Radio prepared this long before its window opens.
_PREPARE_MS = const(50)


class Device:
    """A device on the network. `quiet` is an asyncio.Lock, uptime() gives monotonic ms since boot.

    tx_end is the uptime in ms of the end of the last transmission, until that to which the last wait for the duty cycle
    or the back-off is over, radio_error the last failure's text or None,
    signal (RSSI in dBm, SNR in dB) of the last frame that was received, None before.
    """

    def __init__(self, mac, radio, quiet, uptime, random):
        self.mac = mac
        self.tx_end = self.until = 0
        self.radio_error = self.signal = None
        self._radio = radio
        self._quiet = quiet
        self._uptime = uptime
        self._begun = None
        self._not_before = 0
        self._random = random
        self._turn = asyncio.Lock()

    @property
    def joined(self):
        """Whether there is a session with counters left, of this start or of one before."""
        return self.mac.joined

    def start(self):
        """Power the radio up; raises RadioError."""
        self._radio.start()

    def rejoin(self):
        """Begin a round of joining, or go on with one in which nothing was heard since, also before a restart."""
        self._begun = None

    async def join_once(self, spread_ms=0):
        """One join request when back-off and duty cycle allow it; whether it was accepted. Raises NoncesSpent.

        spread_ms: the first request of a round waits a random part of it.
        """
        async with self._turn:
            self._begin(spread_ms)
            await self._until(self._not_before)
            arguments, self._not_before = self._round("next_request", self._begun)
            done = await self._run(self.mac.join, *arguments)
            if done.joined:
                self._begun = None
            return done.joined

    def join_wait_ms(self):
        """How long the back-off still holds the next join request back, 0 when it may go out."""
        self._begin(0)
        return max(0, self._not_before - self._uptime())

    def _begin(self, spread_ms):
        """Know when the round began, and what it waits for: after a restart too."""
        if self._begun is not None:
            return
        self._begun, self._not_before = self._round("begun", spread_ms)

    def _round(self, what, argument):
        """What a function of `join_round` says, loaded for this."""
        from lorawan import join_round

        try:
            return getattr(join_round, what)(self.mac, self._uptime(), argument, self._random)
        finally:
            unload("join_round")

    async def fall_back(self):
        """Use the session before the present one again, if that was never heard; whether there was one."""
        async with self._turn, self._quiet:
            return self.mac.fall_back()

    def stop(self):
        """The radio sleeps."""
        self._radio.sleep()

    async def send(self, port, payload, confirmed=False, link_check=False, device_time=False):
        """Send an uplink when the duty cycle allows it; a `Done`. Raises NotJoined, PayloadTooLong, RadioError."""
        async with self._turn:
            return await self._run(self.mac.send, port, payload, confirmed, link_check, device_time)

    async def _until(self, uptime_ms):
        self.until = uptime_ms
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
                        self.signal = packet.rssi, packet.snr
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
