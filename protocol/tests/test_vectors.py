"""The test vectors bind every codec: CPython's, MicroPython's on 64 and 32 bit, and whoever else reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from protocol.tests import micropython
from zaehlwerk_protocol import frames

FILES = sorted((micropython.ROOM / "vectors").glob("*.json"))
CHECK = "check_vectors.py"


def contents() -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in FILES]


def checked(output: str) -> None:
    result = json.loads(output)
    assert result["wrong"] == []
    assert result["checked"] == sum(len(content["valid"]) + len(content["invalid"]) for content in contents())


def test_cpython_reads_and_writes_the_valid_and_refuses_the_invalid() -> None:
    command = [sys.executable, str(micropython.SCRIPTS / CHECK), *map(str, FILES)]
    checked(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)


@pytest.mark.parametrize("name", micropython.BOTH)
def test_micropython_reads_and_writes_the_valid_and_refuses_the_invalid(name: str) -> None:
    checked(micropython.run(name, CHECK, FILES))


def test_a_vector_that_is_wrong_is_found(tmp_path: Any) -> None:
    """The check can fail: a field changed, bytes changed, a valid one among the invalid."""
    content = json.loads((micropython.ROOM / "vectors" / "counts.json").read_text())
    valid = content["valid"][1]
    changed = {**valid, "fields": {**valid["fields"], "index": 1}}
    broken = {**valid, "hex": valid["hex"] + "00"}
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({**content, "valid": [changed, broken], "invalid": [valid]}))
    result = json.loads(micropython.run("micropython", CHECK, [file]))
    assert result["checked"] == 3
    assert ["read as" in text or "FrameError" in text or "accepted" in text for text in result["wrong"]] == [
        True
    ] * 3


def test_every_frame_has_vectors_of_both_kinds() -> None:
    ports = {content["port"]: content for content in contents()}
    assert set(ports) == set(frames.BY_PORT) | {None}
    for content in ports.values():
        assert content["valid"]
        assert content["invalid"]


def test_every_vector_has_a_name_of_its_own_and_bytes_of_its_own() -> None:
    for content in contents():
        vectors = content["valid"] + content["invalid"]
        assert len({vector["name"] for vector in vectors}) == len(vectors)
        assert len({vector["hex"] for vector in vectors}) == len(vectors)


def test_the_vector_of_the_longest_count_frame_is_as_long_as_it_says() -> None:
    lengths = {
        vector["name"]: len(vector["hex"]) // 2
        for content in contents()
        if content["frame"] == "counts"
        for vector in content["valid"]
    }
    assert lengths["exactly 36 bytes"] == max(lengths.values()) == 36
