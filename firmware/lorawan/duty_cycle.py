"""How long each sub-band must rest: after every frame, its airtime times (n - 1) for a share of 1/n.

That is stricter than the hour's average of ETSI EN 300 220, and needs one number per sub-band. DutyCycleReq demands
the same of all of them together (LoRaWAN 1.0.4 section 5.3). Times are milliseconds of uptime.
"""

from lorawan.region import sub_band


class DutyCycle:
    """The ledger of one region's sub-bands. regional: whether their shares are kept; only a test switches it off."""

    regional = True

    def __init__(self, region, now=0, spent_us=0):
        """spent_us: airtime that a frame before the restart may have taken, in every sub-band."""
        self._region = region
        self._free = [now + _rest_ms(spent_us, band[2]) for band in region.SUB_BANDS]
        self._end, self._airtime_us = now, spent_us

    def free_at(self, frequency, max_duty=0):
        """Uptime at which `frequency` may be sent on again; max_duty is the exponent n of DutyCycleReq, 0 for none."""
        free = self._free[sub_band(self._region, frequency)] if self.regional else self._end
        if max_duty:
            free = max(free, self._end + _rest_ms(self._airtime_us, 1 << max_duty))
        return free

    def spend(self, now, frequency, airtime_us):
        """A frame of `airtime_us` ended now."""
        band = sub_band(self._region, frequency)
        self._free[band] = now + _rest_ms(airtime_us, self._region.SUB_BANDS[band][2])
        self._end, self._airtime_us = now, airtime_us


def _rest_ms(airtime_us, n):
    return (airtime_us * (n - 1) + 999) // 1000
