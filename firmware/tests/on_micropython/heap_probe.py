"""Prints the node's live heap in bytes, fakes taken off: `boot N` after the start, `most N` over a day. Run on 32 bit."""

import gc
import sys

sys.path[:0] = sys.argv[1:]

from world import install  # noqa: E402

install()

import os  # noqa: E402

import fake_flash  # noqa: E402
import fake_machine  # noqa: E402

gc.collect()
BASE = gc.mem_alloc()


def live():
    fake_machine.driven.clear()  # the fake's own memory
    gc.collect()
    return gc.mem_alloc() - BASE


import asyncio  # noqa: E402
import random  # noqa: E402

from app import modules, settings  # noqa: E402

document = settings.derive(
    settings.validate(
        {
            "dev_eui": "70b3d57ed0000001",
            "join_eui": "0000000000000000",
            "app_key": bytes(range(16)).hex(),
            "board": "virtual",
            "channels": [{"class": "bicycle", "pin": 4 + i, "ok_pin": 20 + i} for i in range(6)],
        }
    )
)
del settings
modules.unload("app.settings")
modules.unload_frames()
modules.load()
before = live()
import fake_network  # noqa: E402

FAKE = live() - before
from app.node import Node  # noqa: E402

network = fake_network.Network(bytes(range(16)), 1780007400)


class Board:
    PCNT_UNITS = 8
    radio = staticmethod(lambda: network)
    battery_mv = staticmethod(lambda: None)
    temperature = staticmethod(lambda: 215)


os.mkdir("state")
node = Node(document, None, Board, random.randrange, os.urandom)
assert fake_flash
assert fake_machine


async def between_frames():
    """What the frames take that are being sent at some time, `zaehlwerk bench node` tells."""
    async with node.quiet:
        return live() - FAKE


async def main():
    task = asyncio.create_task(node.run())
    await asyncio.sleep(30)
    most = await between_frames()
    print("boot", most)
    for _ in range(48):
        await asyncio.sleep(1800)
        for heard in (network.uplinks, network.air, network.sent, network.joins):
            heard.clear()
        most = max(most, await between_frames())
    print("most", most)
    task.cancel()


asyncio.run(main())
