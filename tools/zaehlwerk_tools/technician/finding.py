"""What an examination finds: one sentence each, of what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is. SKIPPED: it was not asked for, or cannot be told from here."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """`part`: laptop, port, board, gateways or bridge."""

    part: str
    level: Level
    text: str

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def line(self) -> str:
        """For people."""
        word = {Level.WARNING: "warning", Level.WRONG: "WRONG"}.get(self.level, self.level.value)
        return f"{word:<8} {self.part:<9} {self.text}"


def ok(part: str, text: str) -> Finding:
    """As it should be."""
    return Finding(part, Level.OK, text)


def skipped(part: str, text: str) -> Finding:
    """Not looked at, and why."""
    return Finding(part, Level.SKIPPED, text)


def warning(part: str, text: str) -> Finding:
    """It works, and may not for long."""
    return Finding(part, Level.WARNING, text)


def wrong(part: str, text: str) -> Finding:
    """Somebody has to do something."""
    return Finding(part, Level.WRONG, text)


def count_wrong(findings: Iterable[Finding]) -> int:
    """How many are wrong."""
    return sum(finding.level is Level.WRONG for finding in findings)
