"""The report: everything is in it, and nothing is fetched."""

from __future__ import annotations

import re
from typing import Any

from hil_tests.report import FAILED, PASSED, SKIPPED, Result, page

TRACE: dict[str, Any] = {
    "frames": [[2.5, 5, "join"], [8.0, 5, "data"], [72.0, 0, "data"]],
    "unheard": [[30.0, 3]],
    "totals": [[72.0, [12, 3]], [132.0, [20, 3]]],
    "played": [[[10.0, 1], [60.0, 20]], []],
    "starts": ["power", "watchdog"],
}
RESULTS = [
    Result("hil_tests/suite/test_a.py::test_pulses_are_counted[64]", PASSED, 1.25, trace=TRACE),
    Result("hil_tests/suite/test_b.py::test_it_joins", FAILED, 2.0, "assert <1> == 2"),
    Result("hil_tests/suite/test_c.py::test_power", SKIPPED, 0.0, "the rig has no power_switch"),
]


def test_what_failed_comes_first_with_what_it_said() -> None:
    text = page({"firmware": "1.0 <beta>"}, RESULTS)
    assert re.findall(r'<h2><span class="(\w+)">', text) == [FAILED, SKIPPED, PASSED]
    assert "assert &lt;1&gt; == 2" in text
    assert "the rig has no power_switch" in text
    assert "1.0 &lt;beta&gt;" in text
    assert "1 passed</span>, <span" in text
    assert "pulses are counted (64)" in text


def test_a_test_with_frames_has_pictures_of_counts_and_air() -> None:
    text = page({}, RESULTS)
    assert text.count("<svg") == 2
    assert text.count("<path") == len(TRACE["frames"]) + len(TRACE["unheard"])
    # A line for each channel that was told, and for each that was played.
    assert text.count("<polyline") == 2 + 1
    assert "2 starts: power, watchdog" in text
    assert "3 uplinks in 1 min" in text


def test_the_page_needs_nothing_else() -> None:
    text = page({}, RESULTS)
    assert not re.search(r"https?://|<script|<link|src=|@import|url\(", text)
    assert "default-src 'none'" in text
