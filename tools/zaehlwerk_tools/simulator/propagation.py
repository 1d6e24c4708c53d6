"""Where devices and gateways stand, and how strong one hears the other: a log-distance model without surprises."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

# Petäjäjärvi et al., "On the coverage of LPWANs", ITST 2015 (Oulu, 868 MHz, on land).
_LOSS_1KM_DB = 128.95
_LOSS_PER_DECADE_DB = 23.2

_NOISE_DBM_HZ = -174.0
_NOISE_FIGURE_DB = 6.0
_SNR_MAX_DB = 12.0
"""A concentrator reports no more, however near the device."""

REQUIRED_SNR_DB = {7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
"""SX1276 data sheet rev. 7, table 13."""


@dataclass(frozen=True, slots=True)
class Place:
    """Metres east and north of the city's middle."""

    x_m: float
    y_m: float


def somewhere(key: str, radius_m: float) -> Place:
    """A place within the radius that follows from `key` alone."""
    draw = random.Random(key)
    angle, distance = draw.uniform(0, 2 * math.pi), radius_m * math.sqrt(draw.random())
    return Place(round(distance * math.cos(angle), 1), round(distance * math.sin(angle), 1))


def path_loss_db(a: Place, b: Place) -> float:
    """Loss between two places; nearer than 10 m counts as 10 m."""
    distance = max(10.0, math.hypot(a.x_m - b.x_m, a.y_m - b.y_m))
    return _LOSS_1KM_DB + _LOSS_PER_DECADE_DB * math.log10(distance / 1000)


def snr_db(rssi_dbm: float, bandwidth: int) -> float:
    """Signal to thermal noise of a receiver with the bandwidth, Hz."""
    return min(_SNR_MAX_DB, rssi_dbm - (_NOISE_DBM_HZ + 10 * math.log10(bandwidth) + _NOISE_FIGURE_DB))
