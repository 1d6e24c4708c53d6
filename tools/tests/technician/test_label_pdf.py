"""Sheets as PDF, read again by a small parser: the same modules and words as in the SVG, in the same places."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.tests.technician.test_label import RECORD
from zaehlwerk_tools.technician.label import (
    A4_MM,
    Drawing,
    Label,
    LabelError,
    drawing_of,
    label_of,
    sheets_of,
)
from zaehlwerk_tools.technician.label_pdf import pdf_of, write_pdf
from zaehlwerk_tools.technician.terminal_commands import run_label

POINTS = 72 / 25.4
Matrix = tuple[float, float, float, float, float, float]


def pdf(labels: list[Label]) -> bytes:
    return pdf_of(
        *A4_MM, [[(x, y, drawing_of(label)) for x, y, label in sheet] for sheet in sheets_of(labels)]
    )


def objects(document: bytes) -> dict[int, bytes]:
    """By the cross-reference table alone, as a reader finds them."""
    assert document.startswith(b"%PDF-1.4\n")
    assert document.endswith(b"%%EOF\n")
    last = document.rindex(b"startxref\n")
    table = int(document[last + 10 :].split()[0])
    lines = document[table:last].split(b"\n")
    assert lines[0] == b"xref"
    count = int(lines[1].split()[1])
    entries = lines[2 : 2 + count]
    assert all(len(entry) == 19 for entry in entries)  # and the line's end: 20 bytes each
    found = {}
    for number, entry in enumerate(entries[1:], 1):
        at = int(entry[:10])
        head = b"%d 0 obj\n" % number
        assert document[at : at + len(head)] == head
        found[number] = document[at + len(head) : document.index(b"\nendobj\n", at)]
    return found


def pages(document: bytes) -> list[bytes]:
    """The content of each page, of the length that it says."""
    there = objects(document)
    tree = there[2]
    kids = [
        int(number) for number in re.findall(rb"(\d+) 0 R", tree[tree.index(b"/Kids") : tree.index(b"]")])
    ]
    assert b"/Count %d " % len(kids) in tree
    contents = []
    for kid in kids:
        page = there[kid]
        for name in re.findall(rb"/F\d (\d+) 0 R", page):
            assert b"/WinAnsiEncoding" in there[int(name)]
        reference = re.search(rb"/Contents (\d+) 0 R", page)
        assert reference is not None
        stream = re.fullmatch(
            rb"<< /Length (\d+) >>\nstream\n(.*)\nendstream", there[int(reference[1])], re.DOTALL
        )
        assert stream is not None
        assert len(stream[2]) == int(stream[1])
        contents.append(stream[2])
    return contents


def times(a: Matrix, b: Matrix) -> Matrix:
    return (
        *(a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3]),
        *(a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]),
        *(a[4] * b[0] + a[5] * b[2] + b[4], a[4] * b[1] + a[5] * b[3] + b[5]),
    )  # type: ignore[return-value]


def painted(content: bytes) -> tuple[list[tuple[float, float]], list[tuple[float, float, float, str]]]:
    """Middles of rectangles, and lines of text with height and upright or not: in points from the lower left corner."""
    matrix: Matrix = (1, 0, 0, 1, 0, 0)
    kept: list[Matrix] = []
    boxes, lines = [], []
    for line in content.split(b"\n"):
        words = line.split()
        if words == [b"q"]:
            kept.append(matrix)
        elif words == [b"Q"]:
            matrix = kept.pop()
        elif words[-1] == b"cm":
            matrix = times(tuple(float(word) for word in words[:6]), matrix)  # type: ignore[arg-type]
        elif words[-1] == b"re":
            x, y, width, height = (float(word) for word in words[:4])
            middle = times((1, 0, 0, 1, x + width / 2, y + height / 2), matrix)
            boxes.append((middle[4], middle[5]))
        elif words[0] == b"BT":
            shown = re.fullmatch(rb"BT /F\d (\S+) Tf (.*) Tm \((.*)\) Tj ET", line)
            assert shown is not None
            text = times(tuple(float(word) for word in shown[2].split()), matrix)  # type: ignore[arg-type]
            said = re.sub(rb"\\([\\()])", rb"\1", shown[3]).decode("cp1252")
            lines.append((text[4], text[5], float(shown[1]) * text[3], said))
        else:
            assert words == [b"f"]
    assert not kept
    return boxes, lines


def wanted(drawing: Drawing, x: float, y: float) -> list[tuple[float, float]]:
    return [
        (
            (x + drawing.code_x + (column + 0.5) * drawing.module_mm) * POINTS,
            (A4_MM[1] - y - drawing.code_y - (row + 0.5) * drawing.module_mm) * POINTS,
        )
        for column, row in drawing.modules
    ]


def test_the_modules_are_where_they_are_in_the_svg() -> None:
    labels = [Label(f"{number:016X}", "00" * 8, f"Station {number}") for number in range(24)]
    (content,) = pages(pdf(labels))
    boxes, _ = painted(content)
    expected = [place for x, y, label in sheets_of(labels)[0] for place in wanted(drawing_of(label), x, y)]
    assert len(boxes) == len(expected)
    for box, place in zip(boxes, expected, strict=True):
        assert box == pytest.approx(place, abs=0.05)
    assert all(0 < x < A4_MM[0] * POINTS and 0 < y < A4_MM[1] * POINTS for x, y in boxes)


def test_people_read_the_same_words_upright_with_umlauts_and_brackets() -> None:
    label = label_of({**RECORD, "station": {"name": "Göbenstraße (Süd) €\\"}})
    (content,) = pages(pdf([label]))
    _, lines = painted(content)
    drawing = drawing_of(label)
    assert [line[3] for line in lines] == [text.words for text in drawing.texts]
    assert "Göbenstraße (Süd)" in [line[3] for line in lines]
    for (x, y, height, _), text in zip(lines, drawing.texts, strict=True):
        assert (x, y) == pytest.approx((text.x * POINTS, (A4_MM[1] - text.y) * POINTS), abs=0.01)
        assert height == pytest.approx(text.size_mm * POINTS, abs=0.01)


def test_what_the_font_has_not_is_a_question_mark() -> None:
    _, lines = painted(pages(pdf([Label("00" * 8, "00" * 8, "Łódź")]))[0])
    assert lines[0][3] == "?ód?"


def test_the_25th_label_is_on_the_second_page_of_a4() -> None:
    document = pdf([Label(f"{number:016X}", "00" * 8, "x") for number in range(25)])
    first, second = pages(document)
    assert (len(painted(first)[1]), len(painted(second)[1])) == (24 * 5, 5)
    box = re.search(rb"/MediaBox \[0 0 (\S+) (\S+)\]", document)
    assert box is not None
    assert (float(box[1]), float(box[2])) == pytest.approx((595.28, 841.89), abs=0.01)


def test_the_command_writes_it_beside_the_others_and_nothing_of_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1.json").write_text(json.dumps({**RECORD, "app_key": "5ec4e7" * 5 + "00"}))
    for _ in range(2):
        assert run_label([tmp_path / "1.json"], tmp_path / "labels", "00000000", as_json=False, pdf=True) == 0
        assert "1 labels and 1 sheets, as sheets.pdf too, in " in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "labels").iterdir())
    assert names == ["70b3d57ed0000001.svg", "sheet-1.svg", "sheets.pdf"]
    document = (tmp_path / "labels" / "sheets.pdf").read_bytes()
    assert document == pdf([label_of(RECORD)])
    assert b"5ec4e7" not in document.lower()


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="cannot be written"):
        write_pdf(tmp_path / "none" / "sheets.pdf", b"")
