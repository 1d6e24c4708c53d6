"""What an operator does with the program while it runs or between two runs: new certificates, an older program, copies."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bridge.tests.service import postgres_server
from bridge.tests.service.certificates import Authority
from bridge.tests.service.chirpstack import TENANT, ChirpStack
from bridge.tests.service.mosquitto import Mosquitto, free_port
from bridge.tests.service.node import Node
from bridge.tests.service.postgres_server import PASSWORD, PostgresServer
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_cli import configured, ended, runs, start
from bridge.tests.service.test_rotation import proxied, server_certificates
from bridge.tests.service.until import until
from zaehlwerk_bridge.database import SCHEMA_VERSION
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"
PATIENCE_S = 60.0
GUIDE = (Path(__file__).parents[2] / "operations" / "BACKUP.md").read_text(encoding="utf-8")


# Certificates.


def in_place(directory: Path, made: dict[str, Path]) -> None:
    """Written over, as `cp` does it: for a moment they do not fit each other."""
    for name, path in made.items():
        shutil.copy(path, directory / name)


def by_rename(directory: Path, made: dict[str, Path]) -> None:
    """Written beside and renamed, as `install` and most agents do it."""
    for name, path in made.items():
        shutil.copy(path, directory / f"{name}.new")
        (directory / f"{name}.new").replace(directory / name)


def by_link(directory: Path, made: dict[str, Path]) -> None:
    """A directory of them that a link points to, as Kubernetes and certbot do it."""
    generation = directory / f"generation-{len(list(directory.glob('generation-*')))}"
    generation.mkdir()
    in_place(generation, made)
    link = directory / "next"
    link.symlink_to(generation.name)
    link.replace(directory / "current")
    for name in made:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(Path("current", name))


def certificates_of(authority: Authority, *sides: str) -> dict[str, Path]:
    """By the names that the settings give them."""
    made = {}
    for side in sides:
        cert_file, key_file = authority.issue(side)
        made |= {
            f"{side}-ca.pem": authority.ca_file,
            f"{side}-cert.pem": cert_file,
            f"{side}-key.pem": key_file,
        }
    return made


async def started(broker: Mosquitto, *more_ports: int) -> None:
    """With its further listeners, which come after the first."""
    broker.start()

    def listens(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await until(lambda: all(map(listens, more_ports)))


@pytest.mark.parametrize("put", [in_place, by_rename, by_link])
async def test_certificates_of_both_sides_are_replaced_under_a_program_that_goes_on(
    rig: Rig,
    server: ChirpStack,
    tmp_path: Path,
    put: Callable[[Path, dict[str, Path]], None],
    request: pytest.FixtureRequest,
) -> None:
    """Authorities, server and client certificates are all new at once; the program is never told and never restarted."""
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    plain = free_port()
    broker = Mosquitto(
        tmp_path / "tls",
        options=[
            *(f"{name}file {tmp_path / 'tls' / name}.pem" for name in ("cert", "key", "ca")),
            "require_certificate true",
            f"listener {plain} 127.0.0.1",
        ],
    )
    server_certificates(broker, old)
    request.addfinalizer(broker.stop)
    await started(broker, plain)
    platform = Subscriber(plain)
    node = Node(EUI, "one")
    await server.put(EUI, node.status(), node.count(3))
    config = rig.directory / "bridge.toml"
    files = {
        side: "".join(
            f'{what}_file = "{side}-{name}.pem"\n'
            for what, name in (("ca", "ca"), ("cert", "cert"), ("key", "key"))
        )
        for side in ("chirpstack", "mqtt")
    }
    put(rig.directory, certificates_of(old, *files))
    async with proxied(server, old) as port:
        config.write_text(
            f"""
