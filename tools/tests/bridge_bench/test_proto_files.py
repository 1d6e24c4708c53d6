"""Descriptors as .proto files: nothing of what is on the wire is missing or called otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from chirpstack_api import gw, integration

from zaehlwerk_tools.bridge_bench.peers.proto_files import write_proto_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proto")
    write_proto_files(integration.UplinkEvent.DESCRIPTOR.file, folder)
    return folder


def lines_of(folder: Path, file: str, message: str) -> list[str]:
    """The lines between the braces of a message at the top of a file."""
    text = (folder / file).read_text(encoding="utf-8")
    _, _, behind = text.partition(f"\nmessage {message} {{\n")
    return [line.strip() for line in behind.partition("\n}")[0].splitlines()]


def test_a_field_has_its_type_name_and_number(folder: Path) -> None:
    lines = lines_of(folder, integration.UplinkEvent.DESCRIPTOR.file.name, "UplinkEvent")
    assert len(lines) == len(integration.UplinkEvent.DESCRIPTOR.fields)
    for line in (
        "string deduplication_id = 1;",
        ".google.protobuf.Timestamp time = 2;",
        ".integration.DeviceInfo device_info = 3;",
        "bool adr = 5;",
        "uint32 f_port = 8;",
        "bytes data = 10;",
        "repeated .gw.UplinkRxInfo rx_info = 12;",
    ):
        assert line in lines


def test_a_map_is_a_map_and_not_the_message_behind_it(folder: Path) -> None:
    lines = lines_of(folder, integration.DeviceInfo.DESCRIPTOR.file.name, "DeviceInfo")
    assert "map<string, string> tags = 9;" in lines
    assert not [line for line in lines if "Entry" in line]


def test_an_enum_has_its_values_and_says_where_two_are_one(folder: Path) -> None:
    text = (folder / gw.UplinkRxInfo.DESCRIPTOR.file.name).read_text(encoding="utf-8")
    for name, number in gw.CRCStatus.items():
        assert f"  {name} = {number};" in text
    for enum in gw.UplinkRxInfo.DESCRIPTOR.file.enum_types_by_name.values():
        aliased = len({value.number for value in enum.values}) < len(enum.values)
        begin = text[text.index(f"enum {enum.name} {{") :].splitlines()[1]
        assert (begin.strip() == "option allow_alias = true;") is aliased


def test_what_is_imported_is_there_but_for_what_every_program_brings(folder: Path) -> None:
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.proto")}
    wanted = {
        line.split('"')[1]
        for path in folder.rglob("*.proto")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("import ")
    }
    assert {name for name in wanted if not name.startswith("google/")} <= written
    assert not [name for name in written if name.startswith("google/")]
