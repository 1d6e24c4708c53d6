"""Which epoch a frame belongs to: count frames carry only its generation, status frames name the epoch to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

GENERATIONS = 4


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of a node's totals, and when a status frame first named it."""

    chain: int
    dev_eui: str
    epoch: int
    generation: int
    interval_s: int
    named_ns: int
    max_rate: int  # pulses per hour and channel


def in_order(epochs: Sequence[Epoch]) -> list[Epoch]:
    """All of a node as they followed each other, from the order in which they were named.

    A status frame of an epoch may be heard for the first time when the next one has been named already: the earlier one
    is then known since the later one is. Its generation shows it, for that steps back by one.
    """
    found: list[Epoch] = []
    for epoch in sorted(epochs, key=lambda epoch: (epoch.named_ns, epoch.epoch)):
        late = bool(found) and (found[-1].generation - epoch.generation) % GENERATIONS == 1
        if late:
            found.insert(-1, replace(epoch, named_ns=found[-1].named_ns))
        else:
            found.append(epoch)
    return found


def epoch_of(generation: int, received_ns: int, epochs: Sequence[Epoch]) -> Epoch | None:
    """The epoch of a frame received at `received_ns`; None if that cannot be told before another status frame came.

    `epochs`: all of the node, in order. A frame comes while its epoch is the newest, or
    before its epoch is named, or as a late copy of the one before. With a generation further back it is rather of an
    epoch still to be named than of one long past, until the naming of a later epoch has shown that it is not.
    """
    named = [epoch for epoch in epochs if epoch.named_ns <= received_ns]
    coming = epochs[len(named) :]
    steps_back = (named[-1].generation - generation) % GENERATIONS if named else None
    if steps_back == 0:
        return named[-1]
    earlier = next((epoch for epoch in reversed(named) if epoch.generation == generation), None)
    if steps_back == 1 and earlier is not None:
        return earlier
    later = next((epoch for epoch in coming if epoch.generation == generation), None)
    return later or (earlier if coming else None)
