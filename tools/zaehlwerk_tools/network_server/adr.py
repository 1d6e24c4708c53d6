"""Adaptive data rate: what ChirpStack's `default` algorithm asks of a device. Pure arithmetic, no session.

The algorithm is Semtech's (LoRaWAN, simple rate adaptation recommended algorithm, 2016) with ChirpStack's way of
choosing NbTrans from the share of lost frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

HISTORY = 20
"""Uplinks looked at."""

STEP_DB = 3.0
"""dB of margin worth one data rate or one power step."""

_NB_TRANS = ((5.0, (1, 1, 2)), (10.0, (1, 2, 3)), (30.0, (2, 3, 3)), (float("inf"), (3, 3, 3)))
"""Up to which percentage of loss NbTrans 1, 2 or 3 becomes which."""


@dataclass(frozen=True)
class Heard:
    """One uplink in the history: its 32-bit counter, its best SNR in dB, the power index the device used."""

    f_cnt: int
    max_snr: float
    tx_power_index: int


@dataclass(frozen=True)
class Link:
    """What a LinkADRReq sets."""

    data_rate: int
    tx_power_index: int
    nb_trans: int


def ideal(
    link: Link,
    history: Sequence[Heard],
    required_snr: float,
    installation_margin: float,
    max_data_rate: int,
    max_tx_power_index: int,
) -> Link:
    """What the device should use, given what it uses (`link`) and how it was heard, newest last; SNR in dB."""
    nb_trans = _nb_trans(link.nb_trans, _lost_percent(history))
    data_rate = min(link.data_rate, max_data_rate)
    power = link.tx_power_index
    snr = max((h.max_snr for h in history), default=-999.0)
    steps = int((snr - required_snr - installation_margin) / STEP_DB)
    if steps < 0 and sum(h.tx_power_index == power for h in history) != HISTORY:
        # More power only after a full history at the present one, else it would go up and down in turn.
        return Link(data_rate, power, nb_trans)
    faster = min(max(steps, 0), max_data_rate - data_rate)
    power_steps = steps - faster
    power = min(max(power + power_steps, 0), max(max_tx_power_index, power))
    return Link(data_rate + faster, power, nb_trans)


def _lost_percent(history: Sequence[Heard]) -> float:
    if len(history) < HISTORY:
        return 0.0
    gaps = sum(b.f_cnt - a.f_cnt - 1 for a, b in itertools.pairwise(history))
    return gaps / len(history) * 100.0


def _nb_trans(current: int, lost_percent: float) -> int:
    column = min(max(current, 1), 3) - 1
    return next(row[column] for limit, row in _NB_TRANS if lost_percent < limit)
