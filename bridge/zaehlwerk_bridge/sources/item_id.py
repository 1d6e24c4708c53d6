"""Ids of stream items: a Redis stream id, `<milliseconds>-<sequence>`, ordered as a pair of numbers, never as text."""

import re

ItemId = tuple[int, int]
"""(milliseconds of UTC Unix time by the server's Redis, sequence)"""

MOST_MS = 9_000_000_000_000
"""Milliseconds of a time that 63 bits of nanoseconds hold: in the year 2255."""

_FORM = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)


def parse(text: str) -> ItemId | None:
    """Return the id that `text` writes, None if it is none."""
    match = _FORM.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None
