"""The virtual board's clock and its one connection to the simulator: a pipe out and a pipe in.

Time is this board's own: milliseconds and microseconds since it booted, small integers on 32 bit too. It moves when
the program sleeps, and a little whenever a clock or a pin is read, so that polling ends. Moments at which something
happens on its own (a pin's edge, the watchdog, a power cut) are `Alarm`s: the clock never passes one without firing it.

Messages out: op u8, payload length u16, ms u32, us u16, payload; all little-endian. Answers have a size that follows
from the question (a read waits until it is complete); what varies comes after it.
"""

import struct

import micropython
from micropython import const

NEVER = const(0x3FFFFFFF)  # ms: as far away as a small integer of 32 bit reaches
_MASK = const(0x3FFFFFFF)  # ticks wrap at 2^30, as on the ESP32
_READ_US = const(10)  # what reading the clock costs: about a turn of a Python loop on the ESP32
_PROBE_MS = const(60000)
_DRIVE_US = const(5)  # what Pin.value(x) costs
_HEADER = const(9)
_FIRST_NOTICE_MS = const(1000)
_LAST_NOTICE_MS = const(60000)

ms = 0
us = 0
ms_offset = 0
us_offset = 0
stop_ms = NEVER  # the earliest alarm
woken = False  # an interrupt handler ran
_firing = False
_goal_ms = 0  # where the clock is going
_goal_us = 0
_alarms = []

line_pins = b""  # GPIOs that the radio drives, in the order of the bits of `levels`
radio_pins = b""  # GPIOs that the radio listens to
levels = 0
line_handlers = {}  # bit -> (pin, trigger, handler)
code_late_ms = 0
irq_late_ms = 0
always_late = 0
stale = False  # the radio was spoken to, and what its lines are since then was not asked
strict = 0  # interrupt handlers may not allocate
edges = None  # the module virtual_edges, where trains of edges are played
asleep = False  # light sleep: no edge reaches an interrupt
_drift_us = 0
_dice = 1

buffer = bytearray(_HEADER + 264)
reply = bytearray(272)
_out = None
_in = None
_kept = bytearray()


def connect(fd_in, fd_out, size):
    """Open the two inherited pipes and read the boot record of `size` bytes into `reply`."""
    global _in, _out
    _in = open(fd_in, "rb", 0)
    _out = open(fd_out, "wb", 0)
    more(size)


def tell(op, length=0):
    """Send `length` bytes of `buffer` from offset 9 on; nobody answers."""
    global _kept
    struct.pack_into("<BHIH", buffer, 0, op, length, ms, us)
    if _kept:
        _kept.extend(memoryview(buffer)[: _HEADER + length])
        _out.write(_kept)
        _kept = bytearray()
    else:
        _out.write(buffer, _HEADER + length)


def tell_later(op, length):
    """As `tell`, but sent together with what is told or asked next."""
    struct.pack_into("<BHIH", buffer, 0, op, length, ms, us)
    _kept.extend(memoryview(buffer)[: _HEADER + length])


def probe(op, length=0):
    """`tell`; what is alive a minute after the start, and every new peak, goes to the log."""
    global _most, _started
    gc.collect()
    live = gc.mem_alloc()
    if ms >= _PROBE_MS and not _started:
        _started = True
        print("started", live)
    if live > _most:
        _most = live
        print("heap", live, ms, op)
        micropython.mem_info()
    _tell(op, length)


def start_probing():
    global tell, gc, _tell, _most, _started
    import gc

    _most = 0
    _started = False
    _tell = tell
    tell = probe


def start_hoarding():
    """Nothing is collected any more, whoever asks for it; once an hour the log is told what is allocated."""
    import gc

    class Hoard:
        def __getattr__(self, name):
            return getattr(gc, name)

        collect = staticmethod(lambda: 0)

    def told():
        print("hoard", gc.mem_alloc())
        alarm.set(ms + 3600000, us)

    gc.collect()
    gc.disable()
    import sys

    sys.modules["gc"] = Hoard()
    alarm = Alarm(told)
    alarm.set(_PROBE_MS, 0)


def more(size):
    """Wait for `size` bytes of answer in `reply`. The simulator gone means the end of this board too."""
    if _in.readinto(reply, size) != size:
        import sys

        sys.exit(0)


def fill(array, size):
    """As `more`, into an array."""
    if _in.readinto(array, size) != size:
        import sys

        sys.exit(0)


