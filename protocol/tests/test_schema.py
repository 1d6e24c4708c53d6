"""The CDDL schema is the authority: it accepts every valid vector, and refuses what a schema can refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from zcbor import CddlValidationError, DataTranslator

from protocol.tests import strategies
from protocol.tests.micropython import ROOM
from protocol.tests.test_fuzz import cbor2_reading
from zaehlwerk_protocol import frames
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.frame import Frame

MANY = 1000
SCHEMA = DataTranslator.from_cddl(
    (ROOM / "schema" / "zaehlwerk.cddl").read_text(encoding="utf-8"), MANY
).my_types


def vectors(kind: str) -> list[Any]:
    """(frame's name, vector) of all vectors of a kind that are about frames."""
    contents = [json.loads(file.read_text()) for file in sorted((ROOM / "vectors").glob("*.json"))]
    return [
        pytest.param(content["frame"], vector, id=f"{content['frame']}: {vector['name']}")
        for content in contents
        if content["port"] is not None
        for vector in content[kind]
    ]


def refused(frame: str, data: bytes) -> bool:
    try:
        SCHEMA[frame].validate_str(data)
    except CddlValidationError:
        return True
    return False


@pytest.mark.parametrize(("frame", "vector"), vectors("valid"))
def test_a_valid_vector_is_valid(frame: str, vector: dict[str, Any]) -> None:
    SCHEMA[frame].validate_str(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize(("frame", "vector"), vectors("invalid"))
def test_an_invalid_vector_says_who_refuses_it(frame: str, vector: dict[str, Any]) -> None:
    """The encoding's rules, the schema, or a rule that only the specification has."""
    data = bytes.fromhex(vector["hex"])
    encoded_as_it_must_be = not isinstance(cbor2_reading(data), Exception)
    if vector["refused_by"] == "encoding":
        assert not encoded_as_it_must_be
    elif vector["refused_by"] == "schema":
        assert refused(frame, data)
    else:
        assert vector["refused_by"] == "rule"
        assert encoded_as_it_must_be
        assert not refused(frame, data)


@given(strategies.any_frames)
@settings(max_examples=60)
def test_whatever_the_codec_writes_is_valid(frame: Frame) -> None:
    try:
        data = frame.encode()  # type: ignore[attr-defined]
    except FrameError:
        return
    SCHEMA[type(frame).__name__.lower()].validate_str(data)


def test_every_frame_has_its_rule_in_the_schema() -> None:
    assert {kind.__name__.lower() for kind in frames.BY_PORT.values()} <= set(SCHEMA)
