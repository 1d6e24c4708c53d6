"""Sizes and airtimes of the frames, as SPECIFICATION.md shows them: `python protocol/bench/sizes.py [DIRECTORY]`.

Count frames are measured on a city's table (the format of tools/zaehlwerk_tools/data/muenster): every quarter-hour of
every station, with starting totals thrown by a die of a known seed.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from zaehlwerk_protocol.airtime import OVERHEAD, airtime_us
from zaehlwerk_protocol.alarm import CONGESTION, Alarm
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.command import BACKFILL, Command
from zaehlwerk_protocol.counts import MAX_SIZE, Counts, airtime_rows
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.health import Health
from zaehlwerk_protocol.status import Status

MUENSTER = Path(__file__).parents[2] / "tools" / "zaehlwerk_tools" / "data" / "muenster"
SLOT_S = 900
SEED = 1
ROWS = 2
"""Previous intervals that a frame carries in the measurement."""
SPREADING_FACTORS = (7, 8, 9, 10, 11, 12)
_ZONE = ZoneInfo("Europe/Berlin")


@dataclass(frozen=True)
class Interval:
    """A row of a station's table: the UTC slot and a count per channel, None where it was not observed."""

    slot: int
    counts: tuple[int | None, ...]


def stations(directory: Path) -> Iterator[list[Interval]]:
    """Every table of `directory`, by the files' names."""
    for path in sorted(directory.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))[1:]
        yield [
            Interval(
                int(datetime.fromisoformat(line[0]).replace(tzinfo=_ZONE).timestamp()) // SLOT_S,
                tuple(int(cell) if cell else None for cell in line[1:]),
            )
            for line in lines
        ]


def count_frames(station: list[Interval], dice: random.Random) -> Iterator[Counts]:
    """The frame of each interval with all the intervals before it, newest first, as a node would have them."""
    totals = [dice.randrange(1 << 32) for _ in station[0].counts]
    history: list[tuple[int, ...]] = []
    cover: list[tuple[int, int]] = []
    for interval in station:
        counted = tuple(count or 0 for count in interval.counts)
        totals = [total + count for total, count in zip(totals, counted, strict=True)]
        mask = sum(1 << channel for channel, count in enumerate(interval.counts) if count is None)
        cover.insert(0, (mask, 0))
        yield Counts(
            interval.slot & 0xFFFF,
            dice.randrange(4),
            [total & 0xFFFF for total in totals],
            history[:12],
            cover[: len(history[:12]) + 1],
        )
        history.insert(0, counted)


@dataclass(frozen=True)
class Measure:
    """Count frames of one number of channels: bytes with ROWS previous intervals, rows that SF7 and SF12 leave free."""

    channels: int
    sizes: tuple[int, ...]
    rows: tuple[float, float]

    @property
    def mean(self) -> float:
        """Bytes of a frame on average."""
        return sum(self.sizes) / len(self.sizes)


def measure(directory: Path, seed: int = SEED) -> list[Measure]:
    """A measure for each number of channels that a station of `directory` has."""
    dice = random.Random(seed)  # noqa: S311 - totals are no secrets
    sizes: dict[int, list[int]] = {}
    rows: dict[int, list[tuple[int, int]]] = {}
    for station in stations(directory):
        channels = len(station[0].counts)
        for frame in count_frames(station, dice):
            carried = Counts(
                frame.index, frame.state, frame.totals, frame.history[:ROWS], frame.cover[: ROWS + 1]
            )
            sizes.setdefault(channels, []).append(len(carried.encode()))
            rows.setdefault(channels, []).append(
                (airtime_rows(frame, ROWS, 0, 7), airtime_rows(frame, ROWS, 0, 12))
            )
    return [
        Measure(
            channels,
            tuple(found),
            (
                sum(pair[0] for pair in rows[channels]) / len(found),
                sum(pair[1] for pair in rows[channels]) / len(found),
            ),
        )
        for channels, found in sorted(sizes.items())
    ]


def examples() -> list[tuple[str, bytes]]:
    """Frames as they are typical, and the longest ones, with what they are."""
    anchor = (48473, (68, 70659))
    health = Health(0x000100, 3, 1, None, 86400, 3712, 214, 12, b"\xa1\xb2\xc3\xd4", ((2, 1), (2, 2)))
    return [
        ("counts, two channels, no history", Counts(48473, 1, (68, 5123)).encode()),
        ("counts, eight channels, no history", Counts(48473, 1, (5123,) * 8).encode()),
        ("counts, eight channels, not observed", Counts(48473, 1, (5123,) * 8, (), ((255, 0),)).encode()),
        ("status with totals of two channels", Status(1, 1, 0x9F3C21AA, 900, anchor).encode()),
        ("status with totals and health", Status(1, 1, 0x9F3C21AA, 900, anchor, None, health).encode()),
        ("flow, two channels", Flow(48473, 1, ((182, 231, 12), (176, 229, 9))).encode()),
        (
            "backfill, an hour of two channels",
            Backfill(48473, 1, 2, ((12, 7), (9, 140), (0, 3), (22, 41))).encode(),
        ),
        ("alarm, congestion", Alarm(48474, 1, CONGESTION, True, 3, 1781740800, 640).encode()),
        ("answer", Answer(513, BACKFILL, 0).encode()),
        ("command, backfill of a day", Command(513, BACKFILL, (0, 48377, 96)).encode()),
    ]


def milliseconds(size: int, sf: int) -> str:
    """Airtime of a payload of `size` bytes without MAC commands, in ms."""
    return f"{airtime_us(size + OVERHEAD, sf) / 1000:.1f}"


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table, numbers to the right."""
    rule = ["---"] + ["---:"] * (len(headings) - 1)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (headings, tuple(rule), *rows))


def report(directory: Path) -> str:
    """The three tables of SPECIFICATION.md."""
    by_sf = tuple(f"SF{sf} ms" for sf in SPREADING_FACTORS)
    measured: list[tuple[str, ...]] = [
        (
            str(found.channels),
            str(len(found.sizes)),
            f"{found.mean:.2f}",
            str(max(found.sizes)),
            f"{found.rows[0]:.1f}",
            f"{found.rows[1]:.1f}",
        )
        for found in measure(directory)
    ]
    frames: list[tuple[str, ...]] = [
        (what, str(len(data)), *(milliseconds(len(data), sf) for sf in SPREADING_FACTORS))
        for what, data in examples()
    ]
    lengths: list[tuple[str, ...]] = [
        (str(size), *(milliseconds(size, sf) for sf in SPREADING_FACTORS))
        for size in (12, 16, 20, 24, 28, 32, MAX_SIZE, 51)
    ]
    return "\n".join(
        (
            table(
                ("channels", "frames", "mean B", "longest B", "rows, free at SF7", "rows, free at SF12"),
                measured,
            ),
            table(("frame", "B", *by_sf), frames),
            table(("payload B", *by_sf), lengths),
        )
    )


if __name__ == "__main__":
    sys.stdout.write(report(Path(sys.argv[1]) if len(sys.argv) > 1 else MUENSTER))
