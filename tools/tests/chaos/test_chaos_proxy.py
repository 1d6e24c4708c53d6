"""A bad network: what the proxy does to connections is what either side of them sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from zaehlwerk_tools.chaos.proxy import HOST, Proxy

SOON_S = 10.0
NOTHING_S = 0.1


class Echo:
    """A server that gives back what it gets, and knows when its connections end."""

    def __init__(self) -> None:
        self.connected = 0
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while data := await reader.read(1024):
                self.heard += data
                writer.write(data)
        except OSError:
            pass
        finally:
            self.connected -= 1
            writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo.serve, HOST, 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    yield proxy
    await proxy.close()
    server.close()


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(proxy: Proxy) -> Ends:
    ends = await asyncio.open_connection(HOST, proxy.port)
    assert await said(ends, b"hello") == b"hello"
    return ends


async def said(ends: Ends, words: bytes) -> bytes:
    """What comes back when something is said; empty: the connection ended."""
    reader, writer = ends
    try:
        writer.write(words)
        return await asyncio.wait_for(reader.read(1024), SOON_S)
    except ConnectionError:
        return b""


async def test_what_is_cut_ends_for_both_sides_and_a_new_connection_is_taken(
    proxy: Proxy, echo: Echo
) -> None:
    ends = await connected(proxy)
    proxy.cut()
    assert await said(ends, b"more") == b""
    again = await connected(proxy)
    assert proxy.connections == echo.connected == 1
    again[1].close()


async def test_while_it_refuses_nobody_comes_in(proxy: Proxy) -> None:
    ends = await connected(proxy)
    proxy.refuse()
    assert await said(ends, b"more") == b""
    assert await said(await asyncio.open_connection(HOST, proxy.port), b"more") == b""
    proxy.heal()
    (await connected(proxy))[1].close()


async def test_what_stalls_goes_on_where_it_stopped(proxy: Proxy, echo: Echo) -> None:
    reader, writer = await connected(proxy)
    proxy.stall()
    writer.write(b"more")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1024), NOTHING_S)
    assert echo.heard == b"hello"
    proxy.heal()
    assert await asyncio.wait_for(reader.read(1024), SOON_S) == b"more"
    writer.close()


async def test_what_is_delayed_comes_later_and_in_order(proxy: Proxy) -> None:
    ends = await connected(proxy)
    proxy.delay(NOTHING_S)
    began = asyncio.get_running_loop().time()
    assert await said(ends, b"more") == b"more"
    assert asyncio.get_running_loop().time() - began >= 2 * NOTHING_S
    ends[1].close()


async def test_of_a_half_open_connection_the_server_knows_and_the_client_does_not(
    proxy: Proxy, echo: Echo
) -> None:
    reader, writer = await connected(proxy)
    proxy.half_open()
    writer.write(b"more")
    await writer.drain()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1024), NOTHING_S)
    assert echo.heard == b"hello"
    assert not echo.connected
    (await connected(proxy))[1].close()
    writer.close()
