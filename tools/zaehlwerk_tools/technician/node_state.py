"""How a node is at a moment, wherever that is known from: over the cable, or through MQTT. Pure: documents in, lines out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from zaehlwerk_protocol.channel import class_name, direction_name
from zaehlwerk_tools.technician.node_observer import MARK

WIDTH = 79
"""A terminal of 80 columns wraps a line of 80 characters on Windows."""
LOW_BATTERY_MV = 3300
"""firmware/app/alarms.py raises its alarm below."""
CLOCK_ERROR_MS = 10_000
"""Likewise: intervals whose borders may be off by more are marked."""
ALARMS = ("", "stuck", "silent", "tamper", "low battery", "clock lost", "congestion")
"""Kinds by their number in frames (zaehlwerk_protocol.alarm)."""
_FAULTS = {
    128: "contact chatters",
    256: "stuck",
    512: "silent",
    1024: "counter restarted",
    2048: "sensor sends garbage",
    4096: "no signal",
}
"""The faults among the codes of firmware/counting/__init__.py."""
_NODE = 0x100


@dataclass(slots=True)
class ChannelState:
    """`count`: all that the node ever counted, or with `per_interval` the newest interval's; `new`: since its begin."""

    name: str
    count: int | None = None
    new: int | None = None
    quality: str = ""


@dataclass(slots=True)
class NodeState:
    """What is not known is None. Times are Unix seconds, UTC; `heard_at` is when what is told here was last confirmed."""

    source: str
    dev_eui: str | None = None
    per_interval: bool = False
    heard_at: float | None = None
    joined: bool | None = None
    last_frame_at: float | None = None
    rssi: int | None = None
    """dBm, at the gateway that heard it best."""
    snr: float | None = None
    """dB, likewise."""
    gateways: int | None = None
    data_rate: int | None = None
    uplinks: int | None = None
    downlinks: int | None = None
    rest_s: int | None = None
    """How long the duty cycle forbids the next frame in 868.0 to 868.6 MHz."""
    channels: list[ChannelState] = field(default_factory=list)
    interval_s: int | None = None
    interval_end: str | None = None
    battery_mv: int | None = None
    temperature_c: float | None = None
    clock_known: bool | None = None
    clock_off_s: float | None = None
    """The node's clock minus this machine's."""
    clock_error_ms: int | None = None
    firmware: str | None = None
    boots: int | None = None
    uptime_s: int | None = None
    faults: list[str] = field(default_factory=list)
    bridge: str | None = None

    def document(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self)


def seen_on_cable(line: str, port: str, now: float) -> NodeState | None:
    """The state that a line of an observer tells; None: it is a line of the node's own."""
    mark, _, text = line.rpartition(MARK)
    if not text or not line.startswith(MARK) or mark:
        return None
    try:
        told = json.loads(text)
    except ValueError:
        return None  # cut off by the cable
    return _state(told, port, now) if isinstance(told, dict) else None


def _state(told: dict[str, Any], port: str, now: float) -> NodeState:
    sent = told["sent_s"]
    temperature = told["temperature"]
    utc = told["utc"]
    return NodeState(
        source=port,
        dev_eui=told["dev_eui"],
        heard_at=now,
        joined=told["joined"],
        last_frame_at=None if sent is None else now - sent,
        data_rate=told["data_rate"],
        uplinks=told["uplinks"],
        downlinks=told["downlinks"],
        rest_s=told["rest_s"],
        channels=[
            ChannelState(name, count, new, ", ".join(_faults(codes)) or "ok")
            for name, count, new, codes in zip(
                _names(told["channels"]), told["counts"], told["since_boundary"], told["health"], strict=True
            )
        ],
        interval_s=told["interval_s"],
        battery_mv=told["battery_mv"],
        temperature_c=None if temperature is None else temperature / 10,
        clock_known=utc is not None,
        # Whole seconds, rounded down, and about half a second on the way.
        clock_off_s=None if utc is None else round(utc + 0.5 - now, 1),
        clock_error_ms=told["clock_error_ms"],
        firmware=told["firmware"],
        boots=told["boots"],
        uptime_s=told["uptime_s"],
        faults=_all_faults(told),
    )


def _names(codes: list[int]) -> list[str]:
    """Class code << 4 | direction code, as status frames have them."""
    names: list[str] = []
    for code in codes:
        name = f"{class_name(code >> 4)}-{direction_name(code & 15)}"
        same = sum(other == name or other.startswith(f"{name}-") for other in names)
        names.append(f"{name}-{same + 1}" if same else name)
    return names


def _faults(codes: int) -> list[str]:
    return [name for bit, name in _FAULTS.items() if codes & bit]


