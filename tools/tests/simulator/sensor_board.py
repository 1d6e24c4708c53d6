"""A virtual board whose program reads the node's own sensors once a second, disturbed or not, and prints what they tell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zaehlwerk_protocol
from tools.tests.simulator.small_city import ROOT, START_NS, City
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

IDENTITY = {
    "dev_eui": "70b3d57ed0000001",
    "join_eui": "0000000000000000",
    "app_key": "000102030405060708090a0b0c0d0e0f",
    "board": "heltec_v3",
}
FIRST_NS = START_NS + 2 * NS
"""From here on the sensors watch, and passages may come."""

DISTURBANCES = {
    "nothing": "",
    # As the node stores its records, a file and a rename, but one that takes a block of its own.
    "flash": """
async def disturb():
    while True:
        with open("totals.new", "wb") as file:
            file.write(bytes(1500))
        os.rename("totals.new", "totals")
        await asyncio.sleep_ms(random.randrange(300, 900))
""",
    "one collection": """
async def disturb():
    await asyncio.sleep(4)
    gc.collect()
""",
    "garbage": """
async def disturb():
    while True:
        gc.collect()
        await asyncio.sleep_ms(random.randrange(100, 300))
""",
}

PROGRAM = """
import asyncio, gc, json, os, random
from app import settings
from counting.inputs import Inputs
with open("settings.json") as file:
    channels = settings.validate(json.load(file))["channels"]
inputs = Inputs(channels, {units})
inputs.start()
{disturb}
async def main():
    if {disturbed}:
        asyncio.create_task(disturb())
    for _ in range({readings}):
        await asyncio.sleep({every_s})
        counts, seen = inputs.read()
        print(json.dumps([counts, seen, inputs.health, inputs.flow()]))
asyncio.run(main())
"""


def program(seconds: float, disturbance: str = "nothing", units: int = 8, every_s: int = 1) -> str:
    """The board's main.py."""
    return PROGRAM.format(
        units=units,
        disturb=DISTURBANCES[disturbance],
        disturbed=disturbance != "nothing",
        readings=round(seconds / every_s),
        every_s=every_s,
    )


def files(*channels: Mapping[str, Any]) -> dict[str, bytes]:
    """The board's files, for channels as in a settings.json."""
    return {"settings.json": json.dumps(IDENTITY | {"channels": list(channels)}).encode()}


def sensor_tree(folder: Path) -> Any:
    """Builds trees of the node's sensors around a program."""
    trees: dict[str, NodeTree] = {}

    def build(text: str) -> NodeTree:
        if text not in trees:
            firmware = folder / f"firmware-{len(trees)}"
            shutil.copytree(ROOT / "firmware" / "counting", firmware / "counting")
            (firmware / "app").mkdir()
            for name in ("__init__.py", "settings.py"):
                shutil.copy(ROOT / "firmware" / "app" / name, firmware / "app" / name)
            shutil.copytree(Path(zaehlwerk_protocol.__file__).parent, firmware / "zaehlwerk_protocol")
            (firmware / "main.py").write_text(text)
            trees[text] = build_tree(firmware, None, folder / "cache")
        return trees[text]

    return build


@dataclass(frozen=True)
class Told:
    """What the sensors told, reading by reading: counts, observed ms and health per channel, and the flow."""

    readings: Sequence[Any]

    @property
    def counts(self) -> list[int]:
        """Per channel, of all readings."""
        return [sum(column) for column in zip(*(counts for counts, *_ in self.readings), strict=True)]

    @property
    def observed_ms(self) -> list[int]:
        return [sum(column) for column in zip(*(seen for _, seen, *_ in self.readings), strict=True)]

    @property
    def health(self) -> list[int]:
        """All codes that were ever told."""
        codes = [0] * len(self.readings[0][2])
        for reading in self.readings:
            codes = [a | b for a, b in zip(codes, reading[2], strict=True)]
        return codes

    def flows(self, channel: int) -> list[Any]:
        """(mean, v85, occupancy) of each reading."""
        return [reading[3][channel] for reading in self.readings]


def watch(
    city: City,
    inputs: PulseInputs,
    *channels: Mapping[str, Any],
    seconds: float,
    disturbance: str = "nothing",
    units: int = 8,
    every_s: int = 1,
    **changes: Any,
) -> Told:
    """Run a board with these sensors for so long."""
    board = city.add(program(seconds, disturbance, units, every_s), inputs, files=files(*channels), **changes)
    city.run(seconds + 5)
    return Told([json.loads(line) for line in city.printed(board) if line.startswith("[")])
