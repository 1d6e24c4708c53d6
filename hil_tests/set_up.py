"""What a node at a rig is told, and the network of it: the same for virtual and real boards."""

from __future__ import annotations

from collections.abc import Sequence

from hil_tests.interface import APP_KEY, INTERVAL_S, JOIN_EUI, Start
from zaehlwerk_tools.simulator.known_boards import KnownBoard


def settings(start: Start, dev_eui: str, board: KnownBoard, inputs: Sequence[int]) -> dict[str, object]:
    """settings.json; the pins are the rig's, in the order of the channels."""
    channels = [{**channel, "pin": pin} for channel, pin in zip(start.channels, inputs, strict=False)]
    if len(channels) < len(start.channels):
        raise ValueError(f"{len(start.channels)} channels for {len(inputs)} inputs")
    return {
        "dev_eui": dev_eui,
        "join_eui": JOIN_EUI,
        "app_key": APP_KEY.hex(),
        "board": board.file,
        "interval_s": INTERVAL_S,
        "channels": channels,
        **start.settings,
    }


def tags(start: Start) -> dict[str, str]:
    """What the bridge reads of a device."""
    return {
        "station": "Rig",
        "channels": ",".join(f"c{n}" for n in range(len(start.channels))),
        "classes": ",".join(str(channel["class"]) for channel in start.channels),
        "directions": ",".join(str(channel.get("direction", "unknown")) for channel in start.channels),
    }
