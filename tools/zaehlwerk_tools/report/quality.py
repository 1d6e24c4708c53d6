"""A station's quality in words: the badge says it, a colour and a sign only repeat it."""

from __future__ import annotations

from dataclasses import dataclass

from zaehlwerk_tools.comparison import ChannelComparison, StationComparison, Verdict
from zaehlwerk_tools.report.bilingual import Text, both

SUSPICIOUS = 88
"""Quarter-hours observed without a single count: about a day, less some that may be missing."""


@dataclass(frozen=True, slots=True)
class Badge:
    """One statement about the quality of a station's counts."""

    kind: str  # the colour: "good", "note" or "bad"
    sign: str
    words: Text
    meaning: Text

    def html(self) -> str:
        """The badge."""
        return f'<span class="badge {self.kind}"><span aria-hidden="true">{self.sign}</span>{both(self.words)}</span>'


COMPLETE = Badge(
    "good",
    "✓",
    ("vollständig", "complete"),
    (
        "Jede Viertelstunde wurde beobachtet und ist genau angekommen.",
        "Every quarter-hour was observed and arrived exactly.",
    ),
)
NOT_OBSERVED = Badge(
    "note",
    "◐",
    ("zeitweise nicht beobachtet", "not observed at times"),
    (
        "Der Sensor hat zeitweise nichts gesehen. Diese Zeiten sind schraffiert und gelten nicht als null.",
        "The sensor could not see for some time. That time is hatched and does not count as zero.",
    ),
)
SUM_ONLY = Badge(
    "note",
    "Σ",
    ("zeitweise nur als Summe", "at times only a sum"),
    (
        (
            "Funksprüche fehlten: die Summe über mehrere Viertelstunden ist genau bekannt, die Verteilung darin nicht. "
            "Wir erfinden keine."
        ),
        (
            "Radio messages were missing: the sum over several quarter-hours is known exactly, how it is spread is not. "
            "We do not invent it."
        ),
    ),
)
PARTIAL = Badge(
    "note",
    "◔",
    ("zeitweise unvollständig", "incomplete at times"),
    (
        "Der Zähler war für einen Teil der Zeit außer Betrieb; die Zahl ist eine Untergrenze.",
        "The counter was out of service for part of the time; the number is a lower bound.",
    ),
)
UNCONFIRMED = Badge(
    "note",
    "~",
    ("zeitweise unbestätigt", "unconfirmed at times"),
    (
        "Die Zahlen stimmen, aber es ist nicht gemeldet, ob der Sensor die ganze Zeit gesehen hat.",
        "The numbers are right, but it was not reported whether the sensor could see all the time.",
    ),
)
ALL_ZERO = Badge(
    "note",
    "?",
    ("durchgehend null, bitte prüfen", "zero throughout, please check"),
    (
        "Ein Zählkanal hat einen ganzen Tag lang nichts gezählt: wahrscheinlich ist sein Sensor defekt.",
        "A channel counted nothing for a whole day: its sensor is probably dead.",
    ),
)
PART_ZERO = Badge(
    "note",
    "?",
    ("eine Spur zählt nichts, bitte prüfen", "one lane counts nothing, please check"),
    ALL_ZERO.meaning,
)
DEVIATES = Badge(
    "bad",
    "✗",
    ("weicht ab", "deviates"),
    (
        "Veröffentlichte Zahlen stimmen nicht mit der Tabelle der Stadt überein.",
        "Published numbers do not agree with the city's table.",
    ),
)
ALL = (COMPLETE, NOT_OBSERVED, SUM_ONLY, PARTIAL, UNCONFIRMED, ALL_ZERO, PART_ZERO, DEVIATES)


def badges(station: StationComparison) -> tuple[Badge, ...]:
    """What is to be said about a station, the worst first; COMPLETE if there is nothing else."""
    verdicts = {cell.verdict for channel in station.channels for cell in channel.cells}
    cells = [cell for channel in station.channels for cell in channel.cells]
    found = []
    if not station.exact:
        found.append(DEVIATES)
    silent = [_counted_nothing(channel) for channel in station.channels]
    if any(silent):
        found.append(ALL_ZERO if all(silent) else PART_ZERO)
    if Verdict.NOT_OBSERVED in verdicts or any(cell.quality == "not_observed" for cell in cells):
        found.append(NOT_OBSERVED)
    if Verdict.IN_SPAN in verdicts:
        found.append(SUM_ONLY)
    if any(cell.quality == "partial" for cell in cells):
        found.append(PARTIAL)
    if any(cell.quality == "unknown" and cell.verdict is not Verdict.IN_SPAN for cell in cells):
        found.append(UNCONFIRMED)
    return tuple(found) or (COMPLETE,)


def _counted_nothing(channel: ChannelComparison) -> bool:
    observed = sum(cell.published is not None for cell in channel.cells)
    return observed >= SUSPICIOUS and not channel.published
