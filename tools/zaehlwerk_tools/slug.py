"""Names as topics carry them: lower-case ASCII, words joined by hyphens ("Hüfferstraße" → "huefferstrasse").

The same rule as the bridge's, which turns a station's tag into the level of its topics.
"""

from __future__ import annotations

import re
import unicodedata

_GERMAN = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ß": "ss",
        "Ä": "ae",
        "Ö": "oe",
        "Ü": "ue",
        "ẞ": "ss",
    }
)
_OTHER = re.compile(r"[^a-z0-9]+")


def slug(text: str) -> str:
    """The slug of `text`; empty if it has neither a letter nor a digit that ASCII knows."""
    composed = unicodedata.normalize("NFC", text).translate(_GERMAN)
    plain = unicodedata.normalize("NFKD", composed).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub("-", plain).strip("-")
