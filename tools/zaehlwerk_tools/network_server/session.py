"""The session of an activated device: its keys, counters and link state; and the check of an uplink's frame counter."""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass, field

from . import crypto, eu868
from .adr import HISTORY, Heard
from .mac_commands import Command
from .phy import DataUplink


class Counter(enum.Enum):
    """What an uplink's frame counter says about it."""

    NEW = "new"
    RETRANSMISSION = "retransmission"
    RESET = "reset"


@dataclass
class Session:
    """State of one activation. Counters are the next ones expected or used; keys stay out of `repr`."""

    dev_addr: int
    nwk_s_key: bytes = field(repr=False)
    app_s_key: bytes = field(repr=False)
    f_cnt_up: int = 0
    f_cnt_down: int = 0
    adr: bool = False
    data_rate: int = 0
    tx_power_index: int = 0
    max_tx_power_index: int = eu868.MAX_TX_POWER_INDEX
    nb_trans: int = 1
    channels: list[int] = field(default_factory=lambda: list(range(len(eu868.CHANNELS))))
    history: list[Heard] = field(default_factory=list)
    pending: dict[int, list[Command]] = field(default_factory=dict)
    """MAC commands sent and not answered, by identifier."""
    refusals: dict[int, int] = field(default_factory=dict)
    """How often in a row the device refused a MAC command, by identifier."""
    status_requested_ns: int | None = None

    def heard_at(self, data_rate: int) -> None:
        """Note an uplink's data rate. A changed one means that the device may have gone back to full power, too."""
        if self.data_rate != data_rate:
            self.tx_power_index = 0
            self.history.clear()
        self.data_rate = data_rate

    def remember(self, f_cnt: int, max_snr: float) -> None:
        """Add an uplink to the history that ADR looks at."""
        self.history.append(Heard(f_cnt, max_snr, self.tx_power_index))
        del self.history[:-HISTORY]


def full_counter(expected: int, received: int) -> int:
    """The 32-bit counter meant by the 16 bits `received`, the next one expected being `expected`.

    It is the one before that if the bits name it, else the next one that has these bits (TS001-1.0.4 4.3.1.5).
    """
    if expected and received == (expected - 1) & 0xFFFF:
        return expected - 1
    return (expected + ((received - expected) & 0xFFFF)) & 0xFFFFFFFF


def check(session: Session, frame: DataUplink) -> tuple[Counter, int] | None:
    """(verdict, full counter) of an uplink, or None if its MIC is not this session's.

    The MIC is tried with the full counter and with the bare 16 bits: the latter tells a device that started anew.
    """
    full = full_counter(session.f_cnt_up, frame.f_cnt)
    for f_cnt in (full, frame.f_cnt):
        mic = crypto.data_mic(session.nwk_s_key, crypto.UPLINK, session.dev_addr, f_cnt, frame.signed)
        if hmac.compare_digest(mic, frame.mic):
            if f_cnt >= session.f_cnt_up:
                return Counter.NEW, f_cnt
            if f_cnt == session.f_cnt_up - 1:
                return Counter.RETRANSMISSION, f_cnt
            return Counter.RESET, f_cnt
    return None
