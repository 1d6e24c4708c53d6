"""What is remembered of the tables from one transaction to the next, so that it need not be read again.

Only while nobody else writes: another program's commit, whatever this one writes round the memory, and a transaction that
is undone, end all of it. What is remembered is what the tables say, or will say when the transaction is committed.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

MOST = 10_000
"""Entries of one kind; with more, all of that kind are forgotten before the next transaction."""


class Memory:
    """Of the tables of `database`. Without a transaction that trusts it nothing is remembered."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.trusted = False
        """Whether the transaction that runs may remember, and rely on what is remembered."""
        self._kinds: list[dict[Any, Any]] = []
        self._flushes: list[Callable[[], None]] = []
        self._version = -1  # of the database, for commits of others
        self._changes = -1  # rows that this connection had changed after the last transaction

    def kind(self) -> dict[Any, Any]:
        """A table of its own of what is remembered; it is emptied, never replaced."""
        found: dict[Any, Any] = {}
        self._kinds.append(found)
        return found

    def on_commit(self, flush: Callable[[], None]) -> None:
        """Call `flush` before every commit: it writes what was only remembered until then."""
        self._flushes.append(flush)

    def begin(self, *, trusted: bool) -> None:
        """A transaction has begun, in which nobody else can write. `trusted`: all it changes goes by what remembers."""
        version = int(self._database.execute("PRAGMA data_version").fetchone()[0])
        if not trusted or version != self._version or self._database.total_changes != self._changes:
            self.forget()
        else:
            for kind in self._kinds:
                if len(kind) > MOST:
                    kind.clear()
        self._version = version
        self.trusted = trusted

    def flush(self) -> None:
        """Write what was only remembered."""
        for flush in self._flushes:
            flush()

    def end(self) -> None:
        """The transaction is over."""
        self.trusted = False
        self._changes = self._database.total_changes

    def forget(self) -> None:
        """Nothing that is remembered is certain any more."""
        for kind in self._kinds:
            kind.clear()