def _all_faults(told: dict[str, Any]) -> list[str]:
    found = []
    if told["radio"]:
        found.append(f"radio: {told['radio']}")
    if told["safe_mode"]:
        found.append("safe mode: only pulse sensors count")
    for kind, mask in zip(ALARMS, told["alarms"], strict=False):
        if kind and mask:
            where = [f"channel {k + 1}" for k in range(8) if mask >> k & 1]
            found.append(f"alarm {kind}" + ("" if mask & _NODE else f" ({', '.join(where)})"))
    if told["crash"]:
        found.append(f"last crash: {told['crash']}")
    if told["fault"] and not found:
        found.append("the node's fault bit is set: its settings or a sensor, see its status")
    return found


def lines_of(state: NodeState, now: float) -> list[str]:
    """The state for people, each line at most WIDTH characters."""
    heard = "nothing heard yet" if state.heard_at is None else f"as of {_ago(now - state.heard_at)}"
    whose = "" if state.dev_eui is None else f"   node {state.dev_eui}"
    lines = [f"{state.source}{whose}   {heard}"]
    if state.bridge is not None:
        lines.append(f"bridge     {state.bridge}")
    lines += [
        f"network    {_network(state, now)}",
        f"radio      {_radio(state)}",
        f"clock      {_clock(state)}",
        f"supply     {_supply(state)}",
        f"node       {_node(state)}",
        "",
        f"{'channel':<34}{'newest interval' if state.per_interval else 'counted':>16}"
        + ("" if state.per_interval else f"{'this interval':>15}")
        + "  state",
    ]
    for channel in state.channels:
        new = "" if state.per_interval else f"{_known(channel.new):>15}"
        lines.append(f"{channel.name:<34.34}{_known(channel.count):>16}{new}  {channel.quality}")
    if not state.channels:
        lines.append("nothing is known of its channels yet")
    if state.interval_end:
        lines.append(f"the newest interval ended {state.interval_end}")
    lines += ["", *(f"FAULT      {fault}" for fault in state.faults)] if state.faults else ["", "no faults"]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]


def _network(state: NodeState, now: float) -> str:
    joined = {None: "not known whether it has joined", True: "joined", False: "NOT JOINED"}[state.joined]
    parts = [joined]
    if state.last_frame_at is not None:
        parts.append(f"last frame {_ago(now - state.last_frame_at)}")
    if state.uplinks is not None:
        parts.append(f"{state.uplinks} up")
    if state.downlinks is not None:
        parts.append(f"{state.downlinks} down")
    return ", ".join(parts)


def _radio(state: NodeState) -> str:
    parts = []
    if state.data_rate is not None:
        parts.append(f"DR{state.data_rate}")
    if state.rssi is not None:
        parts.append(f"RSSI {state.rssi} dBm")
    if state.snr is not None:
        parts.append(f"SNR {state.snr:+.1f} dB")
    if state.gateways is not None:
        parts.append(f"{state.gateways} gateway{'' if state.gateways == 1 else 's'}")
    if state.rest_s is not None:
        parts.append(
            "duty cycle: may send now" if not state.rest_s else f"duty cycle: rests {state.rest_s} s more"
        )
    return ", ".join(parts) or "not known"


def _clock(state: NodeState) -> str:
    if state.clock_known is None:
        return "not known"
    if not state.clock_known:
        return "the node does not know the time yet"
    parts = []
    if state.clock_off_s is not None:
        parts.append(f"{state.clock_off_s:+.1f} s against this machine's")
    if state.clock_error_ms is not None:
        doubt = "  TOO MUCH" if state.clock_error_ms > CLOCK_ERROR_MS else ""
        parts.append(f"off by at most {state.clock_error_ms / 1000:.1f} s by its own reckoning{doubt}")
    return ", ".join(parts) or "set"


def _supply(state: NodeState) -> str:
    if state.battery_mv is None:
        supply = "mains, or not known"
    else:
        supply = f"{state.battery_mv / 1000:.2f} V" + ("  LOW" if state.battery_mv < LOW_BATTERY_MV else "")
    return supply + ("" if state.temperature_c is None else f", {state.temperature_c:.0f} °C")


def _node(state: NodeState) -> str:
    parts = [] if state.firmware is None else [f"firmware {state.firmware}"]
    if state.boots is not None:
        parts.append(f"start {state.boots}")
    if state.uptime_s is not None:
        parts.append(f"runs for {_span(state.uptime_s)}")
    if state.interval_s is not None:
        parts.append(f"intervals of {state.interval_s} s")
    return ", ".join(parts) or "not known"


def _known(number: int | None) -> str:
    return "–" if number is None else str(number)


def _ago(seconds: float) -> str:
    return "just now" if seconds < 2 else f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 172_800 else f"{whole // 86_400} days"


def utc_text(now: float) -> str:
    """Unix seconds as `2026-06-18T07:45:00Z`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
