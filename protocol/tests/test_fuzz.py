"""Whatever arrives: accepted and written again byte for byte as PyPI's cbor2 reads it, or refused by FrameError."""

from __future__ import annotations

import random
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.tests import micropython, mutation, strategies
from zaehlwerk_protocol import cbor, frames
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.frame import Frame

BATCH = 2000
any_port = st.sampled_from([*frames.BY_PORT, 0, 7, 223])
# A head of a major type and an announced length, and then some bytes: far more often nearly right than random bytes.
heads = st.builds(
    lambda major, info, rest: bytes([major << 5 | info]) + rest,
    st.integers(0, 7),
    st.integers(0, 31),
    st.binary(max_size=9),
)
nearly_cbor = st.lists(heads, max_size=6).map(b"".join)
any_bytes = st.binary(max_size=60) | nearly_cbor


def as_ours(value: Any) -> object:
    """What cbor2 read, with arrays as tuples."""
    return tuple(as_ours(item) for item in value) if isinstance(value, list) else value


def items(value: object) -> int:
    """How many items `value` has, arrays counted."""
    # cbor2's simple values are tuples too, by inheritance.
    return 1 + sum(items(item) for item in value) if isinstance(value, tuple) and type(value) is tuple else 1


def in_our_profile(value: object, depth: int = cbor.MAX_DEPTH) -> bool:
    """Whether `value` is one that frames may hold: no text, map, tag or float, not too deep and not too long."""
    if isinstance(value, tuple) and type(value) is tuple:
        return depth > 0 and all(in_our_profile(item, depth - 1) for item in value)
    if isinstance(value, int):
        return -(2**64) <= value < 2**64
    return value is None or isinstance(value, bytes)


def cbor2_reading(data: bytes) -> object:
    """The value if `data` is its one deterministic encoding and of our profile, else the error itself."""
    try:
        value = cbor2.loads(data)
        deterministic = cbor2.dumps(value, canonical=True) == data
    except Exception as error:  # noqa: BLE001 - it has many
        return error
    ours = as_ours(value)
    fits = in_our_profile(ours) and items(ours) <= cbor.MAX_ITEMS
    return ours if deterministic and fits else ValueError("outside of the profile")


def agrees_with_cbor2(data: bytes) -> None:
    expected = cbor2_reading(data)
    try:
        value = cbor.decode(data)
    except FrameError:
        assert isinstance(expected, Exception), f"refused, but is {expected!r}"
        return
    # By their texts, because True == 1.
    assert repr(value) == repr(expected)
    assert cbor.encode(value) == data


def accepted_or_refused(port: int, data: bytes) -> str:
    """What a reader answers; fails if it accepts what would be written otherwise."""
    try:
        frame = frames.decode(port, data)
    except FrameError:
        return "refused"
    again: bytes = frame.encode()  # type: ignore[attr-defined]
    assert again == data
    assert not isinstance(cbor2_reading(data), Exception)
    return again.hex()


@given(any_bytes)
def test_the_codec_accepts_exactly_what_cbor2_reads_and_would_write_so(data: bytes) -> None:
    agrees_with_cbor2(data)


@given(st.lists(st.sampled_from([0, (), (0,) * 20]), max_size=80))
def test_the_codec_counts_items_as_cbor2_reads_them(values: list[object]) -> None:
    agrees_with_cbor2(cbor2.dumps(values, canonical=True))


@given(strategies.values)
def test_the_codec_writes_what_cbor2_writes(value: object) -> None:
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@given(any_port, any_bytes)
def test_random_bytes_are_a_frame_or_refused(port: int, data: bytes) -> None:
    accepted_or_refused(port, data)


@given(strategies.any_frames, st.randoms(use_true_random=False), any_port)
def test_a_frame_with_faults_is_a_frame_or_refused(frame: Frame, dice: random.Random, port: int) -> None:
    try:
        data: bytes = frame.encode()  # type: ignore[attr-defined]
    except FrameError:
        return
    faulty = mutation.mutated(dice, data, data)
    accepted_or_refused(frame.PORT, faulty)
    accepted_or_refused(port, faulty)
    agrees_with_cbor2(faulty)


def test_the_batch_of_faults_holds_enough_of_both() -> None:
    """Else the comparison with MicroPython would show little."""
    answers = [accepted_or_refused(port, data) for port, data in mutation.mutants(1, BATCH)]
    assert answers.count("refused") > BATCH / 2
    assert len(answers) - answers.count("refused") > BATCH / 20


@pytest.mark.parametrize("name", micropython.BOTH)
def test_micropython_gives_the_same_answer_to_the_same_bytes(name: str) -> None:
    """In a heap of 256 kB, whatever lengths the bytes announce."""
    batch = list(mutation.mutants(2, BATCH))
    answers = micropython.run(
        name, "read_frames.py", text="".join(f"{port} {data.hex()}\n" for port, data in batch)
    )
    assert answers.splitlines() == [accepted_or_refused(port, data) for port, data in batch]


def test_an_announced_length_costs_no_memory() -> None:
    import tracemalloc

    announced = [
        bytes.fromhex(head + "1000000000000000")
        for head in ("9b", "5b", "819b", "8401025b", "84000042000040819b")
    ]
    tracemalloc.start()
    try:
        for data in announced:
            for port in frames.BY_PORT:
                with pytest.raises(FrameError):
                    frames.decode(port, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000
