"""`zaehlwerk count-test`: hand beside node on a virtual board, the record, and what the broker gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import zaehlwerk_tools
from tools.tests.technician.counting_board import RECORD, counting, keep_unit, undisturbed
from tools.tests.technician.test_provision import ONE, image
from tools.tests.technician.test_unit import Ended, zaehlwerk
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.gateway_backend.addresses import mqtt_address
from zaehlwerk_tools.serial_board.virtual_board import VirtualBoard
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.technician.broker_line import open_line
from zaehlwerk_tools.technician.count_test import Tally, live_lines, result_lines
from zaehlwerk_tools.technician.node_state import ChannelState, NodeState
from zaehlwerk_tools.technician.troubles import NoBrokerError, Status

__all__ = ["image"]

SCHEMA = json.loads((Path(zaehlwerk_tools.__file__).parent / "data" / "count-test.json").read_text())
TOPIC = "zaehlwerk/v1/hafenstrasse/count-test"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerProcess]:
    folder = tmp_path / "broker"
    folder.mkdir()
    async with await BrokerProcess.start(folder) as started:
        yield started


def url(broker: BrokerProcess) -> str:
    return f"mqtt://{broker.address.host}:{broker.address.port}"


async def count_test(node: VirtualBoard, build: Path, folder: Path, keys: str, *words: str) -> Ended:
    (folder / "keys.txt").write_text(keys)
    fixed = ("--build", str(build), "--by", "A. Muster", "--keys-from", "keys.txt", "--window", "1", "--json")
    record = folder / "records" / f"{ONE}.json"
    before = record.read_text() if record.exists() else None

    async def run() -> Ended:
        if before is not None:  # a count that is done again is to be the only one
            record.write_text(before)
        return await zaehlwerk("count-test", node.port.name, *fixed, *words, cwd=folder)

    return await undisturbed(node, run)


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "records" / f"{ONE}.json").read_text())
    return found


async def test_a_test_is_signed_off_kept_with_the_unit_and_published(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path, broker: BrokerProcess
) -> None:
    # One a second on the first channel, as long as it may take; nothing on the second.
    pulses = {4: range(1000, 60_000, 1000)}
    heard = asyncio.create_task(asyncio.to_thread(heard_by_somebody, url(broker)))
    async with counting(image, stub, tmp_path, pulses) as node:
        keys = "0.5 1\n1.5 1\n2 2\n2.1 -\n2.2 2\n3 e\n3 y\n"
        ended = await count_test(node, built, tmp_path, keys, "--mqtt-url", url(broker), "--note", "Regen")
        assert ended.status == 0, ended
        test = json.loads(ended.out)
        first, second = test["channels"]
        assert (first["name"], first["hand"], second["name"], second["hand"]) == ("inwards", 2, "outwards", 1)
        assert (second["node"], second["missed"], second["difference"]) == (0, 1, -1)
        assert first["node"] >= 2
        assert first["difference"] == first["node"] - 2
        assert first["missed"] == 0
        assert test["published"] == TOPIC
        assert kept(tmp_path) == {**RECORD, "count_tests": [test]}
        topic, document = await heard
        assert topic == TOPIC
        assert {**document, "published": TOPIC} == test
        jsonschema.validate(document, SCHEMA)
        assert ONE not in json.dumps(document)
        assert (document["by"], document["note"], document["station"]) == (
            "A. Muster",
            "Regen",
            "hafenstrasse",
        )


def heard_by_somebody(address: str) -> tuple[str, Any]:
    with open_line(mqtt_address(address)) as line:
        line.subscribe(["zaehlwerk/v1/+/count-test"])
        message = line.message(60)
    assert message is not None
    return message


@pytest.mark.long
async def test_what_is_not_signed_off_is_not_kept(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        for keys, sentence in [
            ("0.1 1\n0.2 e\n0.2 n\n", "not signed off"),
            ("0.1 1\n0.2 e\n", "not signed off"),
            ("0.1 1\n0.2 q\n", "given up"),
        ]:
            ended = await count_test(node, built, tmp_path, keys)
            assert ended.status == Status.REFUSED
            assert sentence in ended.err
        assert kept(tmp_path) == RECORD


@pytest.mark.long
async def test_what_could_not_be_published_is_kept_and_published_by_the_next_test(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path, broker: BrokerProcess
) -> None:
    async with counting(image, stub, tmp_path) as node:
        record = keep_unit(tmp_path)
        nameless = {key: value for key, value in RECORD.items() if key != "station"}
        record.write_text(json.dumps(nameless))
        keys = "0.1 1\n0.2 e\n0.2 y\n"
        ended = await count_test(node, built, tmp_path, keys, "--mqtt-url", url(broker))
        assert ended.status == Status.NO_BROKER
        assert "kept in" in ended.err
        tests = kept(tmp_path)["count_tests"]
        assert [test["published"] for test in tests] == [None]
        tests[0]["station"] = "hafenstrasse"
        record.write_text(json.dumps({**RECORD, "count_tests": tests}))
        ended = await count_test(node, built, tmp_path, keys, "--mqtt-url", url(broker))
        assert ended.status == 0, ended
        assert [test["published"] for test in kept(tmp_path)["count_tests"]] == [TOPIC, TOPIC]


async def test_a_broker_that_is_away_is_told_before_anybody_counts(built: Path, tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("0 e\n")
    words = ("count-test", "/dev/null", "--by", "A", "--build", str(built), "--keys-from", "keys.txt")
    ended = await zaehlwerk(*words, "--mqtt-url", "mqtt://127.0.0.1:1", cwd=tmp_path)
    assert ended.status == Status.NO_BROKER
    assert "cannot be reached" in ended.err


async def test_a_node_without_a_record_is_told_before_anybody_counts(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path
) -> None:
    async with counting(image, stub, tmp_path) as node:
        ended = await count_test(node, built, tmp_path, "0 e\n", "--records", "elsewhere")
    assert ended.status == Status.REFUSED
    assert f"elsewhere/{ONE}.json cannot be read" in ended.err


async def test_a_refused_user_is_told_by_name_of_the_option(tmp_path: Path) -> None:
    with pytest.raises(NoBrokerError, match="--mqtt-url"), open_line(mqtt_address("mqtt://127.0.0.1:1")):
        pass


def state(at: float, *counts: int) -> NodeState:
    return NodeState("port", heard_at=at, channels=[ChannelState("x", count) for count in counts])


def test_only_what_the_node_counts_after_the_first_look_is_taken() -> None:
    tally = Tally(["in", "out"])
    for seen in (state(10, 500, 7), state(11, 502, 7), state(12, 502, 8)):
        tally.see(seen)
    assert tally.node == [[10.5, 10.5], [11.5]]


def test_totals_that_begin_anew_are_no_passages() -> None:
    tally = Tally(["in"])
    for seen in (state(10, 500), state(11, 0), state(12, 1)):
        tally.see(seen)
    assert tally.node == [[11.5]]


def test_a_key_counts_its_channel_and_the_last_one_is_taken_back() -> None:
    tally = Tally(["in", "out"])
    for at, key in enumerate("12-2-x3"):
        tally.press(key, float(at))
    assert tally.hand == [[0.0], []]
    tally.press("-", 9.0)
    tally.press("-", 9.0)
    assert tally.hand == [[], []]


def test_what_people_see_fits_79_columns() -> None:
    tally = Tally(["ein sehr langer Name einer Zählrichtung, stadteinwärts"] * 8)
    for number in range(12_345):
        tally.press("1", float(number))
    lines = live_lines(tally, 3.0, 7200.0, ending=False) + result_lines(tally.results(3.0))
    assert max(map(len, lines)) <= 79
    assert "12345" in lines[1]
    assert "100.0% (95 %: 100.0% to 100.0%)" in "\n".join(lines)
