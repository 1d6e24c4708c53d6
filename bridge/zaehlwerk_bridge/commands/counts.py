"""What became of commands since the start, for the metrics."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from zaehlwerk_bridge.commands.life import Fate


@dataclass(slots=True)
class CommandCounts:
    """Fates that were reached, each command counted once for each."""

    fates: Counter[str] = field(default_factory=Counter)
    """Of the platform's commands; refused ones too that were never taken."""
    questions: Counter[str] = field(default_factory=Counter)
    """Of the bridge's own."""
    asked: Counter[str] = field(default_factory=Counter)
    """The bridge's own, by kind."""
    enqueued: int = 0
    """Frames put into the server's queue."""
    resolved: Counter[str] = field(default_factory=Counter)
    """Enqueues whose answer was lost: `found` to have had effect, or `absent`."""

    def note(self, fates: Mapping[tuple[str, Fate], int]) -> None:
        """Count what a transaction did: (kind of the bridge's own question or empty, fate)."""
        for (own, fate), count in fates.items():
            (self.questions if own else self.fates)[fate] += count
            if own and fate is Fate.ACCEPTED:
                self.asked[own] += count
