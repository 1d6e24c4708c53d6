"""The pulse generator's program: one line of JSON in, pulses out, one line of JSON back.

    {"pins": [GPIO, ...], "inverted": 0 or 1, "lines": [[start_us, [[count, [us, ...]], ...]], ...]}

Answers {"armed": lines}, waits for a line "go", answers {"begun": 1}, plays, and answers {"played": edges, "latest_us": us}.
What it cannot do it answers as {"error": text}. All pins are inactive before and after.
"""

import json
import sys
import time

import player
from machine import Pin


def _wait_for_order():
    order = json.loads(sys.stdin.readline())
    pins, inverted = order["pins"], order.get("inverted", 0)
    lines = [(start, segments) for start, segments in order["lines"]]
    if len(pins) != len(lines):
        raise ValueError(f"{len(pins)} pins for {len(lines)} lines")
    for _, segments in lines:
        for count, durations in segments:
            if min(durations) <= 0 or (len(durations) != 1 if not count else len(durations) % 2):
                raise ValueError(f"segment {count, durations}")
    return [Pin(pin, Pin.OUT, value=inverted) for pin in pins], inverted, lines


def serve_once():
    """Take one order and carry it out."""
    try:
        pins, inverted, lines = _wait_for_order()
    except (ValueError, KeyError, TypeError, IndexError) as error:
        print(json.dumps({"error": repr(error)}))
        return
    print(json.dumps({"armed": len(lines)}))
    if sys.stdin.readline().strip() != "go":
        print(json.dumps({"error": "not begun"}))
        return
    print(json.dumps({"begun": 1}))
    played, latest = player.play(
        lines,
        lambda number, level: pins[number].value(level ^ inverted),
        time.ticks_us,
        time.ticks_diff,
        time.sleep_us,
    )
    print(json.dumps({"played": played, "latest_us": latest}))


if __name__ == "__main__":
    while True:
        serve_once()
