"""The nodes of a run in front of a real network server: nobody has had their identities before, and they report soon."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import replace

from zaehlwerk_tools.city_node import CityNode
from zaehlwerk_tools.city_table import Station
from zaehlwerk_tools.gateway_backend.identity import RunIdentity
from zaehlwerk_tools.gateway_backend.played_day import STAGGER_S
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.simulator.board_spec import BoardSpec
from zaehlwerk_tools.simulator.scheduler import NS

_SETTINGS = "settings.json"
_FIRST_OFFSET_S, _OFFSETS, _STEP_S = 10, 60, 7
"""Nodes report within about a minute, each at a time of its own: somebody waits for it. In a city they take their time."""


def nodes_of(stations: Iterable[Station], identity: RunIdentity) -> list[CityNode]:
    """A node for each station, with a DevEUI of this run and a random key: the server may be anybody's."""
    return [
        CityNode(number, station, identity.dev_eui(number), secrets.token_bytes(16))
        for number, station in enumerate(stations, 1)
    ]


def board_of(node: CityNode, plan: Plan, begin_ns: int) -> BoardSpec:
    """Its board, switched on in its turn from `begin_ns` (UTC Unix nanoseconds) on."""
    spec = node.board(plan)
    settings = json.loads(spec.files[_SETTINGS])
    settings["uplink_offset_s"] = _FIRST_OFFSET_S + node.number * _STEP_S % _OFFSETS
    return replace(
        spec,
        files={**spec.files, _SETTINGS: json.dumps(settings).encode()},
        boot_ns=begin_ns + (node.number - 1) * STAGGER_S * NS,
    )
