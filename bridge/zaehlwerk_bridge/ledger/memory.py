"""What is remembered of the tables from one transaction to the next, so that it need not be read again.

Only while nobody else writes: another program's commit, whatever this one writes round the memory, and a transaction that
is undone, end all of it. Where several bridges share a database, each transaction begins with nothing remembered; within
one it holds, for nobody else works on the devices and stations that the transaction touches. What is remembered is what
the tables say, or will say when the transaction is committed.
"""

from collections.abc import Callable
from typing import Any

from zaehlwerk_bridge.database import Database

MOST = 4_000
"""Entries of one kind; with more, all of that kind are forgotten before the next transaction."""


class Memory:
    """Of the tables of `database`. Without a transaction that trusts it nothing is remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.trusted = False
        """Whether the transaction that runs may remember, and rely on what is remembered."""
        self._kinds: list[dict[Any, Any]] = []
        self._flushes: list[tuple[str, Callable[[], None]]] = []

    def kind(self) -> dict[Any, Any]:
        """A table of its own of what is remembered; it is emptied, never replaced."""
        found: dict[Any, Any] = {}
        self._kinds.append(found)
        return found

    def on_commit(self, table: str, flush: Callable[[], None]) -> None:
        """Call `flush` before every commit: it writes what was only remembered of `table` until then."""
        self._flushes.append((table, flush))

    def begin(self, *, trusted: bool) -> None:
        """A transaction has begun, in which nobody else can write. `trusted`: all it changes goes by what remembers."""
        unchanged = self._database.unchanged()
        if not (trusted and unchanged):
            self.forget()
        else:
            for kind in self._kinds:
                if len(kind) > MOST:
                    kind.clear()
        self.trusted = trusted

    def flush(self, *tables: str) -> None:
        """Write what was only remembered, of `tables`, or of all."""
        for table, flush in self._flushes:
            if not tables or table in tables:
                flush()

    def end(self) -> None:
        """The transaction is over."""
        self.trusted = False
        self._database.note()

    def forget(self) -> None:
        """Nothing that is remembered is certain any more."""
        for kind in self._kinds:
            kind.clear()
