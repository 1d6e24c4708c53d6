"""The specification cannot drift: its examples are decoded, its table is measured again, its numbers are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol.bench import sizes
from protocol.tests.micropython import ROOM
from zaehlwerk_protocol import (
    alarm,
    answer,
    backfill,
    cbor,
    channel,
    command,
    counts,
    flow,
    frame,
    frames,
    health,
    note_codes,
    state,
    status,
    varint_reader,
)

TEXT = (ROOM / "SPECIFICATION.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"```frame (\d+)\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)
EXAMPLES = EXAMPLE.findall(TEXT)


def lines(body: str) -> list[tuple[bytes, str]]:
    """(bytes, value) of each line: hexadecimal pairs, two or more spaces, the value, two or more, the explanation."""
    found = []
    for line in body.splitlines():
        columns = re.split(r"\s{2,}", line)
        assert len(columns) in {2, 3}, line
        found.append((bytes.fromhex(columns[0]), columns[1]))
    return found


def shown(data: bytes, value: str) -> str:
    """`data` in the notation of `value`."""
    kind, _, _ = value.partition(":")
    if kind == "u16":
        assert len(data) == 2
        return f"u16:{int.from_bytes(data, 'big')}"
    if kind == "byte":
        assert len(data) == 1
        return f"byte:{data[0]}"
    if kind == "leb":
        (number,) = varint_reader.read_all(data, 2**63, value)
        return f"leb:{number}"
    if kind == "hex":
        return f"hex:{data.hex()}"
    if value.startswith(("array(", "bytes(")):
        assert len(data) == 1
        major = {0x40: "bytes", 0x80: "array"}[data[0] & 0xE0]
        return f"{major}({data[0] & 0x1F})"
    item = cbor.decode(data)
    return str(item).lower() if isinstance(item, bool) else "null" if item is None else str(item)


@pytest.mark.parametrize(("port", "body", "result"), EXAMPLES)
def test_an_example_is_the_frame_that_it_says(port: str, body: str, result: str) -> None:
    data = b"".join(part for part, _ in lines(body))
    read = frames.decode(int(port), data)
    assert "".join(repr(read).split()) == "".join(result.split())
    assert read.encode() == data


@pytest.mark.parametrize(("port", "body", "result"), EXAMPLES)
def test_every_line_of_an_example_shows_the_value_of_its_bytes(port: str, body: str, result: str) -> None:
    for data, value in lines(body):
        assert shown(data, value) == value


def test_every_frame_has_an_example_and_none_escapes_the_test() -> None:
    assert {int(port) for port, _, _ in EXAMPLES} == set(frames.BY_PORT)
    assert TEXT.count("```frame") == len(EXAMPLES)


def test_the_table_of_sizes_is_what_the_command_prints() -> None:
    """If this fails: run `python protocol/bench/sizes.py` and put what it prints between the marks."""
    _, _, behind = TEXT.partition("<!-- sizes -->\n")
    table, _, _ = behind.partition("<!-- /sizes -->")
    assert table == sizes.report(sizes.MUENSTER)


def test_the_table_of_ports_is_the_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| \[(\w+)\]", TEXT, re.MULTILINE)
    assert {int(port): name for port, name in rows} == {
        port: kind.__name__.lower() for port, kind in frames.BY_PORT.items()
    }


def numbered(heading: str) -> dict[int, str]:
    """The table of kinds in the chapter `heading`: number to its first words."""
    _, _, behind = TEXT.partition(f"\n## {heading}\n")
    chapter, _, _ = behind.partition("\n## ")
    rows = re.findall(r"^\| (\d+) \| ([^|:]+?)(?::[^|]*)? \|", chapter, re.MULTILINE)
    return {int(number): words.replace(" ", "_").upper() for number, words in rows}


def test_the_tables_of_kinds_are_the_codes() -> None:
    for number, name in numbered("Alarm").items():
        assert getattr(alarm, name) == number
    names = {
        "SET_CONFIGURATION": "SET_CONFIG",
        "GET_CONFIGURATION": "GET_CONFIG",
        "CLEAR_AN_ALARM": "CLEAR_ALARM",
    }
    for number, name in numbered("Command").items():
        assert getattr(command, names.get(name, name)) == number
    for number, name in numbered("Status").items():
        assert getattr(note_codes, name) == number
    assert set(numbered("Status").values()) == {name for name in vars(note_codes) if name.isupper()}
    assert len(numbered("Alarm")) == 6
    assert len(numbered("Command")) == 9


def test_the_bounds_in_the_text_are_the_codes() -> None:
    for words in (
        f"more than {cbor.MAX_ITEMS} items",
        f"more than {['', 'one', 'two', 'three', 'four'][cbor.MAX_DEPTH]} deep",
        f"more than {frame.MAX_PAYLOAD} bytes",
        f"of more than {counts.MAX_SIZE} bytes",
        f"At most {backfill.MAX_ROWS} rows",
        f"at most {health.MAX_CRASH} bytes",
        f"at most {flow.MAX_SPEED // 10} km/h",
        f"in seconds, 1 to {status.MAX_INTERVAL_S}",
    ):
        assert words in TEXT
    assert "above 2²¹-1" in TEXT
    assert counts.MAX_COUNT == 2**21 - 1
    assert "below 2³⁵" in TEXT
    assert status.MAX_TOTAL == 2**35 - 1


def test_the_lists_of_codes_in_the_text_are_the_codes() -> None:
    def listed(opening: str, kind: str) -> dict[int, str]:
        _, _, behind = TEXT.partition(opening)
        return {
            int(number): name
            for number, name in re.findall(kind, behind.partition(".\n")[0].partition(". Dir")[0])
        }

    assert listed("Classes: ", r"(\d) (\w+)") == dict(enumerate(channel.CLASSES))
    assert listed("Directions: ", r"(\d) (unknown|in|out|both)\b") == dict(enumerate(channel.DIRECTIONS))
    results = {"0 done": answer.OK, "1 unknown kind": answer.UNKNOWN_KIND, "2 bad arguments": answer.BAD_ARGS}
    results |= {"3 refused": answer.REFUSED, "4 no record": answer.NO_RECORD, "5 taken": answer.INCOMPLETE}
    bits = {
        "0 and 1: *generation*": state.GENERATION,
        "2: *unsynced*": state.UNSYNCED,
        "3: fault": state.FAULT,
    }
    bits |= {"4: low battery": state.LOW_BATTERY, "5: tamper": state.TAMPER}
    assert all(words in TEXT for words in [*results, *bits])
    assert [int(words[0]) for words in results] == list(results.values())
    assert [1 << int(words[0]) for words in list(bits)[1:]] == list(bits.values())[1:]


def test_every_link_of_the_specification_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (Path(ROOM) / target).exists(), target
