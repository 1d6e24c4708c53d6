"""Sheets of labels as PDF, for printers and print services that take no SVG: the same drawing, in the same places.

PDF 1.4 (Adobe, "PDF Reference", third edition): vectors, and Helvetica of the 14 standard fonts (section 5.5.1), which no reader
needs to be given; its WinAnsiEncoding (appendix D) has the umlauts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zaehlwerk_tools.technician.label import Drawing, LabelError, Text

_POINTS_PER_MM = 72 / 25.4
_ENCODING = "cp1252"
"""Python's name for WinAnsiEncoding; what it lacks is drawn as "?"."""
_FONTS = {"normal": ("/F1", "Helvetica"), "bold": ("/F2", "Helvetica-Bold")}
_HEADER = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
"""Four bytes above 127 behind the first line say that this is no text (section 3.4.1)."""


def pdf_of(
    width_mm: float, height_mm: float, pages: Sequence[Sequence[tuple[float, float, Drawing]]]
) -> bytes:
    """A document; each page has drawings, in mm from its upper left corner. The same drawings are the same bytes."""
    fonts = " ".join(f"{name} {3 + number} 0 R" for number, (name, _) in enumerate(_FONTS.values()))
    box = f"[0 0 {_number(width_mm * _POINTS_PER_MM)} {_number(height_mm * _POINTS_PER_MM)}]"
    first = 3 + len(_FONTS)
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} /MediaBox {box} >>".encode(),
    ]
    objects += [
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode()
        for _, font in _FONTS.values()
    ]
    for number, page in enumerate(pages):
        content = _content(height_mm, page)
        resources = f"/Resources << /Font << {fonts} >> >> /Contents {first + 2 * number + 1} 0 R"
        objects.append(f"<< /Type /Page /Parent 2 0 R {resources} >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return _file(objects)


def write_pdf(path: Path, document: bytes) -> None:
    """Whole or not at all. Raises LabelError."""
    new = path.with_suffix(".new")
    try:
        new.write_bytes(document)
        new.replace(path)
    except OSError as error:
        raise LabelError(f"{path} cannot be written: {error.strerror or error}") from None


def _content(height_mm: float, page: Sequence[tuple[float, float, Drawing]]) -> bytes:
    # Millimetres, from the upper left corner on, as in the SVG.
    scale = _number(_POINTS_PER_MM)
    lines = [f"{scale} 0 0 -{scale} 0 {_number(height_mm * _POINTS_PER_MM)} cm".encode()]
    for x, y, drawing in page:
        lines += [b"q", f"1 0 0 1 {_number(x)} {_number(y)} cm".encode()]
        module = drawing.module_mm
        lines += [
            f"{_number(drawing.code_x + column * module)} {_number(drawing.code_y + row * module)} "
            f"{_number(module)} {_number(module)} re".encode()
            for column, row in drawing.modules
        ]
        lines += [b"f", *(_shown(text) for text in drawing.texts), b"Q"]
    return b"\n".join(lines)


def _shown(text: Text) -> bytes:
    # The page is upside down, so each line of text is turned upright again.
    words = text.words.encode(_ENCODING, errors="replace")
    for special in (b"\\", b"(", b")"):
        words = words.replace(special, b"\\" + special)
    where = f"1 0 0 -1 {_number(text.x)} {_number(text.y)} Tm"
    font = f"{_FONTS[text.weight][0]} {_number(text.size_mm)} Tf"
    return f"BT {font} {where} (".encode() + words + b") Tj ET"


def _file(objects: Sequence[bytes]) -> bytes:
    """Header, bodies, and the table of where each body begins (section 3.4)."""
    out, places = bytearray(_HEADER), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"
