"""What the air says of the nodes' frames, whatever they say themselves: no DevNonce and no frame counter twice.

A nonce or a counter that was used for two different frames breaks the network's replay protection and, with a counter,
the encryption too (LoRaWAN 1.0.4 sections 4.3.1.5 and 6.2.4). The same frame again, byte for byte, is a repetition
(NbTrans, or a confirmed uplink without its acknowledgement).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_JOIN_REQUEST, _UNCONFIRMED_UP, _CONFIRMED_UP = 0, 2, 4
"""MType (LoRaWAN 1.0.4 section 4.2.1)."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Board `sender` used the `number` of a `what` ("DevNonce" or "FCnt") for a second, different frame."""

    sender: int
    at_ns: int
    what: str
    number: int


def reused(log: Iterable[Mapping[str, object]]) -> list[Reuse]:
    """Every reuse in the air's log; entries in the order of time.

    Counters are those of an address: the network draws a new one for each session.
    """
    nonces: dict[tuple[int, bytes], bytes] = {}
    counters: dict[tuple[int, bytes], dict[int, bytes]] = {}
    found: list[Reuse] = []
    for entry in log:
        sender = entry["sender"]
        if entry["direction"] != "up" or not isinstance(sender, int):
            continue
        phy = bytes.fromhex(str(entry["payload"]))
        at_ns = int(str(entry["end_ns"]))
        kind = phy[0] >> 5
        if kind == _JOIN_REQUEST:
            nonce = phy[17:19]
            if nonces.setdefault((sender, phy[1:17] + nonce), phy) is not phy:
                found.append(Reuse(sender, at_ns, "DevNonce", int.from_bytes(nonce, "little")))
        elif kind in {_UNCONFIRMED_UP, _CONFIRMED_UP}:
            counter = int.from_bytes(phy[6:8], "little")
            used = counters.setdefault((sender, phy[1:5]), {})
            if used.setdefault(counter, phy) != phy:
                found.append(Reuse(sender, at_ns, "FCnt", counter))
    return found
