"""One connection to Redis: what its library forgets is not forgotten."""

from __future__ import annotations

import asyncio

import pytest

from bridge.tests.service.redis_server import RedisServer
from zaehlwerk_bridge.settings import RedisSettings
from zaehlwerk_bridge.sources.redis_stream import RedisStream


async def test_a_cancellation_that_comes_with_the_answer_ends_the_task(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.12 `asyncio.wait_for`, with which the library waits, gives the answer and says nothing of it."""
    stream = RedisStream(RedisSettings(server=f"127.0.0.1:{redis.port}", insecure=True), None, "b1")
    asked = asyncio.Event()

    async def forgetful(*_words: object) -> list[object]:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return []
        raise AssertionError

    monkeypatch.setattr(stream._client, "execute_command", forgetful)
    task = asyncio.create_task(stream.consumers())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.close()
