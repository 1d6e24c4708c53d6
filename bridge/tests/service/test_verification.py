"""Asking a broker what was published of stations: what counts as an answer, and whose answers belong together."""

from __future__ import annotations

import json
from collections.abc import Sequence

from zaehlwerk_bridge.verification import Question

MARK = b'{"asked":"b1.1"}'


def company_of(_station: str, payload: bytes) -> Sequence[str]:
    return list(json.loads(payload))


def question(*groups: set[str]) -> Question:
    return Question(groups, MARK.decode(), company_of, 10)


def held(*company: str) -> bytes:
    """A retained message that names these others."""
    return json.dumps(list(company)).encode()


def test_a_station_is_asked_for_once() -> None:
    asking = question({"neutor"}, {"ring", "hafen"})
    assert asking.to_ask() == ["hafen", "neutor", "ring"]
    assert asking.to_ask() == []


def test_the_mark_alone_says_that_there_is_no_checkpoint() -> None:
    asking = question({"neutor"})
    asking.to_ask()
    assert asking.answers() == []
    asking.take("neutor", MARK, retained=False)
    assert asking.answers() == [{"neutor": None}]
    assert asking.over


def test_the_retained_message_is_no_answer_before_the_mark() -> None:
    asking = question({"neutor"})
    asking.take("neutor", held(), retained=True)
    assert (asking.answers(), asking.silent) == ([], True)
    asking.take("neutor", MARK, retained=False)
    assert (asking.answers(), asking.silent) == ([{"neutor": held()}], False)


def test_another_bridges_mark_and_a_retained_mark_are_no_answers() -> None:
    asking = question({"neutor"})
    asking.take("neutor", b'{"asked":"b2.1"}', retained=False)
    asking.take("neutor", b'["ring"]', retained=False)
    assert asking.answers() == []
    assert asking.silent


def test_of_two_retained_messages_the_newer_one_counts_and_an_empty_one_clears() -> None:
    asking = question({"neutor"}, {"ring"})
    for station in ("neutor", "ring"):
        asking.take(station, held("hafen"), retained=True)
    asking.take("neutor", held(), retained=True)
    asking.take("ring", b"", retained=True)
    asking.take("neutor", MARK, retained=False)
    asking.take("ring", MARK, retained=False)
    assert sorted(asking.answers(), key=str) == [{"neutor": held()}, {"ring": None}]


def test_whoever_a_checkpoint_names_is_asked_for_too_and_their_groups_become_one() -> None:
    asking = question({"neutor"}, {"ring"}, {"dom"})
    asking.to_ask()
    asking.take("neutor", held("hafen", "ring"), retained=True)
    asking.take("neutor", MARK, retained=False)
    assert asking.to_ask() == ["hafen"]
    asking.take("dom", MARK, retained=False)
    assert asking.answers() == [{"dom": None}]
    asking.take("ring", MARK, retained=False)
    assert asking.answers() == []
    asking.take("hafen", held("neutor"), retained=True)
    asking.take("hafen", MARK, retained=False)
    assert asking.answers() == [{"hafen": held("neutor"), "neutor": held("hafen", "ring"), "ring": None}]
    assert asking.over


def test_a_group_waits_as_long_as_something_of_it_is_on_its_way() -> None:
    asking = question({"neutor", "ring"}, {"dom"})
    for station in ("neutor", "ring", "dom"):
        asking.take(station, MARK, retained=False)
    assert asking.answers(busy={"ring"}) == [{"dom": None}]
    assert not asking.silent
    assert asking.answers(busy=set()) == [{"neutor": None, "ring": None}]


def test_only_groups_with_somebody_silent_are_given_up_and_the_silent_are_named() -> None:
    asking = question({"neutor", "ring"}, {"dom"})
    asking.take("neutor", MARK, retained=False)
    asking.take("dom", MARK, retained=False)
    assert asking.give_up() == [(["neutor", "ring"], ["ring"])]
    assert not asking.over
    assert asking.give_up() == []
    assert asking.answers() == [{"dom": None}]
    assert asking.over
