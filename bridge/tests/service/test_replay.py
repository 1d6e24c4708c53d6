"""Which items of a stream are new, over any number of connections."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_bridge.sources.replay import KEPT_MS, Replay, Verdict


def read(replay: Replay, history: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """One connection: what it hands on."""
    replay.connected()
    taken = []
    for item in history:
        verdict = replay.take(item)
        if verdict is Verdict.RESTARTED:
            replay.restart()
            return taken + read(replay, history)
        if verdict is Verdict.NEW:
            taken.append(item)
    return taken


def test_the_first_connection_hands_on_everything() -> None:
    assert read(Replay(None), [(1, 0), (2, 0)]) == [(1, 0), (2, 0)]


def test_a_later_connection_hands_on_what_follows_the_cursor() -> None:
    assert read(Replay((2, 0)), [(1, 0), (2, 0), (2, 1), (10, 0)]) == [(2, 1), (10, 0)]


def test_ids_are_compared_as_numbers() -> None:
    """As text, 10-0 would come before 9-0."""
    assert read(Replay((9, 0)), [(9, 0), (10, 0)]) == [(10, 0)]


def test_a_history_that_lost_the_cursors_item_is_new_as_a_whole() -> None:
    """Histories lose their oldest items first: nothing of what is left was read."""
    assert read(Replay((2, 0)), [(5, 0), (6, 0)]) == [(5, 0), (6, 0)]


def test_a_history_with_older_items_but_without_the_cursors_began_again() -> None:
    """It is read once more, and everything is handed on: the ledger knows what it has."""
    assert read(Replay((100, 0)), [(1, 0), (2, 0), (101, 0)]) == [(1, 0), (2, 0), (101, 0)]


def test_a_history_that_began_again_below_the_cursor_is_doubtful_until_told() -> None:
    replay = Replay((100, 0))
    assert read(replay, [(1, 0), (2, 0)]) == []
    assert replay.doubtful
    replay.restart()
    assert replay.take((3, 0)) is Verdict.KNOWN  # the rest of the old connection comes again with the new one
    assert read(replay, [(1, 0), (2, 0), (3, 0)]) == [(1, 0), (2, 0), (3, 0)]
    assert not replay.doubtful
    assert read(replay, [(1, 0), (2, 0), (3, 0), (4, 0)]) == [(4, 0)]


def test_a_history_is_torn_where_it_begins_behind_the_cursor_and_only_there() -> None:
    """What lay between may have been deleted unread."""
    replay = Replay((2, 0))
    read(replay, [(5, 0), (6, 0)])
    assert replay.torn
    read(replay, [(6, 0), (7, 0)])
    assert not replay.torn
    read(replay, [(1, 0), (7, 0), (8, 0)])
    assert not replay.torn
    first = Replay(None)
    read(first, [(5, 0)])
    assert not first.torn


def test_a_history_that_is_gone_because_the_device_was_silent_for_a_month_is_not_torn() -> None:
    """ChirpStack deletes it then. Who was there all the time knows that nothing was in it."""
    replay = Replay((2, 0))
    read(replay, [(1, 0), (2, 0)])
    assert read(replay, [(2 + KEPT_MS, 0)]) == [(2 + KEPT_MS, 0)]
    assert not replay.torn
    read(replay, [(2 * KEPT_MS, 0)])
    assert replay.torn  # less than a month after the last


def test_who_has_only_just_come_cannot_tell_a_months_silence_from_a_months_loss() -> None:
    replay = Replay((2, 0))
    read(replay, [])
    read(replay, [(3 + KEPT_MS, 0)])
    assert replay.torn


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.integers(3, 10), st.data())
def test_every_item_is_handed_on_once_over_any_connections_while_the_history_reaches(
    gaps: list[int], length: int, data: st.DataObject
) -> None:
    """Connections break anywhere; between them fewer items come than the history holds."""
    items = []
    at = 0
    for gap in gaps:
        at += gap
        items.append((at, 0))
    replay = Replay(None)
    taken: list[tuple[int, int]] = []
    there = 0
    while len(taken) < len(items):
        there = min(len(items), there + data.draw(st.integers(1, length)))
        there = min(there, len(taken) + length)
        history = items[max(0, there - length) : there]
        broken = data.draw(st.integers(0, len(history)))
        replay.connected()
        for item in history[:broken] if there < len(items) else history:
            verdict = replay.take(item)
            assert verdict is not Verdict.RESTARTED
            if verdict is Verdict.NEW:
                taken.append(item)
    assert taken == items
