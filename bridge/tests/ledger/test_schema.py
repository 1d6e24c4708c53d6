"""Two ways to one schema: the steps that make a SQLite file, and what PostgreSQL's tables are made from."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import BigInteger, LargeBinary, Table, Text, UniqueConstraint

from zaehlwerk_bridge.database import open_database
from zaehlwerk_bridge.schema import METADATA, SHARED_ONLY

TYPES = {BigInteger: "INTEGER", Text: "TEXT", LargeBinary: "BLOB"}


@pytest.fixture(scope="module")
def made() -> Iterator[sqlite3.Connection]:
    database = open_database(":memory:")
    yield database
    database.close()


def names(made: sqlite3.Connection, kind: str) -> set[str]:
    rows = made.execute("SELECT name FROM sqlite_schema WHERE type = ? AND name NOT LIKE 'sqlite%'", (kind,))
    return {name for (name,) in rows}


def test_both_have_the_same_tables(made: sqlite3.Connection) -> None:
    assert names(made, "table") == set(METADATA.tables)


@pytest.mark.parametrize("table", METADATA.tables.values(), ids=str)
def test_a_table_has_the_same_columns_in_the_same_order(made: sqlite3.Connection, table: Table) -> None:
    """Name, type, whether it may be NULL, default and place in the primary key."""
    keys = [column.name for column in table.primary_key.columns]
    described = [
        (
            column.name,
            TYPES[type(column.type)],
            not column.nullable,
            None if column.server_default is None or column.identity else column.server_default.arg.text,
            keys.index(column.name) + 1 if column.name in keys else 0,
        )
        for column in table.columns
    ]
    stands = [
        (name, kind, bool(notnull) or bool(place), default, place)
        for _, name, kind, notnull, default, place in made.execute(f"PRAGMA table_info({table.name})")
    ]
    assert stands == described


@pytest.mark.parametrize("table", METADATA.tables.values(), ids=str)
def test_a_table_refers_to_the_same_others(made: sqlite3.Connection, table: Table) -> None:
    described = {
        (key.parent.name, key.column.table.name, key.column.name, key.ondelete or "NO ACTION")
        for key in table.foreign_keys
    }
    rows = made.execute(f"PRAGMA foreign_key_list({table.name})").fetchall()
    assert {(row[3], row[2], row[4], row[6]) for row in rows} == described


@pytest.mark.parametrize("table", METADATA.tables.values(), ids=str)
def test_a_table_has_the_same_indexes_and_unique_columns(made: sqlite3.Connection, table: Table) -> None:
    described = {
        (index.name, tuple(column.name for column in index.columns), _condition(index.dialect_options))
        for index in table.indexes
        if index not in SHARED_ONLY
    }
    rows = made.execute(f"PRAGMA index_list({table.name})").fetchall()
    stands = {
        (name, _columns(made, name), _where(made, name)) for _, name, _, origin, _ in rows if origin == "c"
    }
    assert stands == described
    unique = {
        tuple(column.name for column in one.columns)
        for one in table.constraints
        if isinstance(one, UniqueConstraint)
    }
    assert {_columns(made, name) for _, name, _, origin, _ in rows if origin == "u"} == unique


def _condition(options: object) -> str | None:
    where = options["postgresql"]["where"]  # type: ignore[index]
    return None if where is None else where.text


def _columns(made: sqlite3.Connection, index: str) -> tuple[str, ...]:
    return tuple(name for _, _, name in made.execute(f"PRAGMA index_info({index})"))


def _where(made: sqlite3.Connection, index: str) -> str | None:
    (text,) = made.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (index,)).fetchone()
    found = re.search(r" WHERE (.*)$", text)
    return None if found is None else found[1]
