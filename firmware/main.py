"""Zählwerk's node: load the settings, count, report. Runs at power-on; see firmware/README.md."""

import asyncio
import gc
import os
import random

from app import modules

# While the node is put together it is collected often: what stays lies close together then, and leaves large gaps to
# the code that comes and goes. Afterwards only where it cannot disturb, or when there is no room left.
gc.threshold(2048)
try:
    os.mkdir("state")
except OSError:
    pass  # it is there


def _start():
    """The node as the settings say; the code that read them leaves the heap before there is more."""
    from app import start

    try:
        document, trouble = start.settings()
        board = start.board(document)
    finally:
        modules.unload("app.start")
        del start
    modules.load()
    from app.node import Node

    return Node(document, trouble, board, random.randrange, os.urandom)


try:
    node = _start()
except Exception as error:  # noqa: BLE001 - whatever it was, the next start may fare better
    from app import start

    start.failed(error)
gc.threshold(-1)
asyncio.run(node.run())
