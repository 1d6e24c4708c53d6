"""The store at its workplaces, a thread or a process: asked in order, told of every fault, left in time."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pickle
import random
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter, methodcaller
from pathlib import Path
from types import MappingProxyType

import pytest

import zaehlwerk_bridge
from bridge.tests.service.until import until
from zaehlwerk_bridge import store_access
from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_bridge.database import SchemaError, sqlite_code
from zaehlwerk_bridge.errors import BridgeStopped
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_access import StoreAccess
from zaehlwerk_bridge.store_process import StoreGone, StoreProcess
from zaehlwerk_bridge.store_thread import StoreThread
from zaehlwerk_bridge.transactions import NotBegun, commit

WORKPLACES = [StoreThread, StoreProcess]
Place = type[StoreThread] | type[StoreProcess]


def access_to(path: Path, place: Place, logged: io.StringIO | None = None) -> StoreAccess:
    log = make_logger(Redactor(), "info", logged or io.StringIO())
    return StoreAccess(path, place(partial(Store, path)), SystemClock(), random.Random(1), log, lambda: None)


@asynccontextmanager
async def opened(path: Path, place: Place) -> AsyncIterator[StoreAccess]:
    access = access_to(path, place)
    await access.open()
    yield access
    await access.close()


def event(number: int, **changes: object) -> Event:
    made = Event("grpc", f"{number:016x}", "join", f"d{number}", f"{number}-0", number, tags={"station": "x"})
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def pid_of(access: StoreAccess) -> int:
    place = access._place
    assert isinstance(place, StoreProcess)
    assert place._process is not None
    return place._process.pid


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("place", WORKPLACES)
async def test_calls_are_answered_in_the_order_in_which_they_were_made(tmp_path: Path, place: Place) -> None:
    async with opened(tmp_path / "bridge.sqlite", place) as access:
        order: list[int] = []

        async def put(number: int) -> None:
            await access.durably(commit, [event(number)], 1, ())
            order.append(number)

        await asyncio.gather(*map(put, range(20)))
        assert order == list(range(20))
        assert await access.call(Store.cursor, "grpc", f"{19:016x}") == "19-0"


@pytest.mark.parametrize("place", WORKPLACES)
async def test_a_database_that_somebody_holds_is_left_in_time_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    path, logged = tmp_path / "bridge.sqlite", io.StringIO()
    access = access_to(path, place, logged)
    await access.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    call = asyncio.create_task(access.call(methodcaller("commit", [event(1)], 1)))
    await asyncio.sleep(0)
    monkeypatch.setattr(store_access, "CLOSE_S", 0.01)
    process = pid_of(access) if place is StoreProcess else None
    await access.close()
    other.execute("ROLLBACK")
    other.close()
    assert [json.loads(line)["event"] for line in logged.getvalue().splitlines()] == [
        "database does not answer"
    ]
    # A thread would hold up the end of the program; a process is killed, and does not outlive its bridge.
    assert access.left_alone is (place is StoreThread)
    if process is None:
        await call
    else:
        assert not is_there(process)
        call.cancel()
    await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("place", WORKPLACES)
async def test_a_store_that_is_closed_in_time_says_nothing_and_answers_no_more(
    tmp_path: Path, place: Place
) -> None:
    logged = io.StringIO()
    access = access_to(tmp_path / "bridge.sqlite", place, logged)
    await access.open()
    process = pid_of(access) if place is StoreProcess else None
    await access.close()
    assert logged.getvalue() == ""
    assert not access.left_alone
    assert process is None or not is_there(process)
    with pytest.raises(BridgeStopped):
        await access.call(attrgetter("put_back"))


@pytest.mark.parametrize("place", WORKPLACES)
async def test_errors_come_to_who_asked_with_what_they_carry(tmp_path: Path, place: Place) -> None:
    """A result code decides whether to try again, a kind of error who is told."""
    path = tmp_path / "bridge.sqlite"
    nowhere = place(partial(Store, tmp_path / "none" / "bridge.sqlite"))
    with pytest.raises(sqlite3.OperationalError) as caught:
        await nowhere.open()
    assert sqlite_code(caught.value) == sqlite3.SQLITE_CANTOPEN
    await nowhere.close(60)
    async with opened(path, place) as access:
        with pytest.raises(AttributeError, match="no_such_thing"):
            await access.call(attrgetter("no_such_thing"))
        assert await access.call(attrgetter("put_back")) is False
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 999")
    newer = access_to(path, place)
    with pytest.raises(SchemaError, match="999"):
        await newer.open()
    await newer.close()


@pytest.mark.parametrize("place", WORKPLACES)
async def test_what_follows_events_that_could_not_be_stored_is_not_begun(
    tmp_path: Path, place: Place
) -> None:
    """Otherwise its cursor would say that they are stored."""
    async with opened(tmp_path / "bridge.sqlite", place) as access:
        broken = event(1, received_ns="never")
        answers = await asyncio.gather(
            access.durably(commit, [event(0)], 1, ()),
            access.durably(commit, [broken], 1, (), follows=True),
            access.durably(commit, [event(2)], 1, (), follows=True),
            access.durably(commit, [event(3)], 1, (), follows=True),
            return_exceptions=True,
        )
        assert [type(answer).__name__ for answer in answers[2:]] == [NotBegun.__name__] * 2
        assert isinstance(answers[1], Exception)
        assert await access.call(Store.cursor, "grpc", f"{2:016x}") is None
        await access.durably(commit, [event(1)], 1, ())
        await access.durably(commit, [event(2)], 1, (), follows=True)
        assert await access.call(Store.cursor, "grpc", f"{2:016x}") == "2-0"


async def test_a_process_that_is_killed_is_told_to_all_who_wait_and_ask(tmp_path: Path) -> None:
    async with opened(tmp_path / "bridge.sqlite", StoreProcess) as access:
        waiting = asyncio.create_task(access.call(methodcaller("commit", [event(1)], 1)))
        await asyncio.sleep(0)
        os.kill(pid_of(access), 9)
        with pytest.raises(StoreGone, match="SIGKILL"):
            await asyncio.gather(waiting, access.touch())
        with pytest.raises(StoreGone, match="SIGKILL"):
            await access.call(attrgetter("put_back"))


async def test_a_process_ends_when_nobody_can_ask_it_any_more(tmp_path: Path) -> None:
    access = access_to(tmp_path / "bridge.sqlite", StoreProcess)
    await access.open()
    place = access._place
    assert isinstance(place, StoreProcess)
    assert place._process is not None
    assert place._writer is not None
    place._writer.close()
    await until(lambda: place._process is None or place._process.poll() is not None)


async def test_tags_that_are_the_same_object_stay_so_on_the_way(tmp_path: Path) -> None:
    """By that a device's usual event is known again, see `Stations.still`."""
    tags = MappingProxyType({"station": "Hafenstraße 1"})
    first, second = pickle.loads(pickle.dumps([event(1, tags=tags), event(2, tags=tags)]))
    (third,) = pickle.loads(pickle.dumps([event(3, tags=MappingProxyType({"station": "Hafenstraße 1"}))]))
    assert first.tags == tags
    assert first.tags is second.tags
    assert third.tags is first.tags


def test_no_call_of_the_store_is_a_function_that_another_process_could_not_find() -> None:
    """A lambda has no name by which it could be asked for."""
    package = Path(zaehlwerk_bridge.__file__).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert sum(len(re.findall(r"_store\.(?:call|durably)\(", text)) for text in texts.values()) > 30
    assert [name for name, text in texts.items() if re.search(r"\.(?:call|durably)\(\s*lambda", text)] == []
