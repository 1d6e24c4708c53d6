"""A disk that fills up is a state and no accident: reading stops, it is said everywhere, and all goes on by itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.tests.service.endpoint import endpoints, scraped, told
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_endpoints import sample
from bridge.tests.service.until import until
from zaehlwerk_bridge.disk_watch import EVERY_S, DiskWatch
from zaehlwerk_bridge.errors import BridgeError
from zaehlwerk_bridge.housekeeping import PAGES, Housekeeping
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import StoreSettings
from zaehlwerk_bridge.store import FREE_PAGES_KEPT, Store
from zaehlwerk_bridge.store_figures import wal_bytes

EUI = "70b3d57ed0000001"
MB = 1_000_000
LOG = make_logger(Redactor(), "error", io.StringIO())


class Disk:
    """What is free, as the test says."""

    def __init__(self, free_mb: int) -> None:
        self.free_mb = free_mb

    def free_bytes(self, _path: Path) -> int:
        return self.free_mb * MB


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(1000)
    monkeypatch.setattr("zaehlwerk_bridge.store_figures.disk_free_bytes", disk.free_bytes)
    monkeypatch.setattr("zaehlwerk_bridge.disk_watch.disk_free_bytes", disk.free_bytes)
    init = DiskWatch.__init__
    monkeypatch.setattr(
        DiskWatch, "__init__", lambda *a, **k: init(*a, **{"free_bytes": disk.free_bytes, **k})
    )
    monkeypatch.setattr("zaehlwerk_bridge.disk_watch.EVERY_S", 0.02)
    return disk


async def test_below_the_mark_nothing_is_read_it_is_said_and_above_it_all_goes_on(
    rig: Rig, disk: Disk, subscribe: Callable[..., Subscriber]
) -> None:
    """Status topic, readiness, metric, log; what is in the outbox is still sent, and nothing is lost."""
    platform = subscribe()
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge(store_low_water_mb=200) as bridge:
        await platform.until(lambda: platform.sums() == {"one": 3})
        with endpoints(bridge) as port:
            disk.free_mb = 199
            await until(lambda: bridge.disk_trouble != "")
            await rig.server.put(EUI, node.count(4))
            await platform.until(lambda: platform.newest("b1/status").get("state") == "stalled")
            reason = "disk: 199 MB free, fewer than 200; no more events are read until there is space"
            assert platform.of("b1/status")[-1] == {"state": "stalled", "reason": reason}
            assert await told(port, "/readyz") == (503, {"ready": False, "store": reason})
            assert (await told(port, "/healthz"))[0] == 200
            assert (await scraped(port))[sample("store_failing")] == 1
            disk.free_mb = 210  # space that comes and goes does not switch it
            await asyncio.sleep(0.1)
            assert bridge.counts.events == 2
            disk.free_mb = 221
            await platform.until(lambda: platform.sums() == {"one": 7})
            await platform.until(lambda: platform.newest("b1/status") == {"state": "online"})
            assert await told(port, "/readyz") == (200, {"ready": True})
            assert (await scraped(port))[sample("store_failing")] == 0
    logged = [json.loads(line)["event"] for line in rig.logged.getvalue().splitlines()]
    assert logged.count("disk is nearly full, nothing more is read") == 1
    assert logged.count("disk has space again, reading goes on") == 1


async def test_a_bridge_that_is_stalled_stops_in_good_order(rig: Rig, disk: Disk) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(50)))
    disk.free_mb = 1
    async with rig.bridge(store_low_water_mb=200) as bridge:
        await until(lambda: bridge.disk_trouble != "")
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 5
    disk.free_mb = 1000
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)


async def test_the_mark_can_be_switched_off_and_a_disk_that_cannot_be_asked_is_no_reason_to_stop(
    tmp_path: Path,
) -> None:
    def fails(_path: Path) -> int:
        raise OSError("no such device")

    clock = ManualClock(0)
    off = DiskWatch(tmp_path, 0, clock, LOG, lambda: None, lambda _: 0)
    unknown = DiskWatch(tmp_path, 100, clock, LOG, lambda: None, fails)
    for watch in (off, unknown):
        watch.look()
        assert watch.reading.is_set()
        assert watch.trouble == ""


async def test_it_is_looked_again_and_again(tmp_path: Path) -> None:
    clock, disk = ManualClock(0), Disk(500)
    watch = DiskWatch(tmp_path, 100, clock, LOG, lambda: None, disk.free_bytes)
    looking = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    disk.free_mb = 50
    await clock.move(EVERY_S)
    assert not watch.reading.is_set()
    disk.free_mb = 500
    await clock.move(EVERY_S)
    assert watch.reading.is_set()
    looking.cancel()


async def test_what_sqlite_says_of_a_full_database_is_waited_for(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """SQLITE_FULL itself, by a limit of pages: nothing is dropped, nothing ends, and with space everything goes on."""
    platform = subscribe()
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge() as bridge:
        await bridge.published()
        pages = await bridge.ask(lambda store: store._database.execute("PRAGMA page_count").fetchone()[0])
        await bridge.ask(lambda store: store._database.execute(f"PRAGMA max_page_count = {pages}").fetchone())
        many = [node.count(1) for _ in range(200)]
        await rig.server.put(EUI, *many)
        await until(lambda: "full" in bridge.disk_trouble)
        await platform.until(lambda: platform.newest("b1/status").get("state") == "stalled")
        await bridge.ask(lambda store: store._database.execute("PRAGMA max_page_count = 1000000").fetchone())
        await bridge.committed(EUI, many[-1].id)
        await platform.until(lambda: platform.sums() == {"one": 203})
        assert bridge.disk_trouble == ""


async def test_a_disk_that_is_full_at_the_start_is_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, subscribe: Callable[..., Subscriber]
) -> None:
    """It does not end the bridge: a supervisor would start it again and again. The broker is told meanwhile."""
    full = [True]
    opened = Store.__init__

    def fails(self: Store, *args: object, **kwargs: object) -> None:
        if full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        opened(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "__init__", fails)
    platform = subscribe()
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge(ready=False) as bridge:
        await platform.until(lambda: bool(platform.of("b1/status")))
        assert platform.of("b1/status")[-1] == {
            "state": "stalled",
            "reason": "the database cannot be opened: database or disk is full",
        }
        assert set(bridge.troubles()) == {"source", "store"}
        full.clear()
        await platform.until(lambda: platform.sums() == {"one": 3})


async def test_a_bridge_whose_disk_is_full_at_the_start_can_be_stopped(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    monkeypatch.setattr(Store, "__init__", fails)
    async with rig.bridge(ready=False) as bridge:
        await until(lambda: bridge.disk_trouble != "")


async def test_a_database_in_a_directory_that_is_not_there_ends_the_bridge(rig: Rig) -> None:
    """That is a mistake in the settings, and no time mends it."""
    bridge = Bridge(rig.settings(database=rig.directory / "none" / "bridge.sqlite"), log=LOG)
    with pytest.raises(BridgeError, match="unable to open database file"):
        await bridge.run()


FULL = """
import asyncio, sqlite3, sys
from bridge.tests.ledger.frames import Device, at
from pathlib import Path
from zaehlwerk_bridge.store import Store
store, device = Store(Path(sys.argv[1]) / "bridge.db"), Device()
store.commit([device.status(0, 10)], at(0))
filler = open(Path(sys.argv[1]) / "filler", "wb", buffering=0)
try:
    while True:
        filler.write(bytes(4096))
