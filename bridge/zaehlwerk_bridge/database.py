"""What ledger, outbox and commands ask of a database, and the SQLite that a bridge by itself keeps.

Statements are SQL that SQLite and PostgreSQL both understand, with `?` for values. Whole numbers and truth values are
64-bit integers in both, text compares by its bytes.
"""

import functools
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from zaehlwerk_bridge.errors import BridgeError
from zaehlwerk_bridge.failpoints import failpoint

SCHEMA_VERSION = 5
BUSY_S = 5.0
"""So long a transaction waits for another program's; the bridge and its command line share a store."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

Values = Sequence[Any] | Mapping[str, Any]


class SchemaError(BridgeError):
    """The database belongs to another version of the bridge, or is no database of it."""


class DatabaseFault(Exception):
    """A database that is no SQLite refused something, or cannot be asked; the text says what."""


class DatabaseAway(DatabaseFault):
    """It cannot be asked now: there is no connection, no space, no right to write. It may pass by itself."""


class InTheWay(Exception):
    """Another bridge was in a transaction's way, which is undone: the same again will do."""


FAULTS = (sqlite3.Error, DatabaseFault)
"""Whatever a database raises."""
MAY_PASS = (sqlite3.OperationalError, DatabaseAway)
"""What says something of the disk, the server or another program, and nothing of what was asked; see `passes`."""

_OF_THE_DISK = frozenset(
    (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    )
)
"""Primary result codes (sqlite.org/rescode.html) that may pass by themselves; all others are faults of the program."""
_PRIMARY = 0xFF


def passes(error: Exception) -> bool:
    """Whether `error` may pass by itself: the disk is full or fails, the server is away."""
    return isinstance(error, DatabaseAway) or (
        isinstance(error, sqlite3.OperationalError) and sqlite_code(error) in _OF_THE_DISK
    )


