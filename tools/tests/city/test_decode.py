"""`zaehlwerk decode` says what a frame says, or in one line why it is none."""

from __future__ import annotations

import json

import pytest

from zaehlwerk_protocol.alarm import Alarm
from zaehlwerk_protocol.channel import class_code, direction_code
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.health import Health
from zaehlwerk_protocol.state import FAULT, UNSYNCED
from zaehlwerk_protocol.status import Status
from zaehlwerk_tools.decode import decoded
from zaehlwerk_tools.errors import ZaehlwerkError

COUNTS = Counts(20, 1 | UNSYNCED | FAULT, (1000, 2000), ((3, 4), (5, 6))).encode().hex()


def test_a_frame_is_told_field_by_field_with_its_state_in_words() -> None:
    told = dict(line.split(maxsplit=1) for line in decoded(COUNTS, 1).splitlines())
    assert told["frame"] == "counts"
    assert told["index"] == "20"
    assert told["totals"] == "1000 | 2000"
    assert told["history"] == "3, 4 | 5, 6"
    assert told["state"] == "13  (generation 1, clock unsynced, fault)"


def test_json_is_one_line_with_the_same_numbers() -> None:
    text = decoded(COUNTS, 1, as_json=True)
    assert text.count("\n") == 1
    told = json.loads(text)
    assert told["totals"] == [1000, 2000]
    assert told["history"] == [[3, 4], [5, 6]]


def test_a_status_tells_health_and_channels_in_words() -> None:
    ways = [(class_code("bicycle"), direction_code(way)) for way in ("in", "out")]
    health = Health(firmware=0x010203, boots=4, uptime_s=3600, battery_mv=3650, channels=ways)
    text = decoded(Status(1, 0, 12345, 900, (7, (1, 2)), None, health).encode().hex(), 2)
    assert "(1.2.3)" in text
    assert "(bicycle in, bicycle out)" in text
    assert "anchor      7 | 1, 2" in text


def test_an_alarm_tells_its_kind_and_a_kind_of_a_later_version_as_such() -> None:
    assert "kind    4  (low battery)" in decoded(Alarm(1, 0, 4, True).encode().hex(), 5)
    assert "kind    99  (of a later version)" in decoded(Alarm(1, 0, 99, True).encode().hex(), 5)


@pytest.mark.parametrize("separator", [" ", ":", "-"])
def test_separators_between_bytes_and_a_prefix_are_allowed(separator: str) -> None:
    spread = separator.join(COUNTS[n : n + 2] for n in range(0, len(COUNTS), 2))
    assert decoded(spread, 1) == decoded("0x" + COUNTS.upper(), 1) == decoded(COUNTS, 1)


@pytest.mark.parametrize(
    ("text", "port", "says"),
    [
        ("8414014", 1, "not hexadecimal"),
        ("hello", 1, "not hexadecimal"),
        ("ff", 1, "not a frame of FPort 1"),
        (COUNTS, 99, "not a frame of FPort 99"),
        (COUNTS, 256, "an FPort is 0 to 255"),
        (COUNTS + "00", 1, "not a frame of FPort 1"),
    ],
)
def test_what_is_no_frame_is_refused_in_one_line(text: str, port: int, says: str) -> None:
    with pytest.raises(ZaehlwerkError) as error:
        decoded(text, port)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
