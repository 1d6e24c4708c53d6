"""The thread of the store: left in time, whatever it is doing."""

from __future__ import annotations

import asyncio
import io
import json
import random
import threading
from pathlib import Path

import pytest

from zaehlwerk_bridge import store_thread
from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_thread import StoreThread


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_thread_that_does_not_come_back_is_left_alone_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    path, logged = tmp_path / "bridge.sqlite", io.StringIO()
    log = make_logger(Redactor(), "info", logged)
    thread = StoreThread(path, lambda: Store(path), SystemClock(), random.Random(1), log, lambda: None)
    await thread.open()
    begun, released = threading.Event(), threading.Event()

    def held(_store: Store) -> bool:
        begun.set()
        return released.wait(60)

    call = asyncio.create_task(thread.call(held))
    await asyncio.to_thread(begun.wait, 60)
    if hangs:
        monkeypatch.setattr(store_thread, "CLOSE_S", 0.01)
    else:
        monkeypatch.setattr(store_thread, "CLOSE_S", 60)
        released.set()
    await thread.close()
    told = [json.loads(line)["event"] for line in logged.getvalue().splitlines()]
    assert thread.left_alone is hangs
    assert told == (["database does not answer"] if hangs else [])
    released.set()
    assert await call
