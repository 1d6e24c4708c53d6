"""MAC commands: reading a device's, writing the server's (TS001-1.0.4 chapter 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .scheduler import NS_PER_S

LINK_CHECK = 0x02
LINK_ADR = 0x03
RX_PARAM_SETUP = 0x05
DEV_STATUS = 0x06
NEW_CHANNEL = 0x07
RX_TIMING_SETUP = 0x08
DEVICE_TIME = 0x0D
"""Command identifiers; request and answer share one."""

_UPLINK_LENGTHS = {
    LINK_CHECK: 0,
    LINK_ADR: 1,
    0x04: 0,
    RX_PARAM_SETUP: 1,
    DEV_STATUS: 2,
    NEW_CHANNEL: 1,
    RX_TIMING_SETUP: 0,
    0x09: 0,
    0x0A: 1,
    DEVICE_TIME: 0,
    0x10: 1,
    0x11: 1,
    0x12: 0,
    0x13: 1,
}
"""Bytes after the identifier in what devices send (TS001 table 10, and class B's)."""

GPS_EPOCH_UNIX_S = 315_964_800
"""1980-01-06T00:00:00Z."""

LEAP_SECONDS = 18
"""GPS time is ahead of UTC by this much since 2017 (IERS Bulletin C)."""


@dataclass(frozen=True)
class Command:
    """One MAC command: identifier and the bytes behind it."""

    cid: int
    arguments: bytes = b""

    def __bytes__(self) -> bytes:
        return bytes([self.cid]) + self.arguments


def read_uplink(data: bytes) -> list[Command]:
    """The commands of FOpts or of a decrypted FPort 0 payload; ends at the first unknown or truncated one (TS001 5)."""
    commands = []
    position = 0
    while position < len(data):
        cid = data[position]
        length = _UPLINK_LENGTHS.get(cid)
        if length is None or position + 1 + length > len(data):
            break
        commands.append(Command(cid, data[position + 1 : position + 1 + length]))
        position += 1 + length
    return commands


def gps_ns(unix_ns: int) -> int:
    """Nanoseconds since the GPS epoch of a UTC moment."""
    return unix_ns + (LEAP_SECONDS - GPS_EPOCH_UNIX_S) * NS_PER_S


def unix_ns(since_gps_epoch_ns: int) -> int:
    """The UTC moment that lies so many nanoseconds after the GPS epoch."""
    return since_gps_epoch_ns - (LEAP_SECONDS - GPS_EPOCH_UNIX_S) * NS_PER_S


def link_check_answer(margin_db: float, gateways: int) -> Command:
    """LinkCheckAns (TS001 5.2): margin above the demodulation floor in whole dB 0..254, number of gateways."""
    return Command(LINK_CHECK, bytes([min(max(int(margin_db), 0), 254), min(gateways, 255)]))


def device_time_answer(unix_ns: int) -> Command:
    """DeviceTimeAns (TS001 5.10): GPS seconds in 32 bits, then fractions of 1/256 s."""
    seconds, rest = divmod(gps_ns(unix_ns), NS_PER_S)
    return Command(
        DEVICE_TIME, (seconds & 0xFFFFFFFF).to_bytes(4, "little") + bytes([rest * 256 // NS_PER_S])
    )


def link_adr_request(data_rate: int, tx_power_index: int, channels: Sequence[int], nb_trans: int) -> Command:
    """LinkADRReq (TS001 5.3) with ChMaskCntl 0: the mask names channels 0 to 15."""
    mask = sum(1 << c for c in channels)
    return Command(
        LINK_ADR, bytes([data_rate << 4 | tx_power_index]) + mask.to_bytes(2, "little") + bytes([nb_trans])
    )


def new_channel_request(index: int, frequency: int, max_data_rate: int) -> Command:
    """NewChannelReq (TS001 5.6) for data rates 0 to `max_data_rate`."""
    return Command(
        NEW_CHANNEL, bytes([index]) + (frequency // 100).to_bytes(3, "little") + bytes([max_data_rate << 4])
    )


DEV_STATUS_REQUEST = Command(DEV_STATUS)
