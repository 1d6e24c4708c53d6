"""The counting path: reads the inputs, closes intervals on time, stores totals, feeds the watchdog.

It alone touches the intervals, and reads before it waits: a transmission can delay the writing of a record, not
the moment that its totals are of.
"""

import asyncio

from micropython import const

from app import state

# Between two stored totals: what a power cut can take at most, apart from the writing itself (10 s while a
# transmission and its windows last). 1,440 writes a day; see the README for what that means to the flash.
SNAPSHOT_MS = const(60000)
# Between two looks for congestion.
_LOOK_MS = const(10000)
# Between two moments that are kept in memory: what a reset without a loss of power can take.
_MOMENT_MS = const(10000)
# Between two storings of how long the sensors were silent: what a power cut takes of a silence.
_SILENCES_MS = const(900000)
# Three missed rounds.
WATCHDOG_MS = const(180000)
# A node that has sent nothing for so long, and had nothing to wait for, is not fed any more: an interval is an hour at
# the most.
_MUTE_MS = const(7200000)


class Recorder:
    """`node` is a `node.Node`; closed(records) is called after records were stored."""

    def __init__(self, node, watchdog):
        self._node = node
        self._watchdog = watchdog
        self._dog = None
        self._next = 0
        self._silences_at = 0

    async def run(self):
        """For ever: read at every boundary and every minute, and when there is news of the time."""
        node = self._node
        while True:
            await self._sleep()
            now = node.uptime()
            node.intervals.read(now, *node.inputs.read())
            while self._next <= now:
                self._next += SNAPSHOT_MS
            state.keep_moment(node)
            async with node.quiet:
                node.ring.hold()
                self._settle(now)
                node.ring.release()
                node.alarms.check()
                self._keep_silences(now)
                state.save_totals(node.files, node.intervals)
                node.save_crash()
            self._feed()

    async def _sleep(self):
        """Until the next boundary, the next minute, or news of the time; what is counted is kept meanwhile."""
        node = self._node
        due = self._next
        if node.intervals.live:
            due = min(due, node.clock.uptime_ms(node.intervals.boundary_ms()))
        while not node.time_news.is_set():
            wait = due - node.uptime()
            if wait <= 0:
                break
            state.keep_moment(node)
            try:
                await asyncio.wait_for_ms(node.time_news.wait(), min(wait, _MOMENT_MS))
            except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no other
                pass
        node.time_news.clear()

    def _settle(self, now):
        """Close what is over at uptime `now`, the time of the last reading."""
        node = self._node
        intervals, clock = node.intervals, node.clock
        if not clock.known:
            waited = node.joined_at is not None and now - node.joined_at >= node.settings["interval_s"] * 1000
            intervals.close_unsynced(waited)
        elif not intervals.live:
            mapping = intervals.mapping
            intervals.place(clock.utc_ms)
            node.inputs.flow()  # of a time that is no interval
            if mapping is not None:
                node.epoch.add_mapping(mapping[0], clock.utc_ms(mapping[1]) // 1000)
        elif node.jumped:
            node.jumped = False
            intervals.jump(clock.utc_ms(now))
        elif intervals.close_due(clock.utc_ms(now)):
            self._flow(intervals.slot - 1)

    def _flow(self, slot):
        """Speeds and occupancy of the slot that was just closed; they are taken whether they are sent or not."""
        node = self._node
        rows = node.inputs.flow()
        every = node.settings["flow_every"]
        if every and slot % every == 0 and any([value is not None for row in rows for value in row]):
            node.flow = slot, rows

    def _keep_silences(self, now):
        if now >= self._silences_at:
            self._silences_at = now + _SILENCES_MS
            from app import silences

            silences.store(self._node)

    async def look(self):
        """For ever: see whether traffic has come to a halt, so often that it is known at once."""
        node = self._node
        before = node.uptime()
        while True:
            await asyncio.sleep_ms(_LOOK_MS)
            now = node.uptime()
            if node.inputs.jams.look(now - before):
                node.alarms.congestion()
            before = now

    async def guard(self):
        """The watchdog begins when the technician's time is over, whatever the other tasks are at by then."""
        await asyncio.sleep(self._node.settings["grace_s"])
        self._dog = self._watchdog(timeout=WATCHDOG_MS)

    def _feed(self):
        device = self._node.device
        sent = 0 if device is None else max(device.tx_end, device.until)
        if self._dog is not None and self._node.uptime() - sent < _MUTE_MS:
            self._dog.feed()
