"""What a bridge and the process of its store say to each other: pickles, each with its length before it.

They go through a pair of sockets of which nobody else has hold (docs.python.org/3/library/pickle.html). A request is
(function, arguments, keywords) and is answered by (done, value or exception), in the order of the requests. A function
None opens the store: the first argument does it.
"""

import copyreg
import functools
import pickle
import signal
import struct
from types import MappingProxyType

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that a terminal or a service manager sends to all processes of a program: they are for the bridge alone."""
LENGTH = struct.Struct(">Q")
"""Bytes of the pickle that follows."""


def packed(what: object) -> bytes:
    """Return `what` as it goes through the socket. Raises what pickling raises."""
    body = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


@functools.lru_cache(maxsize=1000)
def _unchanging(items: tuple[tuple[str, str], ...]) -> MappingProxyType[str, str]:
    """The mapping of `items`, the same for the same: a device's tags are known again by that (`stations.Stations.still`)."""
    return MappingProxyType(dict(items))


copyreg.pickle(MappingProxyType, lambda mapping: (_unchanging, (tuple(mapping.items()),)))
