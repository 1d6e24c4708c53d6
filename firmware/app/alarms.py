"""What is wrong with the node or its sensors, and which of it the network knows already.

A difference between the two is what has to be sent: so an alarm that comes and goes before its turn is never sent, and
nothing that is raised stays raised for ever because its end was lost. Congestion has a turn and an allowance of its own: a
switch that flutters, or a case that stays open, does not keep it back. What is needed only then is in `alarm_news`.
"""

from machine import Pin
from micropython import const

from app import modules
from counting import NO_SIGNAL, SILENT, STUCK

# Kinds, as zaehlwerk_protocol.alarm numbers them; that module is in the heap while a frame is made.
_STUCK = const(1)
_SILENT = const(2)
_TAMPER = const(3)
_LOW_BATTERY = const(4)
_CLOCK_LOST = const(5)
_CONGESTION = const(6)
_KINDS = const(7)
# In a mask: the node itself, and no channel.
_NODE = const(0x100)

# Raised below the first and over above the second, in mV; a lithium cell is nearly empty at the first.
_BATTERY_MV = const(3300)
_BATTERY_OVER_MV = const(3500)
# A quarter-hour whose borders may be off by more is marked.
_CLOCK_ERROR_MS = const(10000)
# A condition is over when it was gone for so many readings, a minute apart; congestion has a hysteresis of its own.
_CALM = const(2)
# At most one frame in ten minutes, six at once; congestion as many, and all else together.
_EVERY_MS = const(600000)
_AT_ONCE = const(6)


class Alarms:
    """`node` is a `node.Node`. now, told, sent: per kind the mask of the channels concerned, or 0x100 for the node itself;
    as it is, as the network knows it, and what it was sent of without an answer: perhaps it knows."""

    def __init__(self, node):
        self._node = node
        self.told = self.rarely("restored")
        self.now = list(self.told)
        self.sent = [0] * _KINDS
        self._calm = [0] * _KINDS
        # Uptimes in ms, of all else and of congestion.
        self._not_before = [0, 0]
        self._spent_until = [0, 0]
        pin = node.settings["tamper_pin"]
        self._switch = None if pin is None else Pin(pin, Pin.IN, Pin.PULL_UP)
        # A jam that the network knows of may be over, or looked for no more.
        self.congestion()

    def rarely(self, what, *arguments):
        """What a function of `alarm_news` says, loaded for this."""
        from app import alarm_news

        try:
            return getattr(alarm_news, what)(self._node, *arguments)
        finally:
            modules.unload("app.alarm_news")

    def check(self):
        """Look at everything but congestion, after a reading."""
        node, now = self._node, self.now
        stuck = silent = 0
        for channel, codes in enumerate(node.inputs.health):
            if codes & STUCK:
                stuck |= 1 << channel
            elif codes & (SILENT | NO_SIGNAL):
                silent |= 1 << channel
        battery, error = node.battery_mv, node.clock.error_ms(node.uptime())
        low = _BATTERY_OVER_MV if now[_LOW_BATTERY] else _BATTERY_MV
        found = (
            0,
            stuck,
            silent,
            _NODE if self._switch is not None and self._switch.value() else 0,
            # 0: a power chip that is not measuring yet; the radio, which comes later, has it switched on.
            _NODE if battery and battery < low else 0,
            _NODE if error is not None and error > _CLOCK_ERROR_MS else 0,
        )
        for kind, mask in enumerate(found):
            # What is worse is taken over at once, what is better when it stays so.
            calm = self._calm[kind] + 1 if now[kind] & ~mask else 0
            self._calm[kind] = calm % _CALM
            self.change(kind, mask if calm >= _CALM else mask | now[kind])

    def change(self, kind, mask):
        """Kind of alarm: from now on `mask` is what is concerned."""
        if mask != self.now[kind]:
            self.now[kind] = mask
            self._node.news.set()

    def congestion(self):
        """Take over where there is congestion now."""
        jams = self._node.inputs.jams
        self.change(_CONGESTION, 0 if jams is None else jams.mask())

    @property
    def tampered(self):
        """Whether the case is open."""
        return bool(self.now[_TAMPER])

    def due(self, kind=None):
        """Uptime in ms at which something is to be sent, None when the network knows everything.

        kind: of congestion alone, or (0) of all else.
        """
        if kind is None:
            at, jam_at = self.due(0), self.due(_CONGESTION)
            return at if jam_at is None or (at is not None and at < jam_at) else jam_at
        jam = kind == _CONGESTION
        for k in range(_KINDS):
            if (k == _CONGESTION) == jam and (self.now[k] != self.told[k] or self.sent[k]):
                return max(self._not_before[jam], self._spent_until[jam] - (_AT_ONCE - 1) * _EVERY_MS)
        return None

    def spent(self, kind, again_ms):
        """A frame goes out now: no more of the sort for `again_ms`, and it counts against what alarms may take."""
        now, jam = self._node.uptime(), kind == _CONGESTION
        self._not_before[jam] = now + again_ms
        self._spent_until[jam] = max(self._spent_until[jam], now) + _EVERY_MS

    def acknowledged(self, kind, raised, mask):
        """The network knows it. Stored when this returns."""
        self._not_before[kind == _CONGESTION] = 0
        self.told[kind] = self.told[kind] | mask if raised else self.told[kind] & ~mask
        self.sent[kind] &= ~mask
        self.rarely("store", self.told)
