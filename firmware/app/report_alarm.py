"""An alarm frame.

Loaded for one frame, see `modules.made`.
"""

from app.report_state import state_byte


def alarm(node, kind, raised, mask, value):
    """An alarm frame as bytes; kind, mask and value as `alarm_news.following` has them."""
    from zaehlwerk_protocol.alarm import Alarm

    it = node.intervals
    index = it.slot if it.live else it.unsynced_index
    at = node.clock.utc_ms(node.uptime()) // 1000 if node.clock.known else None
    return Alarm(index & 0xFFFF, state_byte(node), kind, raised, mask & 0xFF, at, value).encode()
