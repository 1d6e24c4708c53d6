"""How long each sub-band must rest, so that no hour holds more than its share of 1/n (ETSI EN 300 220-1, duty cycle).

To rest for n - 1 times the airtime is not enough: an hour may begin with one frame and end with another. So each frame
takes its part of the hour as if the hour's share were less by the longest frame that there is: all frames but the last
one of any hour then leave room for that. It needs one number per sub-band. An hour's rest is always enough. DutyCycleReq
demands airtime times (2^n - 1) of all sub-bands together (LoRaWAN 1.0.4 section 5.3). Times are milliseconds of uptime.
"""

from micropython import const

from lorawan.region import sub_band

_HOUR_MS = const(3600000)


class DutyCycle:
    """The ledger of one region's sub-bands. regional: whether their shares are kept; only a test switches it off."""

    regional = True

    def __init__(self, region, now=0, spent_us=0):
        """spent_us: airtime that a frame before the restart may have taken, in every sub-band."""
        self._region = region
        self._free = [now + self._rest_ms(spent_us, band[2]) for band in region.SUB_BANDS]
        self._end, self._airtime_us = now, spent_us

    def free_at(self, frequency, max_duty=0):
        """Uptime at which `frequency` may be sent on again; max_duty is the exponent n of DutyCycleReq, 0 for none."""
        free = self._free[sub_band(self._region, frequency)] if self.regional else self._end
        if max_duty:
            free = max(free, self._end + (self._airtime_us * ((1 << max_duty) - 1) + 999) // 1000)
        return free

    def spend(self, now, frequency, airtime_us):
        """A frame of `airtime_us` ended now."""
        band = sub_band(self._region, frequency)
        self._free[band] = now + self._rest_ms(airtime_us, self._region.SUB_BANDS[band][2])
        self._end, self._airtime_us = now, airtime_us

    def _rest_ms(self, airtime_us, n):
        share_ms = _HOUR_MS // n - self._region.LONGEST_MS
        turn_ms = (airtime_us * (_HOUR_MS // 1000) + share_ms - 1) // share_ms
        return min(_HOUR_MS, turn_ms - airtime_us // 1000)
