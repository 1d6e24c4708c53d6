"""The order in which the node's modules are loaded at the start: what others import is there already.

Each level of nested imports costs stack, of which the ESP32's main task has 16 kB; and a heap that is filled in order
fragments less.
"""

import gc
import sys

from app.modules import unload

_IN_ORDER = (
    "app.button",
    "lorawan.session",
    "lorawan.mac",
    "lorawan.device",
    "lorawan.store",
    "app.intervals",
    "app.state",
    "app.restore",
    "app.alarms",
    "app.uplinks",
    "app.recorder",
)


# Names stay in the heap for ever, once they were seen. What is loaded now and then is loaded and unloaded before all
# else, so that its names lie at the bottom of the heap and not between what is to be one free block later.
# Not the display: with its names too the table of them would double for a node with tubes or a radar, which takes 12 kB.
_RARE = (
    "zaehlwerk_protocol.counts",
    "zaehlwerk_protocol.status",
    "zaehlwerk_protocol.notes",
    "zaehlwerk_protocol.backfill",
    "zaehlwerk_protocol.alarm",
    "zaehlwerk_protocol.command",
    "zaehlwerk_protocol.answer",
    "app.report_counts",
    "app.report_status",
    "app.report_noted",
    "app.report_backfill",
    "app.report_alarm",
    "app.commands",
    "app.asked",
    "app.config",
    "app.parts",
    "app.restart",
    "app.probation",
    "app.trial",
    "app.led",
    "app.unplaced",
    "app.epoch_record",
    "app.alarm_news",
    "app.silences",
    "app.fit",
    "lorawan.transaction",
    "lorawan.join",
    "lorawan.join_round",
    "lorawan.frames",
    "lorawan.crypto",
    "lorawan.nonces",
    "lorawan.session_record",
    "lorawan.mac_commands",
)


def load():
    """Import all that stays."""
    for name in _RARE:
        before = set(sys.modules)
        __import__(name)
        # With what it imports itself; what stays of that comes in its turn. Packages are only names.
        unload(*[new for new in sys.modules if new not in before and "." in new])
        del before
        gc.collect()
    for name in _IN_ORDER:
        __import__(name)
