"""Every value that a real server draws at random, drawn from the seed instead: the same seed gives the same bytes.

Each kind of value has a sequence of its own, so that what happens in one place does not shift the values of another.
"""

from __future__ import annotations

import random
import uuid


class Identities:
    """Random values from a seed. A test that replays a recording hands in one that yields the recorded values."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sequences: dict[str, random.Random] = {}

    def uuid(self, kind: str) -> str:
        """The next UUID (version 4) of a kind such as `tenant` or `deduplication`."""
        return str(uuid.UUID(int=self._of(kind).getrandbits(128), version=4))

    def dev_addr(self, dev_eui: str) -> int:
        """The next DevAddr of a device: 25 random bits behind NetID 000000's prefix (TS002, NwkAddr of type 0)."""
        return self._of(f"dev_addr {dev_eui}").getrandbits(25)

    def uplink_id(self, gateway_id: str) -> int:
        """32 bits that a gateway gives to an uplink."""
        return self._of(f"uplink {gateway_id}").getrandbits(32)

    def context(self, gateway_id: str) -> bytes:
        """Four bytes of a gateway's own, handed back with the downlink (its internal time, in real ones)."""
        return self._of(f"context {gateway_id}").randbytes(4)

    def downlink_id(self) -> int:
        """32 bits that the server gives to a downlink."""
        return self._of("downlink").getrandbits(32)

    def choose_gateway(self, gateways: list[str]) -> str:
        """One of the gateways that are good enough for a downlink."""
        return self._of("gateway").choice(gateways)

    def secret(self) -> bytes:
        """32 bytes that sign the API keys."""
        return self._of("secret").randbytes(32)

    def _of(self, kind: str) -> random.Random:
        if kind not in self._sequences:
            self._sequences[kind] = random.Random(f"{self._seed} {kind}")
        return self._sequences[kind]
