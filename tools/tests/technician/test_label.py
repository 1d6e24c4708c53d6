"""Labels: the QR code of TR005 as it is drawn, what people read, and sheets."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import segno

from zaehlwerk_tools.technician.label import Label, LabelError, files_of, label_of, labels_of
from zaehlwerk_tools.technician.terminal_commands import run_label

NAMESPACE = "{http://www.w3.org/2000/svg}"
RECORD: dict[str, Any] = {
    "dev_eui": "70b3d57ed0000001",
    "join_eui": "70b3d57ed0000000",
    "board": {"unique_id": "7cdfa1000001"},
    "station": {"name": "Hafenstraße & <Brücke>", "tags": {}},
    "key_file": "keys/70b3d57ed0000001.key",
}
CODE = "LW:D0:70B3D57ED0000000:70B3D57ED0000001:00000000:S7CDFA1000001"


def drawn(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def modules(element: ET.Element) -> set[tuple[int, int]]:
    path = element.find(f".//{NAMESPACE}path")
    assert path is not None
    return {(int(x) - 4, int(y) - 4) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path.attrib["d"])}


def texts(element: ET.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{NAMESPACE}text")]


def test_the_code_is_that_of_tr005_in_upper_case_with_the_boards_number() -> None:
    assert label_of(RECORD).code == CODE
    assert label_of(RECORD, "12345abc").code == CODE.replace("00000000:S", "12345ABC:S")
    without = {**RECORD, "board": {}, "station": None}
    assert label_of(without).code == "LW:D0:70B3D57ED0000000:70B3D57ED0000001:00000000"


def test_the_modules_drawn_are_those_of_the_code() -> None:
    svg = drawn(files_of([label_of(RECORD)])["70b3d57ed0000001.svg"])
    wanted = segno.make(CODE, error="m", micro=False, boost_error=False).matrix
    assert modules(svg) == {(x, y) for y, row in enumerate(wanted) for x, dark in enumerate(row) if dark}


def test_people_read_station_dev_eui_and_join_eui() -> None:
    svg = drawn(files_of([label_of(RECORD)])["70b3d57ed0000001.svg"])
    assert texts(svg) == [
        "Hafenstraße &",
        "<Brücke>",
        "DevEUI",
        "70B3 D57E D000 0001",
        "JoinEUI",
        "70B3 D57E D000 0000",
    ]
    assert (svg.attrib["width"], svg.attrib["height"]) == ("70mm", "37mm")


def test_a_long_name_is_cut_after_two_lines() -> None:
    name = "Steinfurter Straße Ecke Austermannstraße stadtauswärts"
    shown = texts(drawn(files_of([Label("00" * 8, "00" * 8, name)])["0000000000000000.svg"]))
    assert shown[0] == "Steinfurter"
    assert shown[1].endswith("…")
    assert len(shown[1]) <= 17


def test_a_sheet_holds_24_and_the_25th_begins_another() -> None:
    labels = [Label(f"{number:016X}", "00" * 8, f"Station {number}") for number in range(25)]
    files = files_of(labels)
    assert sorted(name for name in files if name.startswith("sheet")) == ["sheet-1.svg", "sheet-2.svg"]
    first, second = drawn(files["sheet-1.svg"]), drawn(files["sheet-2.svg"])
    assert [len(sheet.findall(f"{NAMESPACE}g")) for sheet in (first, second)] == [24, 1]
    places = [group.attrib["transform"] for group in first.findall(f"{NAMESPACE}g")]
    assert len(set(places)) == 24
    assert places[-1] == "translate(140 259)"
    assert (first.attrib["width"], first.attrib["height"]) == ("210mm", "297mm")


def test_the_command_writes_one_for_each_record_and_the_sheet_and_nothing_of_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for number in (1, 2):
        record = {**RECORD, "dev_eui": f"70b3d57ed000000{number}", "app_key": "5ec4e7" * 5 + "00"}
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(record))
    assert run_label(paths, tmp_path / "labels", "00000000", as_json=False) == 0
    assert capsys.readouterr().out.startswith("2 labels and 1 sheets in ")
    names = sorted(path.name for path in (tmp_path / "labels").iterdir())
    assert names == ["70b3d57ed0000001.svg", "70b3d57ed0000002.svg", "sheet-1.svg"]
    before = {name: (tmp_path / "labels" / name).read_bytes() for name in names}
    assert not any(b"5ec4e7" in text.lower() for text in before.values())
    assert run_label(paths, tmp_path / "labels", "00000000", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["files"] == names
    assert {name: (tmp_path / "labels" / name).read_bytes() for name in names} == before


@pytest.mark.parametrize(
    ("change", "profile_id", "told"),
    [
        ({"dev_eui": "12"}, "00000000", "DevEUI '12': 16 hex digits"),
        ({"join_eui": "x" * 16}, "00000000", "JoinEUI"),
        ({"board": {"unique_id": "a:b"}}, "00000000", "unique_id"),
        ({}, "123", "--profile-id '123': 8 hex digits"),
    ],
)
def test_what_makes_no_code_is_refused(change: dict[str, Any], profile_id: str, told: str) -> None:
    with pytest.raises(LabelError, match=told):
        label_of({**RECORD, **change}, profile_id)


def test_one_unit_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(RECORD))
    with pytest.raises(LabelError, match="two records are of 70B3D57ED0000001"):
        labels_of([tmp_path / "a.json"] * 2)
