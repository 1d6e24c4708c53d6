"""Copies of the store: made beside a bridge in full work, put back, and nothing stands twice in the sum."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest

from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_cli import configured, ended, runs, start
from bridge.tests.service.test_stopping import PATIENCE_S, Load, counts_seen
from bridge.tests.service.until import until
from zaehlwerk_bridge.backup import BackupError, back_up, restore
from zaehlwerk_bridge.database import SCHEMA_VERSION, SchemaError
from zaehlwerk_bridge.errors import BridgeError
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_lock import StoreInUse, StoreLock

EUI = "70b3d57ed0000001"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        yield database


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The store of a stopped bridge with one station that it knows all of."""
    path = tmp_path / "store" / "bridge.sqlite"
    path.parent.mkdir()
    Store(path).close()
    with opened(path) as store:
        store.execute("INSERT INTO station VALUES ('one', 7, 'one', '{}', 0, 1)")
    return path


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def revision(path: Path) -> tuple[int, int]:
    """What is known of the station: its revision, and whether that is all."""
    with opened(path) as store:
        row = store.execute("SELECT revision, verified FROM station WHERE slug = 'one'").fetchone()
    return int(row[0]), int(row[1])


async def test_a_copy_made_in_full_work_is_whole_and_the_bridge_goes_on(rig: Rig) -> None:
    """It is a state that the store really had: with every commit of events their cursors and messages."""
    platform = Subscriber(rig.broker.port)
    path = configured(rig)
    copy = rig.directory / "copies" / "copy.sqlite"
    copy.parent.mkdir()
    async with Load(rig) as load:
        process = await start("run", "--config", path)
        await platform.until(lambda: counts_seen(platform) > 100, PATIENCE_S)
        status, out, err = await runs("backup", "--config", path, copy, "--json")
    told = json.loads(out)
    assert (status, err, told["ok"], told["file"], told["schema"]) == (0, "", True, str(copy), SCHEMA_VERSION)
    assert told["bytes"] == copy.stat().st_size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert files(copy.parent) == {"copy.sqlite"}
    with opened(copy) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    await platform.until(lambda: load.whole(platform), PATIENCE_S)
    process.send_signal(signal.SIGTERM)
    assert (await ended(process))[0] == 0
    platform.close()


async def test_a_file_that_is_there_is_overwritten_only_if_that_is_said(rig: Rig, database: Path) -> None:
    path = rig.directory / "bridge.toml"
    path.write_text(configured(rig).read_text().replace("bridge.sqlite", str(database)))
    copy = rig.directory / "copy.sqlite"
    copy.write_text("something dear")
    status, out, err = await runs("backup", "--config", path, copy)
    assert (status, out) == (2, "")
    assert err == f"zaehlwerk-bridge: {copy}: is there already; name another file, or say --overwrite\n"
    assert copy.read_text() == "something dear"
    status, out, err = await runs("backup", "--config", path, copy, "--overwrite")
    assert (status, err) == (0, "")
    assert out.endswith(f"schema {SCHEMA_VERSION}, 1 stations, 0 messages wait to be published\n")
    assert revision(copy) == (7, 1)


