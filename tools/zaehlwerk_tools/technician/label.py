"""Labels for units, as SVG: station, DevEUI and a QR code that network servers read, and sheets of them. Never a key.

The code is that of the LoRa Alliance's TR005 ("LoRaWAN Device Identification QR Codes"): upper-case hex, parts by colons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import segno

from zaehlwerk_tools.technician.troubles import TechnicianError
from zaehlwerk_tools.technician.unit_record import read_record

NO_PROFILE = "00000000"
"""VendorID and VendorProfileID of somebody to whom the LoRa Alliance gave none."""
WIDTH_MM, HEIGHT_MM = 70, 37
COLUMNS, ROWS = 3, 8
"""An A4 sheet of 24 labels of 70 mm x 37 mm, a common size, without gaps."""
A4_MM = (210, 297)
_MARGIN_MM = 5
_QUIET = 4
"""Modules of white around the code, as ISO/IEC 18004 wants it."""
_CODE_MM = HEIGHT_MM - 2 * _MARGIN_MM
_LINE = 17
"""Characters of a station's name that fit in a line."""
_HEX = re.compile(r"[0-9A-F]+\Z")


class LabelError(TechnicianError):
    """A label cannot be made."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is on it. EUIs and `profile_id` in upper-case hex; `serial`: the board's own number."""

    dev_eui: str
    join_eui: str
    station: str
    serial: str = ""
    profile_id: str = NO_PROFILE

    @property
    def code(self) -> str:
        """The text of the QR code."""
        serial = f":S{self.serial}" if self.serial else ""
        return f"LW:D0:{self.join_eui}:{self.dev_eui}:{self.profile_id}{serial}"


@dataclass(frozen=True, slots=True)
class Text:
    """A line of it: left end of its base line in mm, height of the font in mm, `weight` "normal" or "bold"."""

    x: float
    y: float
    size_mm: float
    weight: str
    words: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A label, in mm from its upper left corner: where the code begins, with its quiet zone; column and row of dark modules."""

    code_x: float
    code_y: float
    module_mm: float
    modules: tuple[tuple[int, int], ...]
    texts: tuple[Text, ...]


def label_of(record: dict[str, Any], profile_id: str = NO_PROFILE) -> Label:
    """The label of a unit. Raises LabelError."""
    station = record.get("station") or {}
    serial = str((record.get("board") or {}).get("unique_id", "")).upper()
    label = Label(
        record["dev_eui"].upper(),
        record["join_eui"].upper(),
        str(station.get("name", "")),
        serial,
        profile_id.upper(),
    )
    for what, text, digits in (
        ("DevEUI", label.dev_eui, 16),
        ("JoinEUI", label.join_eui, 16),
        ("--profile-id", label.profile_id, 8),
    ):
        if len(text) != digits or not _HEX.match(text):
            raise LabelError(f"{what} {text!r}: {digits} hex digits are expected")
    if serial and not _HEX.match(serial):
        raise LabelError(f"the record of {label.dev_eui} has the unique_id {serial!r}, which is no hex")
    return label


def labels_of(records: Sequence[Path], profile_id: str = NO_PROFILE) -> list[Label]:
    """The labels of units, by their records. Raises LabelError, RecordError."""
    labels = [label_of(read_record(path), profile_id) for path in records]
    twice = [label.dev_eui for label in labels if sum(o.dev_eui == label.dev_eui for o in labels) > 1]
    if twice:
        raise LabelError(f"two records are of {twice[0]}: name each unit once")
    return labels


def files_of(labels: Sequence[Label]) -> dict[str, str]:
    """SVG by file name: one for each label, and sheets of all of them in their order."""
    files = {
        f"{label.dev_eui.lower()}.svg": _document(WIDTH_MM, HEIGHT_MM, _drawn(label, 0, 0))
        for label in labels
    }
    for number, sheet in enumerate(sheets_of(labels), 1):
        drawn = "".join(_drawn(label, x, y) for x, y, label in sheet)
        files[f"sheet-{number}.svg"] = _document(*A4_MM, drawn)
    return files


def sheets_of(labels: Sequence[Label]) -> list[list[tuple[int, int, Label]]]:
    """Where each label is, in mm from the upper left corner of its sheet."""
    size = COLUMNS * ROWS
    return [
        [
            (at % COLUMNS * WIDTH_MM, at // COLUMNS * HEIGHT_MM, label)
            for at, label in enumerate(labels[first : first + size])
        ]
        for first in range(0, len(labels), size)
    ]


def _document(width: int, height: int, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {width} {height}">\n<rect width="{width}" height="{height}" fill="#fff"/>\n{content}</svg>\n'
    )


def drawing_of(label: Label) -> Drawing:
    """What is on a label and where, for whatever it is drawn with."""
    left = _CODE_MM + 2 * _MARGIN_MM - 1
    lines = _wrapped(label.station)
    texts = [Text(left, 8 + 4 * number, 3.2, "bold", line) for number, line in enumerate(lines)]
    texts += [
        Text(left, 19, 2.2, "normal", "DevEUI"),
        Text(left, 22.5, 3.1, "normal", _grouped(label.dev_eui)),
        Text(left, 27, 2.2, "normal", "JoinEUI"),
        Text(left, 30, 2.4, "normal", _grouped(label.join_eui)),
    ]
    # M: 15 % of it may be scratched and it is still read.
    rows = [list(row) for row in segno.make(label.code, error="m", micro=False, boost_error=False).matrix]
    modules = tuple(
        (x + _QUIET, y + _QUIET) for y, row in enumerate(rows) for x, dark in enumerate(row) if dark
    )
    return Drawing(_MARGIN_MM, _MARGIN_MM, _CODE_MM / (len(rows) + 2 * _QUIET), modules, tuple(texts))


def _drawn(label: Label, x: int, y: int) -> str:
    drawing = drawing_of(label)
    written = "".join(
        f'<text x="{text.x:g}" y="{text.y:g}" font-family="sans-serif" font-size="{text.size_mm:g}" '
        f'font-weight="{text.weight}">{escape(text.words)}</text>\n'
        for text in drawing.texts
    )
    path = "".join(f"M{column} {row}h1v1h-1z" for column, row in drawing.modules)
    code = (
        f'<path transform="translate({drawing.code_x:g} {drawing.code_y:g}) scale({drawing.module_mm:.5f})" '
        f'd="{path}"/>\n'
    )
    return f'<g transform="translate({x} {y})">\n{code}{written}</g>\n'


def _grouped(eui: str) -> str:
    return " ".join(eui[at : at + 4] for at in range(0, len(eui), 4))


def _wrapped(text: str) -> list[str]:
    """At most two lines."""
    if len(text) <= _LINE:
        return [text] if text else []
    cut = max(text.rfind(" ", 0, _LINE + 1), text.rfind("-", 0, _LINE) + 1)
    cut = cut if cut > 0 else _LINE
    rest = text[cut:].strip()
    return [text[:cut].strip(), rest if len(rest) <= _LINE else rest[: _LINE - 1] + "…"]
