"""Which peers there are, and how each is had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zaehlwerk_tools.bridge_bench.peers.benthos import Benthos, Way, fetch_benthos
from zaehlwerk_tools.bridge_bench.peers.naive_peer import Naive
from zaehlwerk_tools.bridge_bench.peers.node_red import NodeRed, fetch_node_red
from zaehlwerk_tools.bridge_bench.peers.peer import Peer


def _benthos(checkout: Path) -> Sequence[Peer]:
    program = fetch_benthos(checkout)
    return [Benthos(program, way) for way in Way]


PEERS: Mapping[str, Callable[[Path], Sequence[Peer]]] = {
    "naive": lambda _: [Naive()],
    "benthos": _benthos,
    "node-red": lambda checkout: [NodeRed(fetch_node_red(checkout))],
}
"""By the name that is asked for: given the checkout, the contestants. Raises PeerMissing where it cannot be had."""