@pytest.mark.parametrize("told_again", [True, False], ids=["history kept", "history lost"])
async def test_what_was_published_after_the_copy_stands_once_in_the_sum_when_it_is_put_back(
    rig: Rig, subscribe: Callable[..., Subscriber], told_again: bool
) -> None:
    """The machine is lost at full speed; a new one gets the copy. ChirpStack has the time between, or only what follows."""
    platform = subscribe()
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(3) for _ in range(5)))
    path = configured(rig)
    process = await start("run", "--config", path)
    await platform.until(lambda: platform.sums() == {"one": 15}, PATIENCE_S)
    copy = rig.directory / "copy.sqlite"
    assert (await runs("backup", "--config", path, copy))[0] == 0
    await rig.server.put(EUI, *(node.count(4) for _ in range(5)))
    await platform.until(lambda: platform.sums() == {"one": 35}, PATIENCE_S)
    process.kill()
    await ended(process)
    for lost in rig.directory.glob("bridge.sqlite*"):
        lost.unlink()
    if not told_again:
        rig.server.devices[EUI].items = rig.server.devices[EUI].items[-1:]
    status, out, err = await runs("restore", "--config", path, copy, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["kept"] is None
    before = len(platform.messages)
    process = await start("run", "--config", path)
    await rig.server.put(EUI, node.count(5))
    await platform.until(lambda: platform.sums() == {"one": 40}, PATIENCE_S)
    records = [record for content in platform.of("/count") for record in content["records"]]
    assert max(r["revision"] for r in records) in {
        r["revision"]
        for m in platform.messages[before:]
        if m.topic.endswith(("/count", "/span"))
        for r in json.loads(m.payload)["records"]
    }
    process.terminate()
    status, _, err = await ended(process)
    assert status == 0
    assert platform.sums() == {"one": 40}


async def test_a_running_bridge_keeps_its_store_and_a_second_one_is_not_started_on_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.server.put(EUI, Node(EUI, "one").status())
    path = configured(rig)
    process = await start("run", "--config", path)
    await until(lambda: rig.server.devices[EUI].opened == 1, PATIENCE_S)
    copy = rig.directory / "copy.sqlite"
    assert (await runs("backup", "--config", path, copy))[0] == 0
    inode = (rig.directory / "bridge.sqlite").stat().st_ino
    answers = await asyncio.gather(
        runs("restore", "--config", path, copy),
        runs("run", "--config", path),
    )
    line = f"zaehlwerk-bridge: {rig.directory / 'bridge.sqlite'}: a bridge is at work on it; stop that one first\n"
    assert answers == [(2, "", line), (2, "", line)]
    assert (rig.directory / "bridge.sqlite").stat().st_ino == inode
    process.terminate()
    assert (await ended(process))[0] == 0


def test_a_start_waits_for_a_bridge_that_is_just_going(tmp_path: Path) -> None:
    path = tmp_path / "bridge.sqlite"
    with StoreLock(path), pytest.raises(StoreInUse), StoreLock(path, patience_s=0):
        pass
    with StoreLock(path, patience_s=0):
        assert files(tmp_path) == {"bridge.sqlite-lock"}
    with pytest.raises(BridgeError, match="setting `database`"), StoreLock(tmp_path / "none" / "x"):
        pass


def test_what_is_restored_is_marked_and_what_was_there_is_kept(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(database, copy)
    with opened(database) as store:
        store.execute("UPDATE station SET revision = 9")
    restored = restore(copy, database, 0)
    assert revision(database) == (7, 0)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert restored.kept is not None
    assert revision(restored.kept) == (9, 1)
    assert revision(copy) == (7, 1)
    again = restore(copy, database, 0)
    assert again.kept is not None
    assert again.kept != restored.kept
    assert not {name for name in files(database.parent) if name.startswith(".")}


def test_the_log_of_a_damaged_database_is_not_played_into_the_restored_one(
    database: Path, tmp_path: Path
) -> None:
    """A power cut left a log behind, and the disk a database that nobody can open: the usual reason to restore."""
    copy = tmp_path / "copy.sqlite"
    back_up(database, copy)
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("PRAGMA wal_autocheckpoint = 0")
    other.execute("UPDATE station SET revision = 9")
    log = database.with_name("bridge.sqlite-wal").read_bytes()
    other.close()
    database.write_bytes(b"\xff" * 4096)
    database.with_name("bridge.sqlite-wal").write_bytes(log)
    restored = restore(copy, database, 0)
    assert revision(database) == (7, 0)
    assert restored.kept is not None
    assert restored.kept.read_bytes() == b"\xff" * 4096
    assert restored.kept.with_name(restored.kept.name + "-wal").read_bytes() == log


def test_a_store_that_another_program_has_open_is_not_replaced(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(database, copy)
    with opened(database) as other:
        other.execute("SELECT * FROM station").fetchall()
        with pytest.raises(BackupError, match="another program has it open"):
            restore(copy, database, 0)
    assert revision(database) == (7, 1)


def test_a_copy_of_a_newer_schema_a_damaged_one_and_what_is_no_store_are_refused(
    database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.sqlite"
    back_up(database, copy)
    before = database.read_bytes()
    with opened(copy) as store:
        store.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(SchemaError, match="use a newer one"):
        restore(copy, database, 0)
    damaged = bytearray(before)
    for at in range(4096 + 100, len(damaged), 4096):
        damaged[at : at + 2000] = b"\xa5" * 2000
    copy.write_bytes(damaged)
    with pytest.raises(BackupError, match="damaged"):
        restore(copy, database, 0)
    with pytest.raises(BackupError, match="damaged"):
        back_up(copy, tmp_path / "copy of it.sqlite")
    copy.write_text("this is no database, " * 1000)
    with pytest.raises(BackupError, match="not a database"):
        restore(copy, database, 0)
    copy.unlink()
    with opened(copy) as foreign:
        foreign.execute("CREATE TABLE station (x)")
        foreign.execute("PRAGMA user_version = 1")
    with pytest.raises(BackupError, match="no store of a bridge"):
        restore(copy, database, 0)
    for wrong in (database, tmp_path / "none", tmp_path):
        with pytest.raises(BackupError):
            restore(wrong, database, 0)
    assert database.read_bytes() == before
    assert not {name for name in files(database.parent) if name.startswith(".") or "restore" in name}


def test_a_copy_that_an_older_version_made_is_brought_forward_and_marked(tmp_path: Path) -> None:
    """By itself the migration would say that all is known: it cannot know that this is a copy."""
    first = resources.files("zaehlwerk_bridge").joinpath("store_schema/1.sql").read_text(encoding="utf-8")
    old, database = tmp_path / "old.sqlite", tmp_path / "store" / "bridge.sqlite"
    with opened(old) as store:
        store.executescript(first)
        store.execute("PRAGMA user_version = 1")
        store.execute("INSERT INTO station VALUES ('one', 7, 'one', '{}', 0)")
    copied = back_up(old, tmp_path / "copy.sqlite")
    assert copied.schema == 1
    database.parent.mkdir()
    assert restore(copied.path, database, 0).copied.schema == SCHEMA_VERSION
    assert revision(database) == (7, 0)


def test_what_cannot_be_copied_leaves_nothing_behind(database: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no database"):
        back_up(tmp_path / "none", tmp_path / "copy.sqlite")
    with pytest.raises(BackupError, match="no such directory"):
        back_up(database, tmp_path / "none" / "copy.sqlite")
    with opened(database) as store:
        store.execute("DROP TABLE cursor")
    with pytest.raises(BackupError, match="no store of a bridge"):
        back_up(database, tmp_path / "copy.sqlite")
    assert files(tmp_path) == {"store"}


def test_a_disk_that_takes_no_more_is_status_1_and_nothing_is_left_of_the_copy(
    database: Path, tmp_path: Path
) -> None:
    """By a limit of the file's size, which SQLite sees as a failing disk."""
    settings = tmp_path / "bridge.toml"
    settings.write_text(
        f'database = "{database}"\n[chirpstack]\nserver = "c:1"\napi_key_file = "k"\n'
        'tenants = ["11111111-2222-3333-4444-555555555555"]\n[mqtt]\nhost = "b"\n'
    )
    copies = tmp_path / "copies"
    copies.mkdir()
    command = [
        sys.executable,
        "-m",
        "zaehlwerk_bridge",
        "backup",
        "--config",
        settings,
        copies / "copy.sqlite",
    ]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 40; exec "$@"', "sh", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"zaehlwerk-bridge: {copies / 'copy.sqlite'}: ")
    assert done.stderr.count("\n") == 1
    assert files(copies) == set()
