"""What is sent when: joins, then counts at the device's offset, status until acknowledged, answers, backfill.

Counts go first. Everything else waits for its own time, and what is long keeps out of the way of the next count.
"""

import asyncio

from micropython import const

from app import clock, modules
from zaehlwerk_protocol import ports

_DAY_MS = const(86400000)
_FIRST_JOIN_SPREAD_MS = const(5000)
# A status that was not acknowledged is tried again soon, then once an interval.
_RETRY_MS = const(20000)
_RETRY_SPREAD_MS = const(40000)
_QUICK_RETRIES = const(3)
# After so long without a downlink, and under a session that was never heard, each uplink asks for a sign of life. So
# many in vain, and perhaps the network forgot the session: then the one before it is used again, if there is one, else
# a join is tried, as often as its back-off allows, and the session stays until it succeeds.
_SILENCE_MS = const(7200000)
_LOST_AFTER = const(8)
# So many in vain, and counts were lost that no history repeats.
_OUTAGE_AFTER = const(3)
# More records than the ring has.
_STORED = const(3072)
# A total that moved so far since the last status: half of what 16 bits can tell apart.
_STATUS_AFTER = const(0x8000)
# What sensors note is told with the next status, and something new in a status of its own, so long after the last one.
_NOTES_AFTER_MS = const(3600000)
_PAUSE_MS = const(20000)
# The network waits for an uplink, for an acknowledgement or because it has more to send: an empty one if nothing else
# is due so soon.
_SOON_MS = const(3000)
_SOON_SPREAD_MS = const(4000)
# Frames for one payload: MAC answers that do not fit beside it go before it.
_FRAMES = const(3)
# So often the time is asked for in an uplink of its own; then the question only rides along.
_TIME_TRIES = const(8)
# Share of the time that answers and backfill may take, as 1/n: less than the duty cycle, counts have the rest.
_PACE = const(150)
_NEVER = None
# Bytes of LinkCheckReq and DeviceTimeReq.
_REQUESTS = const(2)


