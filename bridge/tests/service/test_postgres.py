"""A bridge on PostgreSQL: what it does when the server goes away, and what its commands and checks say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.service import postgres_server
from bridge.tests.service.endpoint import endpoints, scraped
from bridge.tests.service.half_open import HalfOpening
from bridge.tests.service.node import Node
from bridge.tests.service.postgres_server import PASSWORD, PostgresServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_check_machine import not_ok, one, settings_of
from bridge.tests.service.test_cli import configured, runs
from bridge.tests.service.until import until
from zaehlwerk_bridge.check_finding import Findings, Verdict
from zaehlwerk_bridge.check_postgres import CLAIM_MOST_S
from zaehlwerk_bridge.check_store import check_store
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings, load
from zaehlwerk_bridge.sharing import SameName
from zaehlwerk_bridge.store_place import verified

EUI = "70b3d57ed0000001"


@pytest.fixture
def on_postgres(rig: Rig, postgres: PostgresServer) -> dict[str, Any]:
    """What `rig.bridge` and `rig.settings` need to work on an empty database."""
    return {"database": postgres.new_database(), "store_password_file": postgres.password_file}


async def test_what_a_bridge_stores_in_postgresql_reaches_the_platform(
    rig: Rig, on_postgres: dict[str, Any], subscribe: Callable[..., Subscriber]
) -> None:
    platform, node = subscribe(), Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge(**on_postgres) as bridge:
        await rig.server.put(EUI, node.count(4))
        await platform.until(lambda: platform.sums() == {"one": 7})
        await bridge.published()
    assert PASSWORD not in rig.logged.getvalue()
    async with rig.bridge(**on_postgres) as bridge:
        await rig.server.put(EUI, node.count(5))
        await platform.until(lambda: platform.sums() == {"one": 12})
        assert bridge.counts.events == 1, "how far the stream was stored is known"


@pytest.mark.parametrize("killed", [True, False])
async def test_a_server_that_goes_and_comes_back_loses_and_doubles_nothing(
    rig: Rig,
    postgres: PostgresServer,
    on_postgres: dict[str, Any],
    subscribe: Callable[..., Subscriber],
    killed: bool,
) -> None:
    """Told at the broker and where readiness is asked for; the bridge does not end, and goes on by itself."""
    platform, node = subscribe(), Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    async with rig.bridge(**on_postgres) as bridge:
        for _ in range(3):
            await platform.until(
                lambda: any(m["state"] == "online" for m in platform.of("bridge/b1/status")[-1:])
            )
            (postgres.kill if killed else postgres.stop)()
            await rig.server.put(EUI, *(node.count(2) for _ in range(5)))
            await until(lambda: "store" in bridge.troubles())
            assert "the database cannot be written" in bridge.troubles()["store"]
            await platform.until(lambda: platform.newest("bridge/b1/status").get("state") == "stalled")
            postgres.start()
            await until(lambda: "store" not in bridge.troubles(), 40)
        await platform.until(lambda: platform.sums() == {"one": 30}, 40)


async def test_connections_that_the_server_has_lost_without_a_word_are_given_up_within_seconds(
    rig: Rig,
    postgres: PostgresServer,
    on_postgres: dict[str, Any],
    subscribe: Callable[..., Subscriber],
) -> None:
    """Something in between keeps them alive: no keepalive notices it, and who waits for an answer waits for ever."""
    platform, node = subscribe(), Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    async with HalfOpening(postgres.port) as between:
        on_postgres["database"] = on_postgres["database"].replace(f":{postgres.port}/", f":{between.port}/")
        async with rig.bridge(**on_postgres):
            await rig.server.put(EUI, node.count(5))
            await platform.until(lambda: platform.sums() == {"one": 5})
            between.half_open()
            await rig.server.put(EUI, node.count(5))
            await platform.until(lambda: platform.sums() == {"one": 10}, 40)


async def test_a_bridge_that_starts_before_its_server_waits_for_it(
    rig: Rig, postgres: PostgresServer, on_postgres: dict[str, Any]
) -> None:
    postgres.stop()
    async with rig.bridge(ready=False, **on_postgres) as bridge:
        await until(lambda: "the database cannot be opened" in bridge.troubles().get("store", ""))
        postgres.start()
        await bridge.ready(40)


async def test_a_wrong_password_is_told_and_a_right_one_in_the_same_file_is_enough(
    rig: Rig, on_postgres: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "changed.password"
    file.write_text("an-older-password\n")
    async with rig.bridge(ready=False, **{**on_postgres, "store_password_file": file}) as bridge:
        await until(lambda: "password authentication failed" in bridge.troubles().get("store", ""))
        file.write_text(f"{PASSWORD}\n")
        await bridge.ready(40)
    assert "an-older-password" not in rig.logged.getvalue()


@pytest.mark.long
async def test_of_two_bridges_with_one_name_the_first_ends_and_says_why(
    rig: Rig, on_postgres: dict[str, Any]
) -> None:
    async def both() -> None:
        async with (
            rig.bridge(mqtt_client_id="first", **on_postgres) as first,
            rig.bridge(mqtt_client_id="second", **on_postgres),
        ):
            await until(first._stop.is_set, 20)

    with pytest.raises(SameName, match="give every bridge an id of its own"):
        await both()


async def test_metrics_tell_of_the_store_without_a_disk_of_this_machine(
    rig: Rig, on_postgres: dict[str, Any]
) -> None:
    await rig.server.put(EUI, Node(EUI, "one").status())
    async with rig.bridge(**on_postgres) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        with endpoints(bridge) as port:
            found = await scraped(port)
    assert found["zaehlwerk_bridge_store_failing", ""] == 0
    assert found["zaehlwerk_bridge_ledger_stations", ""] == 1
    assert found["zaehlwerk_bridge_store_database_bytes", ""] > 1_000_000
    assert ("zaehlwerk_bridge_store_wal_bytes", "") not in found


# Commands and checks.


@pytest.mark.parametrize(("command", "says"), [("backup", "pg_dump"), ("restore", "pg_restore")])
async def test_copies_of_postgresql_are_postgresqls_own(rig: Rig, command: str, says: str) -> None:
    config = configured(rig)
    config.write_text(config.read_text().replace('"bridge.sqlite"', '"postgresql://u@h/d"'))
    status, out, err = await runs(command, rig.directory / "copy", "--config", config)
    assert (status, out) == (2, "")
    assert says in err
    assert "BACKUP.md" in err


def checked(url: str, password_file: Path | None, **changes: Any) -> Findings:
    settings = settings_of(Path("/"), **changes)
    store = settings.store.model_copy(update={"password_file": password_file})
    return check_store(settings.model_copy(update={"database": url, "store": store}), Redactor())


def test_a_server_that_is_as_it_should_be_is_all_right(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    findings = checked(url, postgres.password_file)
    assert not_ok(findings) == []
    assert one(findings, "schema").text == "is not there yet, the first start makes it"
    assert one(findings, "rights").verdict is Verdict.OK
    place = postgres.new_store_place()
    findings = checked(place.url, postgres.password_file)
    assert not_ok(findings) == []
    assert one(findings, "schema").text.endswith("its tables can be read and written")


def test_a_server_that_cannot_be_asked_is_told_with_what_to_look_at(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    wrong = tmp_path / "wrong"
    wrong.write_text("a-wrong-password\n")
    found = one(checked(url, wrong), "connect")
    assert "password authentication failed" in found.text
    assert "store.password_file" in found.remedy
    assert "a-wrong-password" not in found.line()
    assert "sslmode=disable" in one(checked(url.replace("disable", "require"), wrong), "connect").remedy
    postgres.stop()
    assert "Connection refused" in one(checked(url, postgres.password_file), "connect").text


def test_a_user_without_rights_is_told(postgres: PostgresServer) -> None:
    """Before the tables are there, and afterwards when they are another one's."""
    place = postgres.new_store_place()
    name = place.url.rpartition("/")[2].partition("?")[0]
    with postgres.connect(name) as connection:
        connection.execute(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    theirs = place.url.replace("//zaehlwerk@", "//guest@")
    assert not_ok(checked(theirs, postgres.password_file)) == [
        ("schema", Verdict.WRONG),
        ("role", Verdict.NOTE),
    ]
    with postgres.connect(name) as connection:
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
    assert not_ok(checked(theirs, postgres.password_file)) == [
        ("rights", Verdict.NOTE),
        ("schema", Verdict.WRONG),
        ("role", Verdict.NOTE),
    ]
    empty = postgres.new_database().replace("//zaehlwerk@", "//guest@")
    assert not_ok(checked(empty, postgres.password_file)) == [("rights", Verdict.WRONG)]


def test_a_schema_of_another_version_is_told(postgres: PostgresServer) -> None:
    place = postgres.new_store_place()
    name = place.url.rpartition("/")[2].partition("?")[0]
    for change, verdict in (("+ 1", Verdict.WRONG), ("- 2", Verdict.NOTE)):
        with postgres.connect(name) as connection:
            connection.execute(f"UPDATE schema_version SET version = version {change}")
        assert one(checked(place.url, postgres.password_file), "schema").verdict is verdict


def test_a_server_that_forgets_in_a_power_cut_is_told(tmp_path: Path) -> None:
    reason = postgres_server.why_not()
    if reason:
        pytest.skip(reason)
    server = PostgresServer(tmp_path / "careless", {"fsync": "off", "synchronous_commit": "off"})
    server.start()
    try:
        assert (
            one(checked(server.new_database(), server.password_file), "durability").verdict is Verdict.WRONG
        )
    finally:
        server.close()
    server = PostgresServer(tmp_path / "hasty", {"synchronous_commit": "off"})
    server.start()
    try:
        assert one(checked(server.new_database(), server.password_file), "durability").verdict is Verdict.NOTE
    finally:
        server.close()


def test_a_takeover_that_would_take_long_is_told(postgres: PostgresServer) -> None:
    redis = {"redis_server": "r:1", "redis_insecure": True}
    for seconds, told in ((60, True), (3, False)):
        settings = settings_of(Path("/"), redis_claim_idle_s=seconds, **redis)
        store = settings.store.model_copy(update={"password_file": postgres.password_file})
        update = {"database": postgres.new_database(), "store": store, "source": "redis"}
        findings = check_store(settings.model_copy(update=update), Redactor())
        assert ("takeover" in [finding.tried for finding in findings]) is told


# Settings.


def loaded(tmp_path: Path, database: str) -> Settings:
    path = tmp_path / "bridge.toml"
    path.write_text(
        f"""
database = "{database}"
[store]
password_file = "secret"
[chirpstack]
server = "c:1"
tenants = ["11111111-2222-3333-4444-555555555555"]
api_key_file = "key"
[mqtt]
host = "b"
"""
    )
    return load(path)


def test_the_database_is_a_file_beside_the_settings_or_an_address(tmp_path: Path) -> None:
    assert loaded(tmp_path, "bridge.sqlite").database_file == tmp_path / "bridge.sqlite"
    shared = loaded(tmp_path, "postgresql://u@h/d")
    assert (shared.database, shared.database_file, shared.shared) == ("postgresql://u@h/d", None, True)
    assert shared.store.password_file == tmp_path / "secret"


def test_the_example_of_the_guide_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "SCALE-OUT.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "bridge.toml"
    needed = '[chirpstack]\nserver = "c:1"\ntenants = ["11111111-2222-3333-4444-555555555555"]\napi_key_file = "key"\n'
    path.write_text(f'{example}\n{needed}[mqtt]\nhost = "b"\n')
    settings = load(path)
    assert settings.shared
    assert settings.redis.claim_idle_s <= CLAIM_MOST_S


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:hush@h/d", "must not hold the password"),
        ("postgresql://u@h/d?password=hush", "must not hold the password"),
        ("postgresql://u@h", "must name the database"),
    ],
)
def test_an_address_holds_no_password_and_names_the_database(tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as raised:
        loaded(tmp_path, url)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("postgresql://u@h/d", "postgresql://u@h/d?sslmode=verify-full&sslrootcert=system"),
        ("postgresql://u@h/d?sslrootcert=a.pem", "postgresql://u@h/d?sslrootcert=a.pem&sslmode=verify-full"),
        ("postgresql://u@h/d?sslmode=disable", "postgresql://u@h/d?sslmode=disable"),
        ("postgresql://u@127.0.0.1/d", "postgresql://u@127.0.0.1/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),
    ],
)
def test_what_leaves_the_machine_is_encrypted_unless_the_address_says_otherwise(url: str, used: str) -> None:
    assert verified(url) == used
