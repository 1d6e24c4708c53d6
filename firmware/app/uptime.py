"""Milliseconds since start that never wrap, from `ticks_ms`, which wraps every 2^30 ms (12.4 days) on the ESP32."""

import time


class Uptime:
    """Call it for the milliseconds since it was made. It must be called at least every 2^29 ms (6.2 days)."""

    def __init__(self):
        self._last = time.ticks_ms()
        self._ms = 0

    def __call__(self):
        """Now, in milliseconds."""
        now = time.ticks_ms()
        self._ms += time.ticks_diff(now, self._last)
        self._last = now
        return self._ms
