"""Frames with something wrong in them: what a fuzz test feeds a reader, reproducible by its dice."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from protocol.tests.micropython import ROOM

# Heads that announce much, nest or break off; what a random byte would rarely hit.
_NASTY = tuple(
    bytes.fromhex(text)
    for text in (
        "9b1000000000000000",
        "5bffffffffffffffff",
        "1bffffffffffffffff",
        "3bffffffffffffffff",
        "8181818181",
        "9f",
        "5f",
        "f6",
        "f4",
        "5818",
        "1817",
        "c249010000000000000000",
        "ff" * 10,
        "80" * 10,
    )
)


def known_frames() -> list[tuple[int, bytes]]:
    """(FPort, bytes) of all valid vectors."""
    found: list[tuple[int, bytes]] = []
    for file in sorted((ROOM / "vectors").glob("*.json")):
        content = json.loads(file.read_text())
        if content["port"] is not None:
            found += [(content["port"], bytes.fromhex(vector["hex"])) for vector in content["valid"]]
    return found


def mutated(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """`data` with one to three faults; `other` is a frame to splice in."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        at = dice.randrange(len(changed) + 1)
        fault = dice.randrange(8)
        if fault == 0 and changed:
            changed[at % len(changed)] ^= 1 << dice.randrange(8)
        elif fault == 1 and changed:
            changed[at % len(changed)] = dice.randrange(256)
        elif fault == 2:
            changed.insert(at, dice.randrange(256))
        elif fault == 3:
            del changed[at : at + dice.randint(1, 3)]
        elif fault == 4:
            del changed[at:]
        elif fault == 5:
            changed[at:at] = dice.choice(_NASTY)
        elif fault == 6:
            changed[at:] = other[dice.randrange(len(other)) :]
        elif changed:
            # One element more or less than the head says.
            changed[0] = (changed[0] + dice.choice((-1, 1))) & 0xFF
    return bytes(changed)


def mutants(seed: int, number: int) -> Iterator[tuple[int, bytes]]:
    """`number` pairs of FPort and bytes: frames with faults, three in four on the port where they belong."""
    dice = random.Random(seed)
    known = known_frames()
    ports = sorted({port for port, _ in known})
    for _ in range(number):
        port, data = dice.choice(known)
        yield (
            port if dice.randrange(4) else dice.choice([*ports, 7]),
            mutated(dice, data, dice.choice(known)[1]),
        )