def ask(op, length, size):
    """Send as `tell` does and wait for `size` bytes of answer in `reply`."""
    tell(op, length)
    more(size)


def die(op, length=0):
    """Say the last word and wait to be killed: no `finally`, no flush, nothing more happens on this board."""
    tell(op, length)
    while True:
        ask(66, 0, 1)  # 'B': begging to be killed, answered only by the end of the pipe


class Alarm:
    """A moment (ms, us) at which `fire()` is called; it must move or switch itself off (ms = NEVER)."""

    def __init__(self, fire, fatal=False):
        self.fatal = fatal  # the board does not outlive it, so not even a flash operation ends first
        self.ms = NEVER
        self.us = 0
        self.fire = fire
        _alarms.append(self)

    def set(self, at_ms, at_us):
        global stop_ms
        self.ms = at_ms
        self.us = at_us
        if at_ms < stop_ms:
            stop_ms = at_ms

    def remove(self):
        self.ms = NEVER
        if self in _alarms:
            _alarms.remove(self)


def _earliest():
    global stop_ms
    first = None
    for alarm in _alarms:
        if first is None or alarm.ms < first.ms or (alarm.ms == first.ms and alarm.us < first.us):
            first = alarm
    stop_ms = NEVER if first is None else first.ms
    return first


def move_to(to_ms, to_us, stop_if_woken=False):
    """Let time pass until then, firing what is due on the way; back early if woken and asked to."""
    global ms, us, _firing, woken, _goal_ms, _goal_us
    if stop_ms <= to_ms and not _firing:
        _goal_ms = to_ms
        _goal_us = to_us
        while True:
            alarm = _earliest()
            if (
                alarm is None
                or alarm.ms > to_ms
                or (alarm.ms == to_ms and alarm.us > to_us)
                or alarm.ms >= NEVER
            ):
                break
            if alarm.ms > ms or (alarm.ms == ms and alarm.us > us):
                ms = alarm.ms
                us = alarm.us
            _firing = True
            try:
                alarm.fire()
            finally:
                _firing = False
            if woken and stop_if_woken:
                _earliest()
                return
        _earliest()
    if to_ms > ms or (to_ms == ms and to_us > us):
        ms = to_ms
        us = to_us


