"""The boards that a simulated city can be made of: what is soldered to them, and the firmware's file for them."""

from __future__ import annotations

from dataclasses import dataclass

from zaehlwerk_tools.simulator.hardware import Hardware
from zaehlwerk_tools.simulator.hardware_sx1262 import HELTEC_V3, T3_S3
from zaehlwerk_tools.simulator.hardware_sx1276 import T3_V16, T_BEAM_AXP192, T_BEAM_AXP2101


@dataclass(frozen=True, slots=True)
class KnownBoard:
    """`name` is how a command line calls it, `file` the module of firmware/boards that drives it."""

    name: str
    file: str
    hardware: Hardware


KNOWN_BOARDS = {
    board.name: board
    for board in (
        KnownBoard("heltec_v3", "heltec_v3", HELTEC_V3),
        KnownBoard("t3_s3", "t3_s3", T3_S3),
        KnownBoard("t3_v16", "t3_v16", T3_V16),
        KnownBoard("t_beam_v11", "t_beam", T_BEAM_AXP192),
        KnownBoard("t_beam_v12", "t_beam", T_BEAM_AXP2101),
    )
}
