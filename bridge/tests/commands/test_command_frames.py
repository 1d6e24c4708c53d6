"""Which frames a command becomes: parts of settings, long periods, tokens. Pure but for the table of tokens."""

import hashlib
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.tests.ledger.frames import DEV_EUI, Device, at
from zaehlwerk_bridge.commands import results
from zaehlwerk_bridge.commands.life import Downlink
from zaehlwerk_bridge.commands.planning import (
    FRAME_BYTES,
    FRAME_BYTES_MOST,
    SECRETS,
    Impossible,
    document,
    frame,
    plan,
)
from zaehlwerk_bridge.commands.request import read_request
from zaehlwerk_bridge.settings import CommandsSettings
from zaehlwerk_bridge.station import Station, from_tags
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol.answer import BAD_ARGS, NO_RECORD, OK, Answer
from zaehlwerk_protocol.command import GET_CONFIG, MAX_PARTS, MAX_TOKEN, SET_CONFIG, Command

PLACE: Station = from_tags(
    {"station": "n", "channels": "in,out", "classes": "bicycle", "directions": "in,out"}, "n"
)
NOW_NS = at(0)


def planned(content: dict[str, object], interval_s: int | None = 900) -> list[tuple[object, ...]]:
    request = read_request(json.dumps({"id": "a", **content}).encode(), 100_000)
    return list(plan(request, PLACE, interval_s, NOW_NS).frames)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8),
        st.integers() | st.text(max_size=30) | st.booleans(),
        min_size=1,
        max_size=25,
    )
)
def test_the_parts_of_settings_are_the_document_and_fit_the_slowest_data_rate(
    settings: dict[str, object],
) -> None:
    for secret in SECRETS:
        settings.pop(secret, None)
    if not settings:
        return
    frames = planned({"command": "set_config", "settings": settings})
    pieces = b"".join(bytes(arguments[3]) for arguments in frames)  # type: ignore[arg-type]
    assert json.loads(pieces) == settings
    digest = hashlib.sha256(pieces).digest()[:4]
    assert [arguments[:3] for arguments in frames] == [
        (part, len(frames), digest) for part in range(len(frames))
    ]
    for arguments in frames:
        encoded = frame(SET_CONFIG, arguments, MAX_TOKEN)
        assert len(encoded) <= FRAME_BYTES
        assert Command.decode(encoded).args == arguments


def test_parts_grow_only_if_there_would_be_too_many_of_them() -> None:
    def sizes(length: int) -> tuple[int, int]:
        frames = planned({"command": "set_config", "settings": {"a": "x" * length}})
        return len(frames), max(len(frame(SET_CONFIG, arguments, MAX_TOKEN)) for arguments in frames)

    assert sizes(10) == (1, 32)
    parts, size = sizes(1150)
    assert parts <= MAX_PARTS
    assert size <= FRAME_BYTES
    parts, size = sizes(2000)
    assert FRAME_BYTES < size <= FRAME_BYTES_MOST
    assert parts <= MAX_PARTS
    with pytest.raises(Impossible, match="at most 2176 fit the frames"):
        sizes(2200)


def test_a_long_period_takes_several_backfills_that_lie_side_by_side() -> None:
    # 30 days of five minutes.
    content: dict[str, object] = {
        "command": "backfill",
        "from": "2026-05-20T00:00:00Z",
        "to": "2026-05-30T00:02:00Z",
    }
    frames = planned(content, interval_s=300)
    first = 1779235200 // 300
    assert frames == [
        *((0, (first + at_once) % 65536, 512) for at_once in range(0, 2560, 512)),
        (0, (first + 2560) % 65536, 321),
    ]


def test_a_period_that_reaches_into_the_future_ends_now() -> None:
    content: dict[str, object] = {
        "command": "backfill",
        "from": "2026-06-21T00:00:00Z",
        "to": "2027-01-01T00:00:00Z",
    }
    assert [arguments[2] for arguments in planned(content)] == [2]
    with pytest.raises(Impossible, match="in the past"):
        planned({**content, "from": "2026-12-01T00:00:00Z"})
    with pytest.raises(Impossible, match="first status frame"):
        planned(content, interval_s=None)


