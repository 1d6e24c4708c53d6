"""The air's own look at nonces and counters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from zaehlwerk_tools.air_audit import Reuse, broken_rules, reused
from zaehlwerk_tools.simulator.chips.chip import Violation
from zaehlwerk_tools.simulator.duty_cycle import DutyCycle

EUIS = bytes(range(16))


def entry(
    payload: bytes, *, sender: int | str = 1, at_ns: int = 0, direction: str = "up"
) -> dict[str, object]:
    return {"direction": direction, "sender": sender, "end_ns": at_ns, "payload": payload.hex()}


def join(nonce: int, mic: bytes = b"mmmm") -> bytes:
    return b"\0" + EUIS + nonce.to_bytes(2, "little") + mic


def data(counter: int, payload: bytes, address: bytes = b"addr") -> bytes:
    return b"\x40" + address + b"\x80" + counter.to_bytes(2, "little") + payload + b"mmmm"


def test_rising_nonces_and_counters_are_in_order() -> None:
    log = [entry(join(0)), entry(join(1)), *(entry(data(n, b"x")) for n in range(100))]
    assert reused(log) == []


def test_a_nonce_used_twice_is_found_even_for_the_same_bytes() -> None:
    assert reused([entry(join(7)), entry(join(7), at_ns=5)]) == [Reuse(1, 5, "DevNonce", 7)]


def test_each_board_has_its_own_nonces() -> None:
    assert reused([entry(join(7)), entry(join(7), sender=2)]) == []


def test_a_frame_repeated_byte_for_byte_is_a_repetition() -> None:
    assert reused([entry(data(3, b"x")), entry(data(3, b"x"))]) == []


def test_a_counter_for_another_frame_is_found() -> None:
    assert reused([entry(data(3, b"x")), entry(data(3, b"y"), at_ns=9)]) == [Reuse(1, 9, "FCnt", 3)]


def test_under_a_new_address_counters_begin_again() -> None:
    assert reused([entry(data(3, b"x")), entry(join(0)), entry(data(3, b"y", b"new!"))]) == []


def test_a_join_request_alone_does_not_allow_a_counter_again() -> None:
    log = [entry(data(3, b"x")), entry(join(0)), entry(data(3, b"y"), at_ns=9)]
    assert reused(log) == [Reuse(1, 9, "FCnt", 3)]


def test_downlinks_are_not_looked_at() -> None:
    log = [entry(data(3, payload), sender="gateway", direction="down") for payload in (b"x", b"y")]
    assert reused(log) == []


def test_every_broken_rule_is_told_in_words() -> None:
    duty_cycle = DutyCycle()
    duty_cycle.add("board 2", 868_650_000, 1_781_733_600_000_000_000, 50_000_000)
    radio = SimpleNamespace(violations=[Violation(1_781_733_600_000_000_000, "a command while BUSY is high")])
    board = cast("Any", SimpleNamespace(name="board 3", radio=radio))
    log = [entry(data(3, b"x")), entry(data(3, b"y"), at_ns=1_781_733_600_000_000_000)]
    assert broken_rules(log, duty_cycle, [board]) == [
        "board 1 used FCnt 3 for a second frame, at 2026-06-17 22:00:00 UTC",
        "board 2 was on the air for 0.05 s of the hour before 2026-06-17 22:00:00 UTC at 868.650 MHz, where 0.00 s are allowed",
        "board 3, radio chip, 2026-06-17 22:00:00 UTC: a command while BUSY is high",
    ]


def test_a_run_in_which_nobody_broke_a_rule_tells_nothing() -> None:
    assert broken_rules([entry(join(0)), entry(data(0, b"x"))], DutyCycle(), []) == []
