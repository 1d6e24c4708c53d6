"""A board's own clock against the world's: it starts at boot and runs with its crystal's error."""

from __future__ import annotations

from dataclasses import dataclass

_BILLION = 1_000_000_000


@dataclass(frozen=True, slots=True)
class LocalClock:
    """Since `boot_ns` (UTC Unix ns); `ppb` > 0: the board counts too many microseconds."""

    boot_ns: int
    ppb: int = 0

    def world_ns(self, ms: int, us: int = 0) -> int:
        """When the board's clock shows ms + us; rounded down."""
        local_ns = ms * 1_000_000 + us * 1000
        if self.ppb:
            local_ns = local_ns * _BILLION // (_BILLION + self.ppb)
        return self.boot_ns + local_ns

    def local_us(self, t_ns: int) -> int:
        """What the board's clock shows at `t_ns`, in µs, rounded up: never before it has happened."""
        passed = max(0, t_ns - self.boot_ns)
        return -(-passed * (_BILLION + self.ppb) // (1000 * _BILLION))

    def moment(self, t_ns: int | None, never_ms: int) -> tuple[int, int]:
        """`local_us` as (ms, µs); None and what is too far away become (never_ms, 0)."""
        if t_ns is None:
            return never_ms, 0
        local = self.local_us(t_ns)
        return (local // 1000, local % 1000) if local // 1000 < never_ms else (never_ms, 0)
