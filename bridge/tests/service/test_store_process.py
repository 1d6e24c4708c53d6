"""What becomes of a bridge, as a program, when something happens to the process in which its store works."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge.tests.service.endpoint import get, told
from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_cli import configured, ended, start
from bridge.tests.service.test_service_manager import Manager
from bridge.tests.service.test_stopping import started_by, told_to_stop
from bridge.tests.service.test_store_access import access_to, event, opened, pid_of
from bridge.tests.service.until import until
from zaehlwerk_bridge import heartbeat, store_process
from zaehlwerk_bridge.clock import SteadyClock
from zaehlwerk_bridge.heartbeat import Heartbeat
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_lock import SUFFIX
from zaehlwerk_bridge.store_process import StoreGone, StoreProcess
from zaehlwerk_bridge.transactions import commit

EUI = "70b3d57ed0000001"
PATIENCE_S = 60.0


def state_of(pid: int) -> str:
    """As proc_pid_stat(5) has it: T is stopped, Z is dead; empty: it is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextlib.asynccontextmanager
async def counting(
    rig: Rig, node: Node, *, http_port: int = 0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A program that has published, and the process of its store."""
    platform = Subscriber(rig.broker.port, "watcher")
    await rig.server.put(EUI, node.status(), node.count(3))
    process = await start("run", "--config", configured(rig, http_port=http_port))
    try:
        await platform.until(lambda: platform.sums().get("one") == node.total, PATIENCE_S)
        (child,) = map(int, started_by(process.pid))
        yield process, child
    finally:
        platform.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def goes_on(rig: Rig, node: Node, platform: Subscriber) -> None:
    """The next start: nothing is lost, nothing is in the sum twice."""
    await rig.server.put(EUI, node.count(4))
    process = await start("run", "--config", configured(rig))
    await platform.until(lambda: platform.sums() == {"one": node.total}, PATIENCE_S)
    await told_to_stop(process, signal.SIGTERM)


async def test_a_store_that_the_kernel_ends_ends_its_bridge_by_name_and_the_next_start_goes_on(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """As when memory is short. Status 1: the manager starts it again."""
    platform, node = subscribe(), Node(EUI, "one")
    async with counting(rig, node) as (process, child):
        os.kill(child, signal.SIGKILL)
        await rig.server.put(EUI, node.count(5))
        status, _, err = await ended(process)
    assert status == 1
    broke = [json.loads(line) for line in err.splitlines() if "bridge broke" in line]
    assert len(broke) == 1
    assert "the store's process has ended: SIGKILL" in json.dumps(broke)
    await goes_on(rig, node, platform)


async def test_a_bridge_whose_store_stands_still_can_be_stopped_in_time_and_leaves_nothing_behind(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    platform, node = subscribe(), Node(EUI, "one")
    async with counting(rig, node) as (process, child):
        os.kill(child, signal.SIGSTOP)
        await until(lambda: state_of(child) == "T")
        await rig.server.put(EUI, node.count(5))
        await told_to_stop(process, signal.SIGTERM)
        await until(lambda: state_of(child) == "")
    await goes_on(rig, node, platform)


async def test_a_bridge_that_is_killed_takes_its_store_with_it_also_one_that_stands_still(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """Else it would wake up, and end a transaction beside the next bridge."""
    platform, node = subscribe(), Node(EUI, "one")
    async with counting(rig, node) as (process, child):
        os.kill(child, signal.SIGSTOP)
        process.kill()
        await process.wait()
        await until(lambda: state_of(child) in ("", "Z"))
        with (rig.directory / f"bridge.sqlite{SUFFIX}").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await goes_on(rig, node, platform)


async def test_health_and_watchdog_tell_of_a_store_that_stands_still_and_that_it_moves_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program itself; a store is patient for a minute, here for a second."""
    manager = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", manager.name)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import zaehlwerk_bridge.heartbeat as heartbeat; heartbeat.STORE_LATE_S = 1.0\n"
    )
    port, node = free_port(), Node(EUI, "one")
    async with counting(rig, node, http_port=port) as (process, child):
        assert (await get(port, "/healthz"))[0] == 200
        os.kill(child, signal.SIGSTOP)
        status, said = 200, {}
        async with asyncio.timeout(PATIENCE_S):
            while status == 200:
                status, said = await told(port, "/healthz")
        assert status == 503
        assert "store" in json.dumps(said)
        await until(lambda: any("STATUS" in line and "has not moved" in line for line in manager.listen()))
        fed = manager.listen().count("WATCHDOG=1")
        os.kill(child, signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_S):
            while status != 200:
                status, _ = await get(port, "/healthz")
        await until(lambda: manager.listen().count("WATCHDOG=1") > fed)
        await told_to_stop(process, signal.SIGTERM)
    manager.socket.close()


