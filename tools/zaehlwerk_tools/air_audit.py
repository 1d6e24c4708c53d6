"""What the air says of the nodes' frames, whatever they say themselves: no DevNonce and no frame counter twice.

A nonce or a counter that was used for two different frames breaks the network's replay protection and, with a counter,
the encryption too (LoRaWAN 1.0.4 sections 4.3.1.5 and 6.2.4). The same frame again, byte for byte, is a repetition
(NbTrans, or a confirmed uplink without its acknowledgement).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.duty_cycle import DutyCycle
from zaehlwerk_tools.simulator.scheduler import NS

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


def broken_rules(
    log: Iterable[Mapping[str, object]], duty_cycle: DutyCycle, boards: Iterable[Board]
) -> list[str]:
    """Every rule that a node broke, in words: reused nonces and counters, duty cycle, what its radio chip forbids."""
    told = [
        f"board {reuse.sender} used {reuse.what} {reuse.number} for a second frame, at {_clock(reuse.at_ns)}"
        for reuse in reused(log)
    ]
    told += [
        f"{violation.sender} was on the air for {violation.used_ns / NS:.2f} s of the hour before "
        f"{_clock(violation.at_ns)} at {violation.frequency / 1e6:.3f} MHz, where {violation.allowed_ns / NS:.2f} s are allowed"
        for violation in duty_cycle.violations
    ]
    told += [
        f"{board.name}, radio chip, {_clock(violation.at_ns)}: {violation.what}"
        for board in boards
        for violation in board.radio.violations
    ]
    return told


def _clock(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / NS, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"
