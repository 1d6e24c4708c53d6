"""What a transaction will ask of each of its devices, asked of all of them at once.

On a server's database every question costs a way there and back, and taking an event asks a dozen. So who knows what will
be asked asks it for all devices together, and the answers are kept here until the questions come. An answer is what the
server would say: nobody else works on these devices meanwhile (see `postgres`), and what the transaction itself writes
takes away what it makes untrue. What was not foreseen is asked as ever: nothing but time depends on this.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

Asked = tuple[Any, ...]
"""The values of a question."""


@dataclass(frozen=True, slots=True)
class Question:
    """`sql`, one SELECT with `?` for values of PostgreSQL's `types`, as it will be asked again and again.

    What it finds is changed by nobody but who writes `table`: who inserts with value number `key` of the question in the
    same place of a row, who changes or deletes with it among the values, or without any.
    """

    sql: str
    table: str
    types: tuple[str, ...]
    key: int | None
    """None: whoever writes the table changes it."""


@lru_cache(maxsize=256)
def of_many(question: Question) -> str:
    """The same for many: takes an array for each value, finds the question's number and what it would find."""
    columns = [f"v{number}" for number in range(len(question.types))]
    values = iter(columns)
    one = re.sub(r"\?", lambda _: f"asked.{next(values)}", question.sql)
    arrays = ", ".join(f"?::{kind}[]" for kind in question.types)
    return (
        f"SELECT asked.n, found.* FROM unnest({arrays}) WITH ORDINALITY AS asked ({', '.join(columns)}, n)"  # noqa: S608
        f" CROSS JOIN LATERAL ({one}) AS found"
    )


class Foreseeing(Protocol):
    """A database that may be asked beforehand."""

    def foresee(self, question: Question, asked: Sequence[Asked]) -> list[list[Any]]:
        """Ask a question that will be asked with each of `asked`, each once; returns what is found, in their order."""
        ...


class Found:
    """Rows that were found before they were asked for."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows
        self._next = 0
        self.rowcount = len(rows)

    def fetchone(self) -> Any:
        """The next row; None: there is none."""
        if self._next >= len(self._rows):
            return None
        self._next += 1
        return self._rows[self._next - 1]

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        left = list(self._rows[self._next :])
        self._next = len(self._rows)
        return left

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


class Foresight:
    """Answers to questions that were not asked yet, of one transaction."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[Asked, list[Any]]] = {}
        self._by_table: defaultdict[str, list[tuple[Question, dict[Any, list[Asked]]]]] = defaultdict(list)

    def clear(self) -> None:
        """The transaction is over."""
        self._answers.clear()
        self._by_table.clear()

    def note(
        self, question: Question, asked: Sequence[Asked], rows: Iterable[Sequence[Any]]
    ) -> list[list[Any]]:
        """Keep what was found for all of `asked`; `rows`: of `of_many(question)`. Returns it in the order of `asked`."""
        found: list[list[Any]] = [[] for _ in asked]
        for number, *row in rows:
            found[number - 1].append(tuple(row))
        self._answers.setdefault(question.sql, {}).update(zip(asked, found, strict=True))
        keys: dict[Any, list[Asked]] = defaultdict(list)
        for one in asked:
            keys[one[question.key or 0]].append(one)
        self._by_table[question.table].append((question, keys))
        return found

    def answer(self, sql: str, values: Any) -> Found | None:
        """What was foreseen; None: ask."""
        answers = self._answers.get(sql)
        rows = None if answers is None or isinstance(values, Mapping) else answers.get(tuple(values or ()))
        return None if rows is None else Found(rows)

    def wrote(self, sql: str, rows: Sequence[Any]) -> None:
        """A statement that was not foreseen runs, with the values of each of `rows`: forget what it may make untrue."""
        written = _WRITES.match(sql)
        if written is None:
            return
        inserts = written[1].upper().startswith("INSERT")
        for question, keys in self._by_table.get(written[2], ()):
            answers = self._answers[question.sql]
            for row in rows:
                if not row or question.key is None:
                    gone: Iterable[Any] = list(keys)
                elif inserts and not isinstance(row, Mapping):
                    gone = (row[question.key],)
                else:
                    gone = _flat(row)
                for value in gone:
                    for one in keys.pop(value, ()):
                        answers.pop(one, None)


_WRITES = re.compile(r"\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE)


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, Mapping):
        values = values.values()
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value