def test_channels_are_named_as_the_station_names_them() -> None:
    content: dict[str, object] = {"command": "clear_alarm", "alarm": "congestion"}
    assert planned(content) == [(6, 0)]
    assert planned({**content, "channels": ["out"]}) == [(6, 2)]
    assert planned({**content, "channels": ["out", "in"]}) == [(6, 3)]
    with pytest.raises(Impossible, match="the station has in, out"):
        planned({**content, "channels": ["up"]})


def _said(*pieces: bytes) -> list[Downlink]:
    return [
        Downlink(part, part, b"", result=OK, data=Answer(part, GET_CONFIG, OK, (len(pieces), piece)).encode())
        for part, piece in enumerate(pieces)
    ]


def test_what_a_node_says_of_its_settings_is_told_whole_or_as_bytes_and_never_a_key() -> None:
    assert document(_said(b'{"a":', b"1}")) == {"settings": {"a": 1}}
    assert document(_said(b'{"5":300,"13":[{"1":"kfz"}]}')) == {
        "settings": {"interval_s": 300, "channels": [{"class": "kfz"}]}
    }
    assert document(_said(b'{"app_key":"00","a":1}')) == {"settings": {"a": 1}}
    assert document(_said(b'{"3":"00","a":1,"app_key":"00"}')) == {"settings": {"a": 1}}
    assert document(_said(b"\xff")) == {"document": "ff"}
    assert document(_said(b"[1]")) == {"document": b"[1]".hex()}
    nothing = Downlink(0, 0, b"", result=OK, data=Answer(0, GET_CONFIG, OK).encode())
    assert document([nothing]) == {}


@pytest.mark.parametrize("name", ["app_key", "nwk_key", "3"])
def test_a_key_never_goes_to_a_node_by_whatever_name(name: str) -> None:
    with pytest.raises(Impossible, match=r"(app|nwk)_key never travels"):
        planned({"command": "set_config", "settings": {"interval_s": 300, name: "00" * 16}})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            (b"interval_s: must be a whole number from 60 to 3600",),
            {"reason": "interval_s: must be a whole number from 60 to 3600"},
        ),
        (("Straße".encode()[:5],), {"reason": "Stra"}),
        ((), {}),
        ((b"",), {"data": [""]}),
        ((7, b"x"), {"data": [7, "78"]}),
    ],
)
def test_what_a_node_says_is_wrong_with_arguments_is_told_in_its_words(
    said: tuple[object, ...], told: dict[str, object]
) -> None:
    content = results.foreign(Answer(1, SET_CONFIG, BAD_ARGS, said), at(0))["answer"]
    assert content.items() >= {"result": "bad_args", **told}.items()
    assert content.keys() == {"received", "token", "result", *told}


def test_data_of_other_results_is_no_reason() -> None:
    content = results.foreign(Answer(1, SET_CONFIG, NO_RECORD, (b"abc",)), at(0))["answer"]
    assert content["data"] == ["616263"]


def test_no_two_commands_that_are_kept_of_a_node_have_the_same_token() -> None:
    """Also if they came in the same second; and a token is begun with by the time, which a copy of the store shares."""
    store = Store(":memory:")
    store.commit([Device().status(0, 7)], at(0))
    limits = CommandsSettings(open_per_station=100)
    for number in range(20):
        payload = json.dumps({"id": f"a{number}", "command": "reboot"}).encode()
        store.commands.take("t", "neutor", payload, limits, at(1))
    entries = store.commands.table.open_of(DEV_EUI)
    tokens = [entry.life.downlinks[0].token for entry in entries]
    assert tokens == [(at(1) // 10**9 + number) % 65536 for number in range(20)]
    with pytest.raises(sqlite3.IntegrityError):
        store._database.execute("INSERT INTO command SELECT * FROM command LIMIT 1")
