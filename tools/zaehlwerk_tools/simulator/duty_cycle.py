"""The air's own account of who sends how long in which sub-band, over any hour (ETSI EN 300 220-1 V3.1.1, 5.4; bands of ERC 70-03 annex 1)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

HOUR_NS = 3_600_000_000_000

SUB_BANDS = (
    # (from Hz, below Hz, share of the hour in 1/1000)
    (863_000_000, 865_000_000, 1),
    (865_000_000, 868_000_000, 10),
    (868_000_000, 868_600_000, 10),
    (868_700_000, 869_200_000, 1),
    (869_400_000, 869_650_000, 100),
    (869_700_000, 870_000_000, 10),
)


@dataclass(frozen=True, slots=True)
class Violation:
    """Somebody was on the air longer than allowed: `used_ns` in the hour before `at_ns`, or where nobody may be."""

    at_ns: int
    sender: str
    frequency: int
    used_ns: int
    allowed_ns: int


class DutyCycle:
    """Adds up every frame; `violations` keeps what went beyond."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], deque[tuple[int, int]]] = {}
        self._used: dict[tuple[str, int], int] = {}
        self.violations: list[Violation] = []

    def add(self, sender: str, frequency: int, end_ns: int, duration_ns: int) -> None:
        """Account a frame of `sender`; frames of one sender come in order."""
        band = next((n for n, (low, high, _) in enumerate(SUB_BANDS) if low <= frequency < high), None)
        if band is None:
            self.violations.append(Violation(end_ns, sender, frequency, duration_ns, 0))
            return
        key = (sender, band)
        sent = self._sent.setdefault(key, deque())
        sent.append((end_ns, duration_ns))
        used = self._used.get(key, 0) + duration_ns
        while sent[0][0] <= end_ns - HOUR_NS:
            used -= sent.popleft()[1]
        self._used[key] = used
        allowed = HOUR_NS * SUB_BANDS[band][2] // 1000
        if used > allowed:
            self.violations.append(Violation(end_ns, sender, frequency, used, allowed))
