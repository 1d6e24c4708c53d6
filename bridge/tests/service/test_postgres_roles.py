"""Bridges that log in to one database as different roles: told, for none can end what another one leaves standing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql

from bridge.tests.service.node import Node
from bridge.tests.service.postgres_server import PASSWORD, PostgresServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.test_check_machine import not_ok, one
from bridge.tests.service.test_postgres import checked
from bridge.tests.service.until import until
from zaehlwerk_bridge import sharing
from zaehlwerk_bridge.check_finding import Verdict
from zaehlwerk_bridge.database import Server
from zaehlwerk_bridge.postgres import PostgresDatabase
from zaehlwerk_bridge.sharing import undo_what_stands_still, what_cannot_be_undone

HOLDS = "a bridge that stands still would hold up the others"


@pytest.fixture
def postgres(postgres: PostgresServer) -> PostgresServer:
    """With the roles one and two, both of which may do everything with the tables of `database_of`."""
    with postgres.connect() as connection:
        for role in ("one", "two"):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")  # type: ignore[arg-type]
    return postgres


def name_of(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


def admin(postgres: PostgresServer, url: str) -> psycopg.Connection[tuple[Any, ...]]:
    return postgres.connect(name_of(url))


def as_role(url: str, role: str) -> str:
    return url.replace("//zaehlwerk@", f"//{role}@")


def database_of(postgres: PostgresServer, role: str = "one") -> str:
    """A database of that role, without tables."""
    url = postgres.new_database()
    with postgres.connect() as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(name_of(url)), sql.Identifier(role)
            )
        )
    with admin(postgres, url) as connection:
        connection.execute("GRANT ALL ON SCHEMA public TO one, two")
        connection.execute("ALTER DEFAULT PRIVILEGES FOR ROLE one GRANT ALL ON TABLES TO two")
    return url


def place(url: str, role: str) -> Server:
    return Server(as_role(url, role), lambda: PASSWORD)


def reason(database: PostgresDatabase) -> str:
    """Why what others leave standing cannot be undone."""
    obstacle = what_cannot_be_undone(database)
    return "" if obstacle is None else obstacle.reason


@pytest.fixture
def shared(postgres: PostgresServer, rig: Rig) -> dict[str, Any]:
    """What `rig.bridge` needs to work as role one."""
    url = as_role(database_of(postgres), "one")
    return {"database": url, "store_password_file": postgres.password_file}


async def test_a_bridge_of_another_role_is_told_by_the_check_and_by_both_bridges(
    rig: Rig, postgres: PostgresServer, shared: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the one that was there first."""
    monkeypatch.setattr(sharing, "ROLES_EVERY", 1)
    await rig.server.put("70b3d57ed0000001", Node("70b3d57ed0000001", "one").status())
    other = shared["database"].replace("//one@", "//two@")
    async with rig.bridge(**shared):
        found = one(checked(shared["database"], postgres.password_file), "role")
        assert (found.verdict, HOLDS in rig.logged.getvalue()) == (Verdict.OK, False)
        found = one(checked(other, postgres.password_file), "role")
        assert found.verdict is Verdict.WRONG
        assert "this bridge logs in as two, others as one" in found.text
        assert found.remedy == "let all bridges log in to the database as the same role"
        async with rig.bridge(**{**shared, "database": other, "id": "b2"}):
            for mine, theirs in (("one", "two"), ("two", "one")):
                await until(
                    lambda said=f"logs in as {mine}, others as {theirs}": said in rig.logged.getvalue()  # type: ignore[misc]
                )
            assert rig.logged.getvalue().count(HOLDS) == 2, "each says it once"
            found = one(checked(shared["database"], postgres.password_file), "role")
            assert "this bridge logs in as one, others as two" in found.text


def test_tables_of_another_role_are_told_while_no_other_bridge_is_there(
    postgres: PostgresServer,
) -> None:
    url = database_of(postgres)
    assert not_ok(checked(as_role(url, "one"), postgres.password_file)) == []
    with admin(postgres, url) as connection:
        connection.execute("SET ROLE one")
        connection.execute("CREATE TABLE theirs (a INTEGER)")
    found = one(checked(as_role(url, "two"), postgres.password_file), "role")
    assert found.verdict is Verdict.NOTE
    assert "belong to one, and this bridge logs in as two" in found.text


def test_a_role_that_is_a_member_of_the_others_can_end_its_connections_but_both_have_to(
    postgres: PostgresServer,
) -> None:
    url = database_of(postgres)
    still, living = PostgresDatabase(place(url, "one")), PostgresDatabase(place(url, "two"))
    still.execute("SELECT 1")
    assert "others as one" in reason(living)
    with admin(postgres, url) as connection:
        connection.execute("GRANT one TO two")
    assert "others as one" in reason(living)
    still.begin(["neutor"])
    for _ in range(1000):  # the server needs a moment to see that it waits
        if undo_what_stands_still(living, 0.0):
            break
    else:
        pytest.fail("what stands still was not undone")
    for database in (still, living):
        database.close()


def test_what_a_stranger_leaves_standing_is_not_undone_and_that_is_why_it_is_told(
    postgres: PostgresServer,
) -> None:
    url = database_of(postgres)
    still, living = PostgresDatabase(place(url, "one")), PostgresDatabase(place(url, "two"))
    still.begin(["neutor"])
    with admin(postgres, url) as connection:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'one' AND wait_event = 'ClientRead'"
        while connection.execute(waits).fetchone() != (1,):  # type: ignore[arg-type]
            pass
    assert undo_what_stands_still(living, 0.0) == 0
    assert "others as one" in reason(living)
    for database in (still, living):
        database.close()


def test_a_server_that_lets_nobody_end_connections_is_told(postgres: PostgresServer) -> None:
    url = database_of(postgres)
    with admin(postgres, url) as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_terminate_backend FROM PUBLIC")
    found = one(checked(as_role(url, "one"), postgres.password_file), "role")
    assert found.verdict is Verdict.WRONG
    assert "one may not execute pg_terminate_backend" in found.text
    assert found.remedy == "GRANT EXECUTE ON FUNCTION pg_terminate_backend TO one"


async def test_what_is_told_in_the_log_is_what_helps(
    rig: Rig, postgres: PostgresServer, shared: dict[str, Any]
) -> None:
    with admin(postgres, shared["database"]) as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_terminate_backend FROM PUBLIC")
    await rig.server.put("70b3d57ed0000001", Node("70b3d57ed0000001", "one").status())
    async with rig.bridge(**shared):
        await until(lambda: HOLDS in rig.logged.getvalue())
    (line,) = [line for line in rig.logged.getvalue().splitlines() if HOLDS in line]
    assert "one may not execute pg_terminate_backend" in line
    assert "GRANT EXECUTE ON FUNCTION pg_terminate_backend TO one" in line
    assert sharing.ONE_ROLE not in line