id = "b1"
database = "bridge.sqlite"
[chirpstack]
server = "127.0.0.1:{port}"
tenants = ["{TENANT}"]
api_key_file = "api.key"
relist_s = 1
{files["chirpstack"]}
[mqtt]
host = "127.0.0.1"
port = {broker.port}
{files["mqtt"]}
[http]
port = 0
""",
            encoding="utf-8",
        )
        process = await start("run", "--config", config)
        await platform.until(lambda: platform.sums() == {"one": 3}, PATIENCE_S)
    broker.stop()
    server_certificates(broker, new)
    await started(broker, plain)
    async with proxied(server, new, port):
        await server.put(EUI, node.count(4))
        put(rig.directory, certificates_of(new, *files))
        await platform.until(lambda: platform.sums() == {"one": 7}, PATIENCE_S)
        process.send_signal(signal.SIGTERM)
        status, _, err = await ended(process)
    assert status == 0, err
    assert "PRIVATE KEY" not in err
    platform.close()


# An older program on a newer store.


def on_postgres(rig: Rig, url: str, password_file: Path) -> Path:
    path = configured(rig, f'[store]\npassword_file = "{password_file}"')
    path.write_text(path.read_text().replace('"bridge.sqlite"', f'"{url}"'))
    return path


async def test_a_store_of_a_newer_program_is_not_touched_and_the_status_says_that_trying_again_is_no_help(
    rig: Rig,
) -> None:
    config = configured(rig)
    database = rig.directory / "bridge.sqlite"
    Store(database).close()
    with closing(sqlite3.connect(database)) as store, store:
        store.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = database.read_bytes()
    status, out, err = await runs("run", "--config", config)
    assert (status, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("zaehlwerk-bridge: ")]
    assert f"schema {SCHEMA_VERSION + 1} is newer than this bridge's {SCHEMA_VERSION}" in line
    assert "use a newer bridge" in line
    assert "Traceback" not in err
    assert database.read_bytes() == before


async def test_a_postgresql_of_a_newer_program_is_refused_likewise(
    rig: Rig, postgres: PostgresServer
) -> None:
    place = postgres.new_store_place()
    with psycopg.connect(place.url, password=PASSWORD, autocommit=True) as store:
        store.execute("UPDATE schema_version SET version = version + 1")
    status, out, err = await runs("run", "--config", on_postgres(rig, place.url, postgres.password_file))
    assert (status, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("zaehlwerk-bridge: ")]
    assert f"schema {SCHEMA_VERSION + 1} is newer than this bridge's {SCHEMA_VERSION}" in line
    assert "Traceback" not in err


# Copies of PostgreSQL, by the commands of the guide.


def guide(block: str) -> str:
    """The commands of the guide's block of that name."""
    (commands,) = re.findall(rf"^```sh {block}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(commands)


async def done(commands: str, url: str, directory: Path) -> None:
    """Carry commands of the guide out on the database at `url`."""
    programs = postgres_server.directory_of_programs()
    named = commands.replace("postgresql://zaehlwerk@db.example/zaehlwerk", f"'{url}'")
    process = await asyncio.create_subprocess_shell(
        f"set -eu; {named}",
        cwd=directory,
        env={
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PGPASSWORD": PASSWORD,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0, out.decode()


@pytest.mark.parametrize("told_again", [True, False], ids=["history kept", "history lost"])
async def test_a_copy_made_and_put_back_by_the_guides_commands_stands_once_in_the_sum(
    rig: Rig, postgres: PostgresServer, subscribe: Callable[..., Subscriber], told_again: bool
) -> None:
    """pg_dump of a running bridge's database, into a new one, after more was published and everything was lost."""
    programs = postgres_server.directory_of_programs()
    if programs is None or not all((programs / name).exists() for name in ("pg_dump", "pg_restore", "psql")):
        pytest.skip("no pg_dump beside this PostgreSQL")
    platform, node = subscribe(), Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(3) for _ in range(5)))
    first = postgres.new_database()
    process = await start("run", "--config", on_postgres(rig, first, postgres.password_file))
    await platform.until(lambda: platform.sums() == {"one": 15}, PATIENCE_S)
    await done(guide("pgdump"), first, rig.directory)
    await rig.server.put(EUI, *(node.count(4) for _ in range(5)))
    await platform.until(lambda: platform.sums() == {"one": 35}, PATIENCE_S)
    process.kill()
    await ended(process)
    second = postgres.new_database()
    await done(guide("pgrestore"), second, rig.directory)
    if not told_again:
        del rig.server.devices[EUI].items[:]
    await rig.server.put(EUI, *(node.count(2) for _ in range(3)))
    process = await start("run", "--config", on_postgres(rig, second, postgres.password_file))
    await platform.until(lambda: platform.sums() == {"one": 41}, PATIENCE_S)
    process.send_signal(signal.SIGTERM)
    status, _, err = await ended(process)
    assert status == 0, err
    assert platform.sums() == {"one": 41}
