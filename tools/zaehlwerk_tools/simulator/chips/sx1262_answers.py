"""What an SX1262 clocks out: SX1261/2 data sheet rev. 2.1, sections 13.2 to 13.6."""

from __future__ import annotations

from collections.abc import Callable

from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    COMMANDS,
    MODE_RX,
    READ_BUFFER,
    READ_REGISTER,
)
from zaehlwerk_tools.simulator.chips.sx1262_modes import BUFFER_SIZE, State
from zaehlwerk_tools.simulator.chips.sx1262_reports import Reports, rssi_code

_RESERVED = 0x80
"""Bit 7 of the status byte is reserved. Parts are seen to set it everywhere but in the answer to GetStatus."""


class Answers:
    """The bytes on MISO."""

    def __init__(self, state: State, reports: Reports) -> None:
        self._state = state
        settings, interrupts = state.settings, state.interrupts
        self._fixed: dict[str, Callable[[int], bytes]] = {
            "GetStatus": lambda at_ns: bytes((self.status & ~_RESERVED,)),
            "GetIrqStatus": lambda at_ns: interrupts.flags.to_bytes(2, "big"),
            "GetPacketType": lambda at_ns: bytes((settings.packet_type or 0,)),
            "GetRxBufferStatus": lambda at_ns: reports.buffer_status,
            "GetPacketStatus": lambda at_ns: reports.packet_status,
            "GetStats": lambda at_ns: reports.statistics,
            "GetDeviceErrors": lambda at_ns: state.errors.to_bytes(2, "big"),
            "GetRssiInst": self._rssi,
        }

    @property
    def status(self) -> int:
        """The status byte (section 13.5.1), which comes out wherever a command's answer does not."""
        return _RESERVED | self._state.mode << 4 | self._state.status << 1

    def during(self, at_ns: int, sent: bytearray, before: int) -> bytes:
        """What came out while all but the first `before` bytes of `sent` went in."""
        count = len(sent) - before
        out = bytearray((self.status,)) * count
        command = COMMANDS.get(sent[0])
        if command is None or not command.answer_at or len(sent) <= command.answer_at:
            return bytes(out)
        reply = self._reply(at_ns, sent, len(sent) - command.answer_at)
        first = max(before, command.answer_at)
        out[first - before :] = reply[first - command.answer_at :].ljust(len(sent) - first, b"\0")[
            : len(sent) - first
        ]
        return bytes(out)

    def _reply(self, at_ns: int, sent: bytearray, count: int) -> bytes:
        if sent[0] == READ_REGISTER:
            return self._state.registers.read(sent[1] << 8 | sent[2], count)
        if sent[0] == READ_BUFFER:
            return bytes(self._state.buffer[(sent[1] + i) % BUFFER_SIZE] for i in range(count))
        return self._fixed[COMMANDS[sent[0]].name](at_ns)

    def _rssi(self, at_ns: int) -> bytes:
        state = self._state
        if state.mode != MODE_RX or state.settings.frequency is None:
            return b"\0"
        return bytes((rssi_code(state.antenna.noise_dbm(at_ns, state.settings.frequency)),))
