"""Which epoch a frame belongs to: count frames carry only its generation, status frames name the epoch to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from zaehlwerk_protocol.state import GENERATION


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of a node's totals, and when a status frame first named it."""

    chain: int
    epoch: int
    generation: int
    interval_s: int
    named_ns: int


def epoch_of(generation: int, received_ns: int, epochs: Sequence[Epoch]) -> Epoch | None:
    """The epoch of a frame received at `received_ns`; None if no status frame has named it yet.

    `epochs`: all of the node, in the order in which they were named. A frame with the generation that follows the
    present one belongs to an epoch still to be named, not to one of four generations ago.
    """
    named = [epoch for epoch in epochs if epoch.named_ns <= received_ns]
    coming = epochs[len(named)] if len(named) < len(epochs) else None
    if named and named[-1].generation == generation:
        return named[-1]
    if coming is not None and coming.generation == generation:
        return coming
    if named and (named[-1].generation + 1) & GENERATION == generation:
        return None
    return next((epoch for epoch in reversed(named) if epoch.generation == generation), None)