@pytest.mark.parametrize(
    ("word", "number"),
    [(b"", signal.SIGTERM), (b"store_host", signal.SIGINT)],
    ids=["just forked", "begun"],
)
async def test_a_signal_that_all_processes_get_is_for_the_bridge_alone_from_the_first_moment_on(
    rig: Rig, word: bytes, number: signal.Signals
) -> None:
    """A terminal and a service manager tell all processes of a program, in any order."""
    process = await start("run", "--config", configured(rig))
    await until(lambda: any(word in words for words in started_by(process.pid).values()), PATIENCE_S)
    (child,) = map(int, started_by(process.pid))
    os.kill(child, number)
    await until((rig.directory / "bridge.sqlite-wal").exists, PATIENCE_S)
    assert state_of(child) != ""
    await told_to_stop(process, number)


async def test_a_stop_while_the_store_is_being_opened_is_a_good_end(rig: Rig) -> None:
    process = await start("run", "--config", configured(rig))
    # Stopped before it has become another program it would hold up whoever started it.
    await until(lambda: any(b"store_host" in words for words in started_by(process.pid).values()), PATIENCE_S)
    (child,) = map(int, started_by(process.pid))
    os.kill(child, signal.SIGSTOP)
    await told_to_stop(process, signal.SIGTERM)
    await until(lambda: state_of(child) == "")


async def test_a_disk_that_takes_no_more_is_told_by_the_store_s_process_and_waited_for(
    tmp_path: Path,
) -> None:
    """Its files may not grow any more, which it is told as by a full disk."""
    path = tmp_path / "bridge.sqlite"
    async with opened(path, StoreProcess) as access:
        await access.durably(commit, [event(0)], 1, ())
        pid = pid_of(access)
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        storing = asyncio.create_task(access.durably(commit, [event(1)], 1, ()))
        await until(lambda: "the database cannot be written" in access.trouble)
        assert not storing.done()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        await storing
        assert access.trouble == ""
        assert await access.call(Store.cursor, "grpc", f"{1:016x}") == "1-0"


async def test_an_answer_that_cannot_be_read_ends_the_process_and_is_told_to_all_who_wait_and_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has done is not known: nobody may wait for ever, and nobody may think that it was not done."""

    def broken(_data: bytes) -> object:
        raise MemoryError("no room for it")

    access = access_to(tmp_path / "bridge.sqlite", StoreProcess)
    await access.open()
    pid = pid_of(access)
    monkeypatch.setattr(store_process, "pickle", SimpleNamespace(loads=broken))
    asked = [asyncio.create_task(access.durably(commit, [event(n)], 1, ())) for n in range(3)]
    for one in asked:
        with pytest.raises(StoreGone, match="cannot be read: MemoryError: no room for it"):
            await one
    with pytest.raises(StoreGone):
        await access.touch()
    await access.close()
    assert state_of(pid) == ""


async def test_a_store_that_takes_long_to_open_is_not_taken_for_one_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large database is brought forward: ended for that, the bridge would begin with it again and again."""
    monkeypatch.setattr(heartbeat, "STORE_LATE_S", 0.0)
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.01)
    access = access_to(tmp_path / "bridge.sqlite", StoreProcess)
    beating = Heartbeat(SteadyClock(), access.touch)
    opening = asyncio.create_task(access.open())
    beats = asyncio.create_task(beating.run())
    place = access._place
    assert isinstance(place, StoreProcess)
    await until(lambda: place._process is not None)
    assert place._process is not None
    os.kill(place._process.pid, signal.SIGSTOP)
    marks = set()
    while len(marks) < 3:
        marks.add(beating._store_at)
        await asyncio.sleep(0)
    os.kill(place._process.pid, signal.SIGCONT)
    await opening
    beats.cancel()
    await asyncio.gather(beats, return_exceptions=True)
    await access.close()


async def test_a_process_that_cannot_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(store_process.subprocess, "Popen", none)
    place = StoreProcess(partial(Store, tmp_path / "bridge.sqlite"))
    with pytest.raises(OSError, match="no more processes"):
        await place.open()
    assert await place.close(1.0)
