"""Questions that are asked of a server beforehand: what is answered from them is what the server would say."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bridge.tests.ledger.frames import Device, at
from bridge.tests.ledger.test_exactness import LATE_NS, _lived
from bridge.tests.service.postgres_server import PostgresServer
from zaehlwerk_bridge.foresight import Question
from zaehlwerk_bridge.postgres import PostgresDatabase
from zaehlwerk_bridge.store import Store

LINES = Question(
    "SELECT first, last FROM reserve_line WHERE station = ? ORDER BY first LIMIT ?",
    "reserve_line",
    ("text", "bigint"),
    0,
)
REVISION = Question("SELECT revision FROM reserve WHERE station = ?", "reserve", ("text",), 0)
ANY_REVISION = Question("SELECT revision FROM reserve WHERE station > ?", "reserve", ("text",), None)


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[PostgresDatabase]:
    """An empty store, in a transaction."""
    database = PostgresDatabase(postgres.new_store_place())
    database.begin()
    yield database
    database.rollback()
    database.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Statements that are sent to the server one by one."""
    sent: list[str] = []
    execute = psycopg.Connection.execute

    def noted(self: psycopg.Connection[Any], query: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(query.decode() if isinstance(query, bytes) else str(query))
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", noted)
    return sent


def revision(database: PostgresDatabase, station: str, question: Question = REVISION) -> list[Any]:
    return database.execute(question.sql, (station,)).fetchall()


def test_what_is_asked_for_many_is_found_for_each_in_its_order(database: PostgresDatabase) -> None:
    database.executemany(
        "INSERT INTO reserve_line VALUES (?, ?, 0, ?, ?)",
        [("a", epoch, 10 - epoch, 20) for epoch in range(5)] + [("b", 1, 3, 4)],
    )
    found = database.foresee(LINES, [("b", 2), ("a", 2), ("c", 2), ("b", 2)])
    assert found == [[(3, 4)], [(6, 20), (7, 20)], []]


def test_what_was_foreseen_is_not_asked_again(database: PostgresDatabase, asked: list[str]) -> None:
    database.execute("INSERT INTO reserve VALUES ('a', 7)")
    database.foresee(REVISION, [("a",), ("b",)])
    asked.clear()
    assert revision(database, "a") == revision(database, "a") == [(7,)]
    assert database.execute(REVISION.sql, ("b",)).fetchone() is None
    assert list(database.execute(REVISION.sql, ("a",))) == [(7,)]
    assert asked == []


@pytest.mark.parametrize(
    ("sql", "values", "then"),
    [
        ("INSERT INTO reserve VALUES (?, ?) ON CONFLICT (station) DO UPDATE SET revision = excluded.revision", ("a", 8), [(8,)]),
        ("UPDATE reserve SET revision = ? WHERE station = ?", (8, "a"), [(8,)]),
        ("UPDATE reserve SET revision = 8", None, [(8,)]),
        ("UPDATE reserve SET revision = :revision WHERE station = :station", {"station": "a", "revision": 8}, [(8,)]),
        ("DELETE FROM reserve WHERE station = ?", ("a",), []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("question", [REVISION, ANY_REVISION])
def test_what_the_transaction_writes_is_what_is_found_afterwards(
    database: PostgresDatabase, question: Question, sql: str, values: Any, then: list[Any]
) -> None:
    station = "a" if question is REVISION else "A"
    database.execute("INSERT INTO reserve VALUES ('a', 7)")
    database.foresee(question, [(station,)])
    assert revision(database, station, question) == [(7,)]
    database.execute(sql, values)
    assert revision(database, station, question) == then


def test_many_that_are_written_at_once_are_found_as_they_are_then(database: PostgresDatabase) -> None:
    database.execute("INSERT INTO reserve VALUES ('a', 7), ('b', 7)")
    database.foresee(REVISION, [("a",), ("b",)])
    database.executemany("UPDATE reserve SET revision = ? WHERE station = ?", [(8, "a"), (9, "b")])
    assert [revision(database, station) for station in "ab"] == [[(8,)], [(9,)]]


def test_what_is_written_of_one_takes_nothing_from_another(
    database: PostgresDatabase, asked: list[str]
) -> None:
    database.execute("INSERT INTO reserve VALUES ('a', 7), ('b', 7)")
    database.foresee(REVISION, [("a",), ("b",)])
    database.execute("UPDATE reserve SET revision = ? WHERE station = ?", (8, "a"))
    asked.clear()
    assert revision(database, "b") == [(7,)]
    assert asked == []


def test_nothing_is_known_beyond_the_end_of_a_transaction(
    database: PostgresDatabase, asked: list[str]
) -> None:
    database.foresee(REVISION, [("a",)])
    database.commit()
    asked.clear()
    revision(database, "a")
    assert len(asked) == 1
    database.begin()
    database.foresee(REVISION, [("a",)])
    database.rollback()
    asked.clear()
    revision(database, "a")
    assert len(asked) == 1


def test_many_events_cost_less_than_a_statement_each(postgres: PostgresServer, asked: list[str]) -> None:
    """Of counters of which nothing is missing, in a transaction of their own that remembers nothing of the one before."""
    devices = [Device(f"{number:016x}", station=f"Station {number}") for number in range(100)]
    store = Store(postgres.new_store_place(), bridge_id="b1")
    store.commit([device.status(0, 10, epoch=1000 + n) for n, device in enumerate(devices)], at(0))
    store.commit([device.count(1, 12) for device in devices], at(1))
    asked.clear()
    assert len(store.commit([device.count(2, 15, 2) for device in devices], at(2)).rows) == len(devices)
    assert len(asked) < len(devices) / 2, sorted(asked)
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_shared_store_holds_what_a_store_of_ones_own_holds(postgres: PostgresServer, seed: int) -> None:
    """Nodes that lose frames, join anew and move; some events in a transaction, and in the next ones the rest."""
    dice = random.Random(seed)
    node = _lived(seed, 0.3, 60, ("Neutor", "Ring"))
    shared, own = Store(postgres.new_store_place(), bridge_id="b1"), Store(":memory:")
    left = list(node.events)
    while left:
        some = [left.pop(0) for _ in range(min(len(left), dice.randrange(1, 12)))]
        told = [store.commit(some, some[-1].received_ns).rows for store in (shared, own)]
        assert [row.payload for row in told[0]] == [row.payload for row in told[1]]
    for store in (shared, own):
        store.settle(node.events[-1].received_ns + LATE_NS)
    assert shared.dump() == own.dump()
    shared.close()
    own.close()
