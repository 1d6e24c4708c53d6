"""Zählwerk's node: load the settings, count, report. Runs at power-on; see firmware/README.md."""

import asyncio
import gc
import os
import random
import sys

from app import modules
from counting import SensorError

# While the node is put together it is collected often: what stays lies close together then, and leaves large gaps to
# the code that comes and goes. Afterwards only where it cannot disturb, or when there is no room left.
gc.threshold(2048)
try:
    os.mkdir("state")
except OSError:
    pass  # it is there


def _settings():
    """(settings, trouble); the code that read them leaves the heap afterwards."""
    from app import settings

    try:
        document, trouble = settings.load("settings.json", "state/settings.json")
        return settings.derive(document), trouble
    finally:
        modules.unload("app.settings")
        modules.unload_frames()


def _start():
    """The node as the settings say."""
    document, trouble = _settings()
    try:
        board = getattr(__import__("boards." + document["board"]), document["board"])
    except ImportError as error:
        raise ValueError("settings.json: board: boards/%s.py: %s" % (document["board"], error))
    modules.load()
    from app.node import Node

    return Node(document, trouble, board, random.randrange, os.urandom)


try:
    node = _start()
except (ValueError, SensorError) as error:
    print("zaehlwerk: cannot start:", error)
    sys.exit(2)
gc.threshold(-1)
asyncio.run(node.run())