def sqlite_code(error: Exception) -> int:
    """The primary result code of an error of SQLite; of one that Python raised itself SQLITE_ERROR."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY


MOST_TRIES = 100
"""A transaction gets some way further with each; so many mean that something else is wrong."""


def again(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Call `method`, which is one transaction, again as long as another bridge is in its way."""

    @functools.wraps(method)
    def called(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for _ in range(MOST_TRIES):
            try:
                return method(*args, **kwargs)
            except InTheWay as error:
                said = str(error)
        raise DatabaseAway(f"other bridges were in the way {MOST_TRIES} times: {said}")

    return called


def upsert(table: str, columns: str, key: str) -> str:
    """A statement that puts a row of `columns` into `table`, in the place of the one with the same `key`."""
    names = [name.strip() for name in columns.split(",")]
    keys = [name.strip() for name in key.split(",")]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT ({key}) DO UPDATE SET {changed}"  # noqa: S608


CACHE_KIB = 20_000
"""What is kept of the database in memory: the newest pages of some hundred stations."""
LOG_PAGES = 4000
"""Pages of 4 KiB that the write-ahead log holds before they are moved into the database: most are changed again soon."""
ROWS_AT_ONCE = 64
"""Rows that one statement inserts. Each statement lets another thread have its turn, and waits for its own."""


_INSERT = re.compile(r"(INSERT INTO [^?]+ VALUES )(\([?, ]+\))([^?]*)", re.DOTALL)


@functools.lru_cache(maxsize=256)
def of_many_rows(sql: str) -> str | None:
    """The INSERT of one row `sql` for ROWS_AT_ONCE rows, the values of which follow each other; None: it is none."""
    found = _INSERT.fullmatch(sql)
    return None if found is None else f"{found[1]}{', '.join([found[2]] * ROWS_AT_ONCE)}{found[3]}"


PROGRAM = "zaehlwerk-bridge"
"""What the names of all connections to a server begin with."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database. `url` without the password, which is read whenever a connection is made."""

    url: str
    password: Callable[[], str | None]
    name: str = PROGRAM
    """What the server's operator sees of a connection."""


class Rows(Protocol):
    """What a statement found."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Any:
        """The next row, a tuple; None: there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """One connection. Not thread-safe: one thread at a time."""

    @property
    def shared(self) -> bool:
        """Whether other bridges write too: nothing is certain from one transaction to the next."""
        ...

    def execute(self, sql: str, parameters: Any = ..., /) -> Rows:
        """Run a statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> object:
        """Run a statement that finds nothing with each of `parameters`."""
        ...

    def insert(self, sql: str, values: Values, key: str) -> int:
        """Run an INSERT of one row; returns what the database put into its column `key`."""
        ...

    def begin(self, names: Iterable[str] = ()) -> None:
        """Begin a transaction that writes. Nobody else works on the devices and stations `names` until it ends."""
        ...

    def touches(self, *names: str) -> None:
        """Say that the transaction relies on, or changes, what belongs to these devices and stations.

        Raises InTheWay if they are not held: begun again, it holds them.
        """
        ...

    def commit(self) -> None:
        """End it; what it did is durable."""
        ...

    def rollback(self) -> None:
        """Undo it, if one is open."""
        ...

    def unchanged(self) -> bool:
        """In a transaction: whether the tables are certainly as they were at the end of the one before, at `note`."""
        ...

    def note(self) -> None:
        """The transaction in which `unchanged` was asked last is over."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class SqliteDatabase(sqlite3.Connection):
    """A file that one bridge writes; a command line beside it may too, between two transactions."""

    shared = False
    _version = -1
    _changes = -1

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement with each of `parameters`; of an INSERT many rows at once."""
        rows = list(parameters)
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        many = of_many_rows(sql) if whole else None
        if many is None:
            return super().executemany(sql, rows)
        for at in range(0, whole, ROWS_AT_ONCE):
            self.execute(many, [value for row in rows[at : at + ROWS_AT_ONCE] for value in row])
        return super().executemany(sql, rows[whole:])

    def insert(self, sql: str, values: Values, key: str) -> int:
        """Run an INSERT of one row; returns its number."""
        row = self.execute(sql, values).lastrowid
        assert row is not None
        return row

    def begin(self, names: Iterable[str] = ()) -> None:
        """Begin a transaction; nobody else can write until it ends."""
        self.execute("BEGIN IMMEDIATE")

    def touches(self, *names: str) -> None:
        """Nothing is to be done: a transaction holds everything."""

    def commit(self) -> None:
        """End the transaction; it is on the disk then."""
        self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it; SQLite itself does when the disk is full or fails (sqlite.org/lang_transaction.html, section 3)."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def unchanged(self) -> bool:
        """Whether nobody has written since: no other program, nor this one round what remembers."""
        version, known = self.data_version(), self._version
        self._version = version
        return version == known and self.total_changes == self._changes

    def note(self) -> None:
        """The transaction in which `unchanged` was asked last is over."""
        self._changes = self.total_changes

    def data_version(self) -> int:
        """Another number after every commit of another program (sqlite.org/pragma.html#pragma_data_version)."""
        return int(self.execute("PRAGMA data_version").fetchone()[0])


def open_database(path: Path | str) -> SqliteDatabase:
    """Opens `path`, making it if it is not there and bringing it forward if it is of an older schema.

    Raises SchemaError, and sqlite3.Error for what the disk says. A schema step is one transaction: a bridge that dies
    in it leaves the schema before it.
    """
    database = _connect(path)
    try:
        version = _version(database)
        _refuse_newer(path, version)
        # Has effect before the first page only: what is freed later can then be given back in small steps.
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _durable(database)
        for step in range(version + 1, SCHEMA_VERSION + 1):
            _step(database, step)
    except BaseException:
        database.close()
        raise
    return database


def open_existing(path: Path) -> SqliteDatabase:
    """Opens the store of a bridge that may be running. Raises SchemaError unless it is there and of this schema."""
    if not path.is_file():
        raise SchemaError(f"{path}: there is no database; setting `database` names the bridge's")
    database = _connect(path)
    try:
        version = _version(database)
        _refuse_newer(path, version)
        if version < SCHEMA_VERSION:
            raise SchemaError(
                f"{path}: schema {version} is older than this program's {SCHEMA_VERSION}; "
                "start this version's bridge once, it brings the database forward"
            )
        _durable(database)
    except BaseException:
        database.close()
        raise
    return database


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens `path` to look at only; never waits for who writes. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0)


def _connect(path: Path | str) -> SqliteDatabase:
    return sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_S, factory=SqliteDatabase
    )


def _durable(database: SqliteDatabase) -> None:
    # Commit before the source's cursor moves: only with FULL does a power cut lose nothing that was committed.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    database.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")


def _version(database: SqliteDatabase) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(path: Path | str, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"{path}: schema {version} is newer than this bridge's {SCHEMA_VERSION}; use a newer bridge"
        )


def _step(database: SqliteDatabase, step: int) -> None:
    script = (
        resources.files("zaehlwerk_bridge").joinpath(f"store_schema/{step}.sql").read_text(encoding="utf-8")
    )
    try:
        database.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {step};")
        failpoint("migration.before-commit")
        database.execute("COMMIT")
        failpoint("migration.after")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