def spend(some_us):
    """Let `some_us` (< 1 s) pass."""
    t = us + some_us
    move_to(ms + t // 1000, t % 1000)


def spend_blocked(some_us, deaf=False):
    """Let `some_us` pass inside a driver: interrupt handlers wait, only a fatal alarm does not. deaf: so do interrupts."""
    global ms, us
    if deaf and edges:
        edges.begin_stall()
    us += some_us
    ms += us // 1000
    us %= 1000
    if ms >= stop_ms:
        for alarm in _alarms:
            if alarm.fatal and (alarm.ms < ms or (alarm.ms == ms and alarm.us <= us)):
                alarm.fire()
    if deaf and edges:
        edges.end_stall()


def ticks_ms():
    global ms, us
    us += _READ_US
    if us > 999:
        us -= 1000
        ms += 1
    if ms >= stop_ms:
        move_to(ms, us)
    # Never beyond a small integer of 32 bit: reading a clock allocates nothing.
    return (ms - _MASK - 1 + ms_offset) & _MASK


def ticks_us():
    ticks_ms()
    return ticks_us_at(ms, us)


def ticks_us_at(at_ms, at_us):
    """What ticks_us() is at that moment: milliseconds times 1000 modulo 2^30, in two halves of 15 bits."""
    low = (at_ms & 0x7FFF) * 1000 + at_us + (us_offset & 0x7FFF)
    high = (at_ms >> 15) * 1000 + (us_offset >> 15) + (low >> 15)
    return (high & 0x7FFF) << 15 | low & 0x7FFF


def _notice():
    # One way: tells the simulator that nothing of this board can happen before now any more.
    global _notice_step
    tell(78)
    if _notice_step < _LAST_NOTICE_MS:
        _notice_step *= 2
    _notice_alarm.set(ms + _notice_step, us)


def start_notices():
    """Soon, then ever more rarely: whoever waits for this board waits for what it does next."""
    global _notice_step
    _notice_step = _FIRST_NOTICE_MS
    _notice_alarm.set(ms + _notice_step, us)


def _lease():
    # With a bounded head start the board waits here until the others have come as far.
    ask(83, 0, 12)
    at_ms, at_us, cut_ms, cut_us = struct.unpack_from("<IHIH", reply)
    _lease_alarm.set(at_ms, at_us)
    _cut_alarm.set(cut_ms, cut_us)


def set_lines(mask):
    """The radio's lines have these levels from now on: whoever waits for an edge is called."""
    global levels
    changed = levels ^ mask
    levels = mask
    if changed:
        for line in line_handlers:
            if changed >> line & 1:
                pin, trigger, handler = line_handlers[line]
                if trigger & (1 if mask >> line & 1 else 2):
                    if irq_late_ms:
                        _late_irqs.append((pin, handler))
                        _irq_alarm.set(ms + lateness(irq_late_ms), us)
                    else:
                        interrupt(handler, pin)


def interrupt(handler, pin):
    """An interrupt handler runs."""
    global woken
    if asleep:
        return
    woken = True
    if strict:
        micropython.heap_lock()
        try:
            handler(pin)
        finally:
            micropython.heap_unlock()
    else:
        handler(pin)


def drift(some_us):
    """The ticks are so much further than the time that has passed."""
    global ms_offset, us_offset, _drift_us
    us_offset = (us_offset + some_us) & _MASK
    _drift_us += some_us
    ms_offset = (ms_offset + _drift_us // 1000) & _MASK
    _drift_us %= 1000


def lateness(most):
    """Milliseconds, at most `most`."""
    global _dice
    if always_late:
        return most
    _dice = (_dice * 1103 + 12345) & 0xFFFFF
    return (_dice >> 4) % (most + 1)


def _late_irq():
    _irq_alarm.ms = NEVER
    while _late_irqs:
        pin, handler = _late_irqs.pop(0)
        interrupt(handler, pin)


def meet_radio():
    """Before the radio is spoken to: the world has to have come as far as this board."""
    global _goal_ms, _goal_us
    while _lines_alarm.ms < ms or (_lines_alarm.ms == ms and _lines_alarm.us <= us):
        _goal_ms = ms
        _goal_us = us
        _settle()


def drive_radio(pin, level):
    """Tell the radio of a pin's level. When it rises, a transaction or a reset is over: what its lines are then."""
    global stale
    spend(_DRIVE_US)
    if not stale:
        meet_radio()
    buffer[9] = pin
    buffer[10] = level
    if level == 0:
        stale = True
        tell_later(113, 2)
        return
    stale = False
    ask(81, 2, 7)
    mask, known_ms, known_us = struct.unpack_from("<BIH", reply)
    _lines_alarm.set(known_ms, known_us)
    set_lines(mask)


def line(bit):
    """The level of one of the radio's lines now."""
    global stale
    if stale:
        stale = False
        _lines_alarm.set(ms, us)
        meet_radio()
    return levels >> bit & 1


def _settle():
    # Here the radio's lines are not known any more: wait for the world, no longer than to what this board does next.
    global _then
    if _then is None:
        _lines_alarm.ms = NEVER
        alarm = _earliest()
        to_ms, to_us = _goal_ms, _goal_us
        if alarm.ms < to_ms or (alarm.ms == to_ms and alarm.us < to_us):
            to_ms, to_us = alarm.ms, alarm.us
        struct.pack_into("<IH", buffer, 9, to_ms, to_us)
        ask(87, 6, 13)
        mask, at_ms, at_us, known_ms, known_us = struct.unpack_from("<BIHIH", reply)
        _then = (mask, known_ms, known_us)
        if at_ms > ms or (at_ms == ms and at_us > us):
            _lines_alarm.set(at_ms, at_us)
            start_notices()
            return
    mask, known_ms, known_us = _then
    _then = None
    _lines_alarm.set(known_ms, known_us)
    set_lines(mask)


def _power_off():
    die(80)


_notice_step = _FIRST_NOTICE_MS
_notice_alarm = Alarm(_notice)
_lease_alarm = Alarm(_lease)
_cut_alarm = Alarm(_power_off, True)
_lines_alarm = Alarm(_settle)
_then = None  # levels at the alarm, and up to when they are known then
_irq_alarm = Alarm(_late_irq)
_late_irqs = []


def start_alarms(cut_ms, cut_us, lease_ms, lines_ms, dice):
    global _dice
    _dice = dice & 0xFFFFF
    _lines_alarm.set(lines_ms, 0)
    _cut_alarm.set(cut_ms, cut_us)
    _lease_alarm.set(lease_ms, 0)
    start_notices()
