"""What passed between the virtual gateways and the network server, counted, and told in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from chirpstack_api import gw

from zaehlwerk_tools.gateway_backend.frame_kinds import (
    DEVICE_TIME_ANSWER,
    JOIN_ACCEPT,
    JOIN_REQUEST,
    LINK_ADR_REQUEST,
    mac_commands,
    message_type,
)
from zaehlwerk_tools.gateway_backend.gateway_stats import outcome

_MS = 1_000_000


@dataclass(slots=True)
class Exchange:
    """Counts of one run."""

    receptions: int = 0
    """Uplinks told to the server: one for each gateway that heard a frame."""
    frames: int = 0
    """Frames that any gateway heard."""
    join_requests: int = 0
    commands: int = 0
    """Downlinks that the server asked for."""
    join_accepts: int = 0
    adr_requests: int = 0
    time_answers: int = 0
    unreadable: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """What became of the commands, by gw.TxAckStatus: OK if any of the items was sent."""
    least_margin_ns: int | None = None
    """How long before its start the tightest downlink came that was sent."""
    late_ns: int = 0
    """How late after its end, at most, an uplink was told: what this machine could not keep up with."""
    first_uplink_ns: int | None = None
    _last: tuple[int, bytes] | None = None

    def heard(self, end_ns: int, phy: bytes, now_ns: int) -> None:
        """A gateway heard a frame that ended at `end_ns`, and told of it at `now_ns`."""
        self.receptions += 1
        self.late_ns = max(self.late_ns, now_ns - end_ns)
        if self.first_uplink_ns is None:
            self.first_uplink_ns = end_ns
        if self._last != (end_ns, phy):
            self._last = end_ns, phy
            self.frames += 1
            self.join_requests += message_type(phy) == JOIN_REQUEST

    def commanded(self, command: gw.DownlinkFrame, ack: gw.DownlinkTxAck) -> None:
        """A command was answered."""
        self.commands += 1
        self.statuses[outcome(ack)] += 1
        phy = command.items[0].phy_payload if command.items else b""
        if message_type(phy) == JOIN_ACCEPT:
            self.join_accepts += 1
        commands = mac_commands(phy)
        self.adr_requests += LINK_ADR_REQUEST in commands
        self.time_answers += DEVICE_TIME_ANSWER in commands

    def sent(self, start_ns: int, now_ns: int) -> None:
        """A downlink was taken at `now_ns` that begins at `start_ns`."""
        margin = start_ns - now_ns
        self.least_margin_ns = margin if self.least_margin_ns is None else min(self.least_margin_ns, margin)

    @property
    def too_late(self) -> int:
        """Downlinks that came when both of their windows had begun."""
        return self.statuses["TOO_LATE"]

    def numbers(self) -> Mapping[str, int | None]:
        """All of it for machines."""
        return {
            "receptions": self.receptions,
            "frames": self.frames,
            "join_requests": self.join_requests,
            "commands": self.commands,
            "join_accepts": self.join_accepts,
            "adr_requests": self.adr_requests,
            "time_answers": self.time_answers,
            "too_late": self.too_late,
            "refused": self.commands - self.statuses["OK"],
            "unreadable": self.unreadable,
            "least_margin_ms": None if self.least_margin_ns is None else self.least_margin_ns // _MS,
            "late_ms": self.late_ns // _MS,
        }

    def lines(self) -> Iterator[str]:
        """What a person wants to know of it."""
        yield (
            f"uplinks to the network server: {self.frames:,} frames in {self.receptions:,} messages, "
            f"{self.join_requests:,} of them join requests"
        )
        margin = (
            "" if self.least_margin_ns is None else f"; tightest {self.least_margin_ns // _MS:,} ms ahead"
        )
        yield (
            f"downlinks from it: {self.commands:,}, {self.join_accepts:,} of them join accepts, "
            f"{self.adr_requests:,} with LinkADRReq, {self.time_answers:,} with DeviceTimeAns; "
            f"{self.too_late:,} came too late{margin}"
        )
        others = {name: n for name, n in self.statuses.items() if name not in {"OK", "TOO_LATE"}}
        if others:
            told = ", ".join(f"{count:,} {name}" for name, count in sorted(others.items()))
            yield f"downlinks that no gateway could send: {told}"
        if self.unreadable:
            yield f"commands that could not be read: {self.unreadable:,}; is the server's gw.proto another one?"
