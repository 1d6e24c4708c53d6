"""A port for a server that a tool starts."""

import random
import socket

from zaehlwerk_tools.errors import ZaehlwerkError

HOST = "127.0.0.1"
_PORTS = (10_000, 32_000)
"""Below those that systems give to outgoing connections: a server that was killed finds its own free again."""
_TRIES = 1000


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens now. Raises ZaehlwerkError if none is found."""
    dice = random.SystemRandom()
    for _ in range(_TRIES):
        port = dice.randrange(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ZaehlwerkError(f"none of {_TRIES} ports of {HOST} that were tried is free")
