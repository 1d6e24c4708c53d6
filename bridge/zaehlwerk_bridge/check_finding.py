"""What a check found, and what to do about it."""

import dataclasses
import enum
from dataclasses import dataclass

from zaehlwerk_bridge.redaction import Redactor


class Verdict(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Works, but somebody should know."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: of which side, what was tried, how it ended, and what to do if it should end otherwise."""

    side: str
    tried: str
    verdict: Verdict
    text: str
    remedy: str = ""

    def line(self) -> str:
        """Return the finding in one line for people."""
        line = f"{self.verdict:5}  {self.side}: {self.tried}: {self.text}"
        return f"{line}; {self.remedy}" if self.remedy else line

    def as_dict(self) -> dict[str, str]:
        """Return the finding for machines."""
        return {**dataclasses.asdict(self), "verdict": str(self.verdict)}


class Findings(list[Finding]):
    """The findings about one side, redacted as they come."""

    def __init__(self, side: str, redactor: Redactor) -> None:
        super().__init__()
        self._side = side
        self._redactor = redactor

    def ok(self, tried: str, text: str) -> None:
        """It works."""
        self._found(tried, Verdict.OK, text, "")

    def note(self, tried: str, text: str, remedy: str = "") -> None:
        """It works, but somebody should know."""
        self._found(tried, Verdict.NOTE, text, remedy)

    def wrong(self, tried: str, text: str, remedy: str = "") -> None:
        """It does not work."""
        self._found(tried, Verdict.WRONG, text, remedy)

    def _found(self, tried: str, verdict: Verdict, text: str, remedy: str) -> None:
        self.append(Finding(self._side, tried, verdict, self._redactor.text(text), remedy))