class Uplinks:
    """The sending task. `node` is a `node.Node`."""

    def __init__(self, node):
        self._node = node
        self._answers = []
        self._queue = []
        self._queue_at = 0
        self._sent = None
        self._status_wanted = True
        self._status_at = 0
        self._status_sent = None
        self._status_totals = None
        self._tries = 0
        # The status that is being sent: frames left, totals it anchors, mapping, notes, epoch.
        self._parts = []
        self._totals = self._mapping = self._notes = self._status_epoch = None
        self._time_at = 0
        self._time_tries = 0
        self._soon_at = _NEVER
        self._final_at = 0
        self._heard_at = 0
        self._unheard = self._missed = 0
        # Whether a join is tried until it succeeds; ordered: also if the network is heard meanwhile.
        self._rejoin = self._ordered = False
        self._link_asked = False

    # --- asked for by others

    def request_status(self):
        """A status as soon as possible."""
        self._status_wanted = True
        self._status_at = min(self._status_at, self._node.uptime())

    def ask(self):
        """The same, and it asks how well the network hears the node: `node.link`."""
        self._link_asked = True
        self.request_status()
        self._node.news.set()

    def answer(self, data, short=None, then=None):
        """Send an answer frame before all else that waits; `short` when it does not fit; then() comes afterwards."""
        self._answers.append(
            lambda _: (ports.ANSWER, short if len(data) > self.longest else data, True, then)
        )

    @property
    def longest(self):
        """Bytes of payload that fit an uplink now; MAC answers beside which they do not fit go before it."""
        mac = self._node.device.mac
        return mac.region.MAX_PAYLOAD[mac.next_rate()] - _REQUESTS

    def rejoin(self):
        """Join anew. The present session stays in use until there is another one."""
        self._node.device.rejoin()
        self._rejoin = self._ordered = True

    def backfill(self, unsynced, first, end):
        """Send the stored records [first, end), in as many frames as it takes."""
        node = self._node

        def rows(room):
            # Port, frame or None, whether it was the last.
            nonlocal first
            frame, first = modules.made("backfill", node, unsynced, first, end, room)
            return ports.BACKFILL, frame, first >= end

        self._queue.append(rows)

    # --- the task

    async def run(self):
        """For ever."""
        node = self._node
        if node.device is None:
            node.make_device()
        node.device.start()
        while True:
            if not node.device.joined:
                if await node.device.join_once(_FIRST_JOIN_SPREAD_MS):
                    self._joined()
                continue
            if node.joined_at is None:
                node.joined_at = node.uptime()
            if self._rejoin and node.device.join_wait_ms() == 0 and await node.device.join_once():
                self._joined()
            due, send = self._next()
            wait = due - node.uptime()
            if self._rejoin and wait > 0:
                wait = min(wait, max(1, node.device.join_wait_ms()))
            if wait > 0:
                await self._sleep(wait)
            else:
                await send()

    def _joined(self):
        self._node.joined_at = self._node.uptime()
        self._rejoin = self._ordered = False
        self._status_wanted = True
        self._tries = 0
        self._heard()
        self._status_at = self._time_at = 0

    async def _sleep(self, ms):
        """At most until there is news: a record that was closed, an alarm."""
        node = self._node
        node.news.clear()
        try:
            await asyncio.wait_for_ms(node.news.wait(), ms)
        except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no other
            pass

    def _next(self):
        """(uptime, coroutine function) of what comes next."""
        node = self._node
        now = node.uptime()
        # Nothing: it is never due before this is asked again.
        due, send = now + _DAY_MS, None
        alarm_at = node.alarms.due()
        if alarm_at is not None and alarm_at <= now:
            return alarm_at, self._send_alarm
        counts_at = self._counts_at()
        if counts_at is not None:
            due, send = counts_at, self._send_counts
            if due <= now:
                return due, send
        if alarm_at is not None and alarm_at < due:
            due, send = alarm_at, self._send_alarm
        if node.flow is not None and counts_at is None:
            self._queue_flow()
        coming, long = self._coming_at(counts_at), node.device.mac.room()
        # Without a status of this epoch the counts cannot be read; any other one can wait for them.
        if (
            self._status_due()
            and self._status_at < due
            and (not node.epoch.acknowledged or self._fits(max(self._status_at, now), coming, long))
        ):
            due, send = self._status_at, self._send_status
        if self._final() is not None and self._final_at < due:
            due, send = self._final_at, self._send_final
        if (not node.clock.known or node.clock.doubtful) and self._time_at < due:
            due, send = self._time_at, self._send_empty
        soon = self._soon_at
        # The next count may do as well.
        if soon is not _NEVER and soon < due and self._fits(soon, coming, 0):
            due, send = soon, self._send_empty
        if (self._answers or self._queue) and self._queue_at < due:
            at = max(self._queue_at, now)
            if self._fits(at, coming, long):
                due, send = at, self._send_queued
        return due, send

    def _fits(self, at, coming, length):
        """Whether a frame of `length` bytes at `at` leaves the counts that are `coming` the duty cycle that they need."""
        if coming is None:
            return True
        node = self._node
        airtime_ms = node.device.mac.airtime_us(length) // 1000
        return coming - at > min(110 * airtime_ms + 15000, node.settings["interval_s"] * 500)

    # --- counts

    def _newest(self):
        """The last closed record of this start, if it was not sent yet."""
        node = self._node
        unsynced = not node.intervals.live
        if unsynced and not node.closed_at:
            return None
        record = node.ring.newest(unsynced, node.epoch.generation)
        return None if record is None or record.key == self._sent else record

    def _counts_at(self):
        node = self._node
        record = self._newest()
        if record is None:
            return _NEVER
        if record.unsynced:
            return node.closed_at + node.offset_ms
        return node.clock.uptime_ms((record.index + 1) * node.settings["interval_s"] * 1000) + node.offset_ms

    def _coming_at(self, counts_at):
        """When the next counts go out, also those of the interval that is open; None while nobody knows."""
        node = self._node
        if counts_at is None and node.intervals.live:
            return node.clock.uptime_ms(node.intervals.boundary_ms()) + node.offset_ms
        return counts_at

    async def _send_counts(self):
        record = self._newest()
        frame = modules.made("counts", self._node, record, self._room())
        self._sent = record.key
        await self._send(ports.COUNTS, frame)

    # --- records that no later frame repeats

    def _final(self):
        """(unsynced, generation, index) of a record that is the last of its kind and not acknowledged, or None.

        The epoch before ended with one; the unsynced space ends with one when the time comes.
        """
        node, epoch = self._node, self._node.epoch
        if epoch.farewell is not None:
            return False, (epoch.generation - 1) % 128, epoch.farewell
        if node.intervals.live and node.intervals.unsynced_index > epoch.unsynced_done:
            return True, epoch.generation, node.intervals.unsynced_index - 1
        return None

    async def _send_final(self):
        node, epoch = self._node, self._node.epoch
        final = self._final()
        self._final_at = self._retry_at()
        record = node.ring.at(*final)
        if record is not None:
            frame = modules.made("counts", node, record, self._room())
            done = await self._send(ports.COUNTS, frame, True)
            if not done.acknowledged:
                return
        self._tries = self._final_at = 0
        if self._final() == final:
            async with node.quiet:
                if final[0]:
                    # What comes before it, too, unless its history can have said it.
                    if final[2] - epoch.unsynced_done > _OUTAGE_AFTER:
                        self.backfill(True, max(epoch.unsynced_done, final[2] - _STORED), final[2])
                    epoch.unsynced_done = final[2] + 1
                else:
                    epoch.farewell = None
                epoch.save()

    # --- status

    def _status_due(self):
        node, epoch = self._node, self._node.epoch
        if self._status_wanted or self._parts or not epoch.acknowledged or epoch.mappings:
            return True
        if not node.intervals.live:
            return False
        record = node.ring.newest(False, epoch.generation)
        if record is None:
            return False
        if not epoch.anchored:
            return True
        if self._status_sent is not None:
            news = node.inputs.news
            if node.uptime() - self._status_sent >= (_NOTES_AFTER_MS if news else _DAY_MS):
                return True
        before = self._status_totals
        return before is not None and any(
            (record.totals[i] - before[i]) & 0xFFFFFFFF >= _STATUS_AFTER for i in range(len(before))
        )

    async def _send_status(self):
        """Confirmed: without it the counts cannot be read, and it shows whether the network still knows us.

        At a low data rate it is more than one frame; each is sent until it is acknowledged.
        """
        node = self._node
        # Before anything can fail: a status that cannot be made does not keep the rest back.
        self._status_at = self._retry_at()
        room = self._room()
        if not self._parts or self._status_wanted or len(self._parts[0]) > room:
            self._parts, self._totals, self._mapping, self._notes = modules.made("status", node, room)
            self._status_epoch = node.epoch.number
            self._status_wanted = False
        done = await self._send(ports.STATUS, self._parts[0], True)
        if not done.acknowledged:
            return
        self._tries = 0
        self._parts.pop(0)
        self._status_at = node.uptime() + _PAUSE_MS
        if not self._parts:
            await self._status_arrived()

    async def _status_arrived(self):
        """All of a status was acknowledged."""
        node = self._node
        self._status_sent = node.uptime()
        modules.made("noted", node, *self._notes)  # type: ignore[misc]
        # What was allocated while the code of frames was there lies amid what is one free block now.
        self._notes = None
        if self._totals is not None:
            self._status_totals = self._totals
        if self._status_epoch == node.epoch.number:
            async with node.quiet:
                node.epoch.acknowledge(self._totals is not None, self._mapping)

    def _retry_at(self):
        """When to try again what was not acknowledged: soon, then once an interval."""
        node = self._node
        self._tries += 1
        pause = _RETRY_MS + node.random(_RETRY_SPREAD_MS)
        if self._tries > _QUICK_RETRIES:
            pause += node.settings["interval_s"] * 1000
        return node.uptime() + pause

    # --- alarms, speeds and occupancy

    async def _send_alarm(self):
        """Confirmed; tried again until it is acknowledged, or over."""
        node = self._node
        again_ms = _RETRY_MS + node.random(_RETRY_SPREAD_MS)
        kind, raised, mask, value = node.alarms.rarely("following", again_ms)
        frame = modules.made("alarm", node, kind, raised, mask, value)
        done = await self._send(ports.ALARM, frame, True)
        if done.acknowledged:
            async with node.quiet:
                node.alarms.acknowledged(kind, raised, mask)

    def _queue_flow(self):
        node = self._node
        (slot, rows), node.flow = node.flow, None
        for frame in modules.made("flow", node, slot, rows, self._room()):
            self._queue.append(
                lambda room, frame=frame: (ports.FLOW, frame if len(frame) <= room else None, True)
            )

    # --- time, answers, backfill

    async def _send_empty(self):
        await self._send(None, b"")

    def _time_asked(self, answered):
        """When to ask again, if nothing else carries the question before."""
        node = self._node
        self._time_tries = 0 if answered else self._time_tries + 1
        pause = _RETRY_MS + node.random(_RETRY_SPREAD_MS)
        if self._time_tries > _TIME_TRIES:
            pause = _DAY_MS
        self._time_at = node.uptime() + pause * max(self._time_tries, 1)

    async def _send_queued(self):
        room = self._room()
        queue = self._answers or self._queue
        # What raises here, or is never done, must not come again: behind it all others would wait for ever.
        entry = queue.pop(0)
        port, frame, last, *then = entry(room)
        if not last:
            queue.insert(0, entry)
        if frame is None:
            return
        try:
            await self._send(port, frame)
        finally:
            if then and then[0] is not None:
                then[0]()
        airtime_ms = self._node.device.mac.airtime_us(len(frame)) // 1000
        self._queue_at = self._node.uptime() + max(_PAUSE_MS, _PACE * airtime_ms)

    # --- one uplink

    def _room(self):
        return self._node.device.mac.room(_REQUESTS)

    async def _send(self, port, payload, confirmed=False):
        """Send, then take in what came back; the `Done`."""
        for _ in range(_FRAMES):
            done = await self._send_frame(port, payload, confirmed)
            if done.sent:
                break
        return done

    async def _send_frame(self, port, payload, confirmed):
        node = self._node
        wants_time = node.clock.wants(node.uptime())
        in_doubt = node.device.mac.other is not None
        link_check = self._link_asked or in_doubt or node.uptime() - self._heard_at >= _SILENCE_MS
        self._link_asked = False
        done = await node.device.send(port, payload, confirmed, link_check, wants_time)
        self._soon_at = _NEVER
        if done.pending or done.ack_due:
            pause = _SOON_MS + node.random(_SOON_SPREAD_MS)
            airtime_ms = node.device.mac.airtime_us(0) // 1000
            self._soon_at = node.uptime() + max(pause, _PACE * airtime_ms)
        if done.heard or confirmed or link_check:
            node.answered = done.heard
        if done.link_check is not None:
            margin, gateways = done.link_check
            node.link = margin, gateways, node.uptime()
        if done.heard:
            node.heard = True
            self._heard()
            self._rejoin = self._ordered
        elif link_check:
            self._unheard += 1
            self._missed += 1
            if self._unheard >= _LOST_AFTER and not self._rejoin:
                self._unheard = 0
                # From the first request on the network may have gone over to a session that this node never heard
                # of. So it asks until it hears something, under the back-off of a round of its own.
                if not await node.device.fall_back():
                    node.device.rejoin()
                    self._rejoin = True
        if done.time is not None:
            utc = clock.from_gps(*done.time)
            if node.clock.take(utc, node.device.tx_end) == clock.JUMPED:
                node.jumped = True
            node.time_news.set()
        if wants_time:
            self._time_asked(done.time is not None)
        if done.port == ports.COMMAND:
            async with node.quiet:
                from app import asked

                try:
                    asked.take(node, self, done.payload)
                finally:
                    modules.unload("app.asked")
        return done

    def _heard(self):
        """The network is there. If it was not for a while, it is sent what it may have missed, as far as it is stored."""
        node = self._node
        it = node.intervals
        if it.live:
            # Before a restart it may have been missed as well: what was heard is stored.
            beyond_ms = (it.slot - it.heard - _OUTAGE_AFTER) * it.interval_s * 1000
            if it.heard >= 0 and (self._missed >= _OUTAGE_AFTER or beyond_ms >= _SILENCE_MS):
                self.backfill(False, max(it.heard, it.slot - _STORED), it.slot)
            it.heard = it.slot
        self._heard_at, self._unheard, self._missed = node.uptime(), 0, 0
