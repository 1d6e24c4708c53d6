"""How long each sub-band must rest: after every frame, its airtime times (n - 1) for a share of 1/n.

That is stricter than the hour's average of ETSI EN 300 220, and needs one number per sub-band. Times are
milliseconds of uptime.
"""

from lorawan.region import sub_band


class DutyCycle:
    """The ledger of one region's sub-bands, and of DutyCycleReq over all of them."""

    def __init__(self, region, now=0, spent_us=0):
        """spent_us: airtime that a frame before the restart may have taken, in every sub-band."""
        self._region = region
        self._free = [now + _rest_ms(spent_us, band[2]) for band in region.SUB_BANDS]
        self._all = now

    def free_at(self, frequency):
        """Uptime at which `frequency` may be sent on again."""
        return max(self._free[sub_band(self._region, frequency)], self._all)

    def spend(self, now, frequency, airtime_us, max_duty=0):
        """A frame of `airtime_us` ended now; max_duty is the exponent of DutyCycleReq."""
        band = sub_band(self._region, frequency)
        self._free[band] = now + _rest_ms(airtime_us, self._region.SUB_BANDS[band][2])
        if max_duty:
            self._all = now + _rest_ms(airtime_us, 1 << max_duty)


def _rest_ms(airtime_us, n):
    return (airtime_us * (n - 1) + 999) // 1000
