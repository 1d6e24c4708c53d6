"""Brings a PostgreSQL database to this program's schema: in one transaction, one bridge at a time, never back."""

from collections.abc import Mapping, Sequence

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from zaehlwerk_bridge.database import SCHEMA_VERSION, Database, DatabaseFault, SchemaError, Server
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.postgres import LOCK_SCHEMA, PostgresDatabase
from zaehlwerk_bridge.schema import METADATA

FIRST = 4
"""The version with which PostgreSQL became a store."""
STEPS: Mapping[int, Sequence[str]] = {
    5: (
        "DROP INDEX cell_total, seen_time",
        "ALTER TABLE seen DROP CONSTRAINT seen_dev_eui_dedup_id_key",
        "ALTER TABLE seen ADD PRIMARY KEY (dev_eui, dedup_id)",
    )
}
"""By version what leads to it from the one before; before FIRST there is none."""


def open_postgres(server: Server) -> PostgresDatabase:
    """The database of `server` in this program's schema; made if it is empty.

    Raises SchemaError if a newer bridge made it, BridgeError if it cannot be made, DatabaseAway if it cannot be asked now.
    """
    database = PostgresDatabase(server)
    try:
        bring_forward(database)
    except BaseException:
        database.close()
        raise
    return database


def open_existing_postgres(server: Server) -> PostgresDatabase:
    """The same of a database that bridges may be at work on. Raises SchemaError unless it is there and of this schema."""
    database = PostgresDatabase(server)
    try:
        version = version_of(database)
        _refuse_newer(version, SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            what = "there is no store of a bridge" if version is None else f"schema {version} is older"
            raise SchemaError(
                f"the PostgreSQL database: {what}; start this version's bridge once, it brings the database forward"
            )
    except BaseException:
        database.close()
        raise
    return database


def version_of(database: Database) -> int | None:
    """The version of the schema; None: there is none."""
    if database.execute("SELECT to_regclass('schema_version')").fetchone()[0] is None:
        return None
    row = database.execute("SELECT max(version) FROM schema_version").fetchone()
    return None if row[0] is None else int(row[0])


def bring_forward(
    database: PostgresDatabase,
    target: int = SCHEMA_VERSION,
    steps: Mapping[int, Sequence[str]] = STEPS,
) -> None:
    """Make the schema of this program's version, or do the `steps` that it lacks. Whoever comes meanwhile waits, and finds it done."""
    version = version_of(database)
    _refuse_newer(version, target)
    if version == target:
        return
    database.begin()
    try:
        database.hold(LOCK_SCHEMA)
        version = version_of(database)
        _refuse_newer(version, target)
        if version is None:
            for statement in definition():
                database.execute(statement)
            version = SCHEMA_VERSION
        for step in range(version + 1, target + 1):
            for statement in steps[step]:
                database.execute(statement)
        database.execute("DELETE FROM schema_version")
        database.execute("INSERT INTO schema_version (version) VALUES (?)", (target,))
        failpoint("migration.before-commit")
        database.commit()
        failpoint("migration.after")
    except DatabaseFault as error:
        database.rollback()
        if type(error) is DatabaseFault:
            raise SchemaError(
                f"the PostgreSQL database: its schema cannot be made: {error}; the user of setting `database`"
                " needs the right to create tables in it, and it has to be empty or a bridge's"
            ) from None
        raise
    except BaseException:
        database.rollback()
        raise


def definition() -> list[str]:
    """What makes the schema in an empty database."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = ["CREATE TABLE schema_version (version INTEGER NOT NULL)"]
    for table in METADATA.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [
            str(CreateIndex(index).compile(dialect=dialect)) for index in sorted(table.indexes, key=str)
        ]
    return statements


def _refuse_newer(version: int | None, known: int) -> None:
    if version is not None and version > known:
        raise SchemaError(
            f"the PostgreSQL database: schema {version} is newer than this bridge's {known}; use a newer bridge"
        )
