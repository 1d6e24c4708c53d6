"""What a node's sensors note of themselves reaches the platform, in words and by the channels' names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.tests.ledger.frames import INTERVAL_S, Device, at
from zaehlwerk_bridge.reports import NOTES
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol import note_codes
from zaehlwerk_protocol.status import Status

TWO = {"channels": "in,out", "classes": "bicycle,bicycle", "directions": "in,out"}


def told(status: Status) -> dict[str, Any]:
    """The message on the status topic; its form is checked against the schema on its way."""
    store = Store(":memory:")
    store.commit([Device(**TWO).event(status, at(0))], at(0))
    (message,) = [json.loads(row.payload) for row in store.outbox() if row.topic.endswith("/status")]
    return message  # type: ignore[no-any-return]


def noted(minutes: int, *channels: tuple[int, int]) -> dict[str, Any]:
    return told(Status(1, 0, 1, INTERVAL_S, notes=(minutes, channels)))["notes"]  # type: ignore[no-any-return]


def test_what_a_channel_noted_is_told_in_words_with_its_share_of_the_time() -> None:
    codes = note_codes.MERGED | note_codes.UNVERIFIED
    assert noted(1440, (0, 0), (codes, 3)) == {
        "minutes": 1440,
        "channels": [{"name": "out", "notes": ["merged", "unverified"], "share": 0.03}],
    }


def test_a_day_without_any_note_is_told_too() -> None:
    assert noted(1440) == {"minutes": 1440, "channels": []}


def test_a_status_that_says_nothing_of_notes_tells_nothing_of_them() -> None:
    assert told(Status(1, 0, 1, INTERVAL_S))["notes"] is None


def test_a_note_of_a_later_version_is_told_as_its_number() -> None:
    assert noted(60, (1 << 14 | note_codes.SHORT, 100))["channels"][0]["notes"] == ["short", "16384"]


@pytest.mark.parametrize("name", [name for name in vars(note_codes) if name.isupper()])
def test_every_code_has_its_word(name: str) -> None:
    assert NOTES[getattr(note_codes, name)] == name.lower()
