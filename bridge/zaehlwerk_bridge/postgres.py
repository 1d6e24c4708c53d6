"""PostgreSQL as the store of several bridges: one connection, made anew when it was lost, and locks by name.

A transaction holds the devices and stations that it works on, each a lock of the transaction itself
(postgresql.org/docs/current/explicit-locking.html, section 13.3.5), all of them taken before anything is read and in one
order: nobody waits in a circle, and what is read afterwards is what the holder before has committed. What turns out to be
needed besides is not waited for: the transaction is undone and begun again with it. The server lets go of the locks of
a bridge that stands still in the middle of a transaction, and where it does not, other bridges see to it (`sharing`).
"""

import os
import re
import socket
import threading
import time
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.adapt import Buffer
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper

from zaehlwerk_bridge.database import FAULTS, DatabaseAway, DatabaseFault, InTheWay, Rows, Server, Values
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.foresight import Asked, Foresight, Question, of_many

CONNECT_S = 3
"""So long a server may take to answer at all; a bridge that is told to stop has 5 s."""
STILL_S = 3
"""A transaction that stands still for so long is undone by the server, and its locks are free."""
LOCKED_S = 10
"""So long another bridge's locks are waited for before that is called trouble."""
STATEMENT_S = 60
SILENT: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server that is gone without a word is noticed within 15 s (libpq's parameters; seconds, the last milliseconds)."""
LOCKS = 0x5A57
"""First half of the keys of all locks of bridges; the second is what is locked."""
NAMES = 512
"""Names share so many locks: a transaction with many devices must not fill the server's table of them."""
LOCK_SCHEMA = 1 << 20
LOCK_ADOPTION = LOCK_SCHEMA + 1
LOCK_ROUNDS = LOCK_SCHEMA + 2
"""Beyond those of names."""

_AWAY = ("08", "53", "57P", "57014", "25006", "25P03", "55P03", "58")
"""What SQLSTATEs that may pass begin with: connection, resources, operator, read only, locks, the system (appendix A)."""
_OF_THE_VALUES = ("22", "23")
"""Data exceptions and violated constraints say something of what was to be stored alone."""
_IN_THE_WAY = ("40001", "40P01")
"""serialization_failure, deadlock_detected"""


class _Truth(Int8Dumper):
    """Truth values are whole numbers, as in SQLite."""

    def dump(self, obj: Any) -> Buffer | None:
        return super().dump(int(obj))


class _Text(StrDumper):
    """PostgreSQL's text cannot hold the character 0."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\x00", "\ufffd") if "\x00" in obj else obj)


def connect(server: Server) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection on which each statement outside a transaction is one. Raises DatabaseAway."""
    try:
        password = server.password()
    except SettingsError as error:  # it may be just being replaced
        raise DatabaseAway(str(error)) from None
    with told():
        connection = psycopg.connect(
            server.url,
            password=password,
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name=server.name,
            **SILENT,
        )
    try:
        connection.adapters.register_dumper(bool, _Truth)
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.adapters.register_dumper(str, _Text)
        with told():
            connection.execute(_SESSION)
    except BaseException:
        connection.close()
        raise
    return connection


_SESSION = f"""
SET idle_in_transaction_session_timeout = '{STILL_S}s';
SET lock_timeout = '{LOCKED_S}s';
SET statement_timeout = '{STATEMENT_S}s';
SET default_transaction_isolation = 'read committed';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
"""What has been committed is on the disk: a server that is set up otherwise is told so for these connections."""


@contextmanager
def told() -> Iterator[None]:
    """Say what PostgreSQL says in the words of this program. Raises DatabaseFault, DatabaseAway and InTheWay."""
    try:
        yield
    except psycopg.Error as error:
        raise fault(error) from None


def fault(error: psycopg.Error) -> Exception:
    """What an error means, in one line."""
    said = " ".join(str(error.diag.message_primary or error).split()) or type(error).__name__
    state = error.sqlstate
    if state in _IN_THE_WAY:
        return InTheWay(said)
    if state is None:
        # libpq itself: there is no connection (any more), or none could be made.
        return DatabaseAway(said) if isinstance(error, psycopg.OperationalError) else DatabaseFault(said)
    if state.startswith(_OF_THE_VALUES):
        return ValueError(said)
    return DatabaseAway(said) if state.startswith(_AWAY) else DatabaseFault(f"{said} (SQLSTATE {state})")


_ALL: "weakref.WeakSet[PostgresDatabase]" = weakref.WeakSet()
_ALL_LOCK = threading.Lock()


class PostgresDatabase:
    """One connection, made when it is needed. Not thread-safe: one thread at a time."""

    shared = True

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._in_transaction = False
        self._held: set[int] = set()
        self._missing: set[int] = set()  # what a transaction that was undone needed besides
        self._foresight = Foresight()
        self.connections = 0
        """How often a connection was made. What was being committed when the one before was lost may be committed."""
        self._asked_s: float | None = None
        with _ALL_LOCK:
            _ALL.add(self)

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as that is known."""
        return self._connection is not None and not self._connection.closed

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """A statement is under way, see `unanswered`."""
        self._asked_s = time.monotonic()
        try:
            with told():
                yield
        finally:
            self._asked_s = None

    # May be called from any thread.

    @staticmethod
    def all_of(server: Server) -> "list[PostgresDatabase]":
        """Those of this program."""
        with _ALL_LOCK:
            return [one for one in _ALL if one._server == server]

    def unanswered(self, for_s: float) -> int | None:
        """The server's process from which an answer has been waited for that long; None: from none."""
        connection, asked_s = self._connection, self._asked_s
        if connection is None or connection.closed or asked_s is None or time.monotonic() - asked_s < for_s:
            return None
        return connection.info.backend_pid

    def give_up(self) -> None:
        """End the connection under whoever waits on it: an answer will not come."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)

    # By one thread at a time.

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is not None and self._connection.closed:
            if self._in_transaction:
                raise DatabaseAway("the connection was lost in the middle of a transaction")
            self._connection = None
        if self._connection is None:
            self._connection = connect(self._server)
            self.connections += 1
        return self._connection

    def execute(self, sql: str, parameters: Values | None = None, /) -> Rows:
        """Run a statement."""
        connection = self._connected()
        foreseen = self._foresight.answer(sql, parameters)
        if foreseen is not None:
            return foreseen
        self._foresight.wrote(sql, [parameters])
        with self._asking():
            return connection.execute(translated(sql), parameters or None)

    def foresee(self, question: Question, asked: Sequence[Asked]) -> list[list[Any]]:
        """Ask a question that will be asked with each of `asked`, once for all; returns what is found, in their order.

        In a transaction that holds all that `asked` is about.
        """
        asked = list(dict.fromkeys(asked))
        columns = [list(column) for column in zip(*asked, strict=True)]
        rows = self.execute(of_many(question), columns) if asked else ()
        return self._foresight.note(question, asked, rows)

    # Each statement is answered before the next one is sent, and no pipeline is held open for longer than `executemany`
    # takes: a transaction in it is at work for the server, and that of a bridge that stands still is undone by others only.

    def executemany(self, sql: str, parameters: Iterable[Values], /) -> None:
        """Run a statement that finds nothing with each of `parameters`."""
        connection = self._connected()
        rows = list(parameters)
        self._foresight.wrote(sql, rows)
        with self._asking(), connection.cursor() as cursor:
            cursor.executemany(translated(sql), rows)

    def insert(self, sql: str, values: Values, key: str) -> int:
        """Run an INSERT of one row; returns what the database put into its column `key`."""
        return int(self.execute(f"{sql} RETURNING {key}", values).fetchone()[0])

    def begin(self, names: Iterable[str] = ()) -> None:
        """Begin a transaction that holds `names`, and what the last one lacked; waits for who holds them."""
        connection = self._connected()
        held = {lock_of(name) for name in names} | self._missing
        keys = ",".join(map(str, sorted(held)))
        self._held = held
        self._in_transaction = True
        try:
            with self._asking():
                # Literally: they are numbers, and this way all goes in one round.
                connection.execute(
                    f"BEGIN; SELECT pg_advisory_xact_lock({LOCKS}, k) FROM unnest('{{{keys}}}'::int[]) AS k"  # noqa: S608
                )
        except BaseException:
            self.rollback()
            raise

    def touches(self, *names: str) -> None:
        """Raises InTheWay unless `names` are held: begun again, the transaction holds them."""
        if not self._in_transaction:
            return
        missing = {lock_of(name) for name in names} - self._held
        if missing:
            self._missing |= missing
            raise InTheWay("more is needed than is held")

    def hold(self, lock: int) -> None:
        """Hold one of the locks beyond names as well; who has it never waits for names."""
        self.execute(f"SELECT pg_advisory_xact_lock({LOCKS}, {lock})")

    def commit(self) -> None:
        """End the transaction; what it did is on the server's disk."""
        connection = self._connected()
        with self._asking():
            connection.execute("COMMIT")
        self._in_transaction = False
        self._foresight.clear()
        self._missing.clear()

    def rollback(self) -> None:
        """Undo it. A connection on which that cannot be said is given up: the server undoes it then."""
        self._foresight.clear()
        if not self._in_transaction:
            return
        self._in_transaction = False
        connection = self._connection
        if connection is None or connection.closed:
            return
        try:
            with self._asking():
                connection.execute("ROLLBACK")
        except (*FAULTS, InTheWay, ValueError):
            with suppress(psycopg.Error):
                connection.close()

    def unchanged(self) -> bool:
        """Others write too."""
        return False

    def note(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
        self._in_transaction = False


def lock_of(name: str) -> int:
    """The lock that a name shares with others."""
    return zlib.crc32(name.encode()) % NAMES


_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)")


@lru_cache(maxsize=1024)
def translated(sql: str) -> bytes:
    """The statement with psycopg's marks for values instead of SQLite's."""
    sql = sql.replace("%", "%%")
    return _NAMED.sub(r"%(\1)s", sql).replace("?", "%s").encode()