except OSError:
    pass
events = [device.count(n, 10 + n) for n in range(1, 80)]
taken = 0
try:
    for event in events:
        store.commit([event], at(1))
        taken += 1
except sqlite3.OperationalError as error:
    print(error.sqlite_errorname, end=" ")
filler.close()
(Path(sys.argv[1]) / "filler").unlink()
store.commit(events, at(80))
print(store._database.execute("PRAGMA integrity_check").fetchone()[0], taken < 79, store.dump().count("record "))
"""


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    ).returncode
    != 0,
    reason="this machine lets nobody make a disk of his own (unshare, tmpfs)",
)
def test_on_a_disk_that_is_really_full_a_transaction_fails_whole_and_can_be_done_again(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=2m tmpfs "{disk}" && exec "{sys.executable}" -c "$FULL" "{disk}"'
    ran = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "FULL": FULL},
    )
    assert ran.stdout.split() == ["SQLITE_FULL", "ok", "True", "80"], ran.stderr


async def test_housekeeping_forgets_gives_pages_back_and_empties_the_log(rig: Rig) -> None:
    """While the bridge works: the file gets smaller, and a log that somebody's reading has let grow is emptied."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), *(node.count(1) for _ in range(300)))
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        clock, wall = ManualClock((node.now_s + 28 * 86400) * 10**9), ManualClock(0)
        keeping = Housekeeping(StoreSettings(retention_days=29), bridge._store, clock, wall, LOG)
        passing = asyncio.create_task(_passes(wall))
        await keeping.forget()
        dump = await bridge.ask(Store.dump)
        assert dump.count("record ") == 97  # a day is left
        await bridge.ask(_fill_and_free, FREE_PAGES_KEPT + 3 * PAGES)
        before = (await bridge.ask(_pages))[0]
        path = rig.directory / "bridge.sqlite"
        assert wal_bytes(path) > 0
        await keeping.tidy()
        after, free = await bridge.ask(_pages)
        passing.cancel()
        assert before - after >= 2 * PAGES
        assert free >= FREE_PAGES_KEPT
        await bridge.ask(Store.empty_log)
        assert wal_bytes(path) == 0


async def test_a_log_that_is_being_read_is_emptied_another_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "bridge.db")
    reader = sqlite3.connect(tmp_path / "bridge.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM outbox").fetchone()
    store._database.execute("INSERT INTO tags VALUES (1, 'a', '{}')")
    assert not store.empty_log()
    reader.close()
    assert store.empty_log()
    assert store._database.execute("PRAGMA busy_timeout").fetchone()[0] == 5000
    store.close()


async def _passes(clock: ManualClock) -> None:
    while True:
        await asyncio.sleep(0)
        await clock.move(1)


def _fill_and_free(store: Store, pages: int) -> None:
    store._database.execute("CREATE TABLE filler (x BLOB)")
    store._database.executemany("INSERT INTO filler VALUES (zeroblob(4000))", [()] * pages)
    store._database.execute("DROP TABLE filler")


def _pages(store: Store) -> tuple[int, int]:
    pages, free = (
        store._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
    )
    return pages, free
