"""What the node takes of an ESP32's heap, measured on the 32-bit MicroPython."""

from __future__ import annotations

from collections.abc import Callable

import pytest

HEAP = 128 * 1024
FREE = 0.25
# The share of a radio driver and its board file; without them loaded the rest must do with less.
DRIVER = 7 * 1024


def test_the_node_leaves_a_quarter_of_the_heap_free_beside_a_radio_driver(
    run_on_micropython: Callable[[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = run_on_micropython("32", "heap_probe.py").split()
    most = int(words[words.index("most") + 1])
    with capsys.disabled():
        print(
            f"\nfirmware heap, live: {words[words.index('boot') + 1]} B after boot, {most} B at most, of {HEAP} B"
        )
    assert most + DRIVER <= (1 - FREE) * HEAP
