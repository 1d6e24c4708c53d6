"""One connection to a broker that does what a script says: answers in pieces, refusals, an end in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bridge.tests.service.until import until
from zaehlwerk_bridge.mqtt_packet import PublishProperties
from zaehlwerk_bridge.mqtt_session import MID_MOST, MqttSession
from zaehlwerk_bridge.settings import MqttSettings

CONNACK = (
    bytes((0x20, 9, 0, 0, 6)) + b"\x21\x00\x14" + b"\x22\x00\x00"
)  # Receive Maximum 20, no topic aliases
SHUTTING_DOWN = b"\xe0\x02\x8b\x00"
NONE = PublishProperties("", {})


class Broker:
    """The other end of a connection: whole packets in, any bytes out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def packet(self) -> tuple[int, bytes]:
        """First byte, and what follows the length."""
        first = (await self._reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return first, await self._reader.readexactly(length)

    async def published(self, messages: int) -> list[tuple[int, str]]:
        """Packet identifiers and topics of so many PUBLISH packets of QoS 1."""
        found = []
        while len(found) < messages:
            first, rest = await self.packet()
            assert first & 0xF6 == 0x32
            end = 2 + int.from_bytes(rest[:2], "big")
            found.append((int.from_bytes(rest[end : end + 2], "big"), rest[2:end].decode()))
        return found

    async def in_pieces(self, data: bytes, size: int) -> None:
        """Send, each piece by itself."""
        for at in range(0, len(data), size):
            self.writer.write(data[at : at + size])
            await self.writer.drain()
            await asyncio.sleep(0)


class Told:
    """What a session tells."""

    def __init__(self) -> None:
        self.answers: dict[int, int] = {}
        self.rounds: list[int] = []

    def acknowledged(self, mid: int, code: int) -> None:
        assert mid not in self.answers
        self.answers[mid] = code

    def answered(self) -> None:
        self.rounds.append(len(self.answers))


@asynccontextmanager
async def connected(script: Callable[[Broker], Awaitable[None]]) -> AsyncIterator[tuple[MqttSession, Told]]:
    """A session whose broker follows `script` after its CONNACK."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker = Broker(reader, writer)
        assert (await broker.packet())[0] == 0x10
        writer.write(CONNACK)
        await script(broker)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings = MqttSettings(host="127.0.0.1", port=server.sockets[0].getsockname()[1], insecure=True)
    told = Told()
    session = MqttSession(
        settings, "b1", None, None, told.acknowledged, received=None, answered=told.answered
    )
    try:
        limits = await session.connect()
        assert limits.receive_maximum == 20
        yield session, told
    finally:
        session.close()
        server.close()


def puback(mid: int, code: int) -> bytes:
    head = mid.to_bytes(2, "big")
    return bytes((0x40, 2)) + head if not code else bytes((0x40, 4)) + head + bytes((code, 0))


async def test_every_answer_is_told_however_the_packets_are_cut() -> None:
    """A thousand messages of some hundred bytes do not fit into the socket at once: the rest follows."""
    codes = {0: 0, 1: 0x10, 2: 0x87, 3: 0x97}
    seen: list[tuple[int, str]] = []

    async def script(broker: Broker) -> None:
        await asyncio.sleep(0)
        seen.extend(await broker.published(1000))
        answers = b"".join(puback(mid, codes[number % 4]) for number, (mid, _) in enumerate(seen))
        await broker.in_pieces(answers, 7)
        await broker.packet()  # the goodbye

    async with connected(script) as (session, told):
        mids = [session.publish(f"a/{number}", b"x" * 700, False, NONE) for number in range(1000)]
        session.flush()
        await until(lambda: len(told.answers) == 1000)
        await session.disconnect()
    assert seen == [(mid, f"a/{number}") for number, mid in enumerate(mids)]
    assert told.answers == {mid: codes[number % 4] for number, mid in enumerate(mids)}
    assert told.rounds[-1] == 1000
    assert session.ended.done()


async def test_answers_before_the_brokers_goodbye_count_and_the_others_stay_open() -> None:
    async def script(broker: Broker) -> None:
        seen = await broker.published(10)
        broker.writer.write(b"".join(puback(mid, 0) for mid, _ in seen[:4]) + SHUTTING_DOWN)

    async with connected(script) as (session, told):
        mids = [session.publish("a/b", b"{}", False, NONE) for _ in range(10)]
        session.flush()
        end = await asyncio.wait_for(session.ended, 10)
        assert end.code == 0x8B
        assert told.answers == dict.fromkeys(mids[:4], 0)
        assert session.publish("a/b", b"{}", False, NONE) not in mids  # to nobody, and nothing breaks
        session.flush()


async def test_a_broker_that_ends_in_the_middle_of_an_answer_has_not_given_it() -> None:
    async def script(broker: Broker) -> None:
        ((mid, _),) = await broker.published(1)
        broker.writer.write(puback(mid, 0x87)[:3])

    async with connected(script) as (session, told):
        session.publish("a/b", b"{}", False, NONE)
        session.flush()
        end = await asyncio.wait_for(session.ended, 10)
        assert (end.code, end.unreadable) == (None, False)
        assert told.answers == {}


async def test_a_packet_identifier_is_not_used_again_before_it_is_answered() -> None:
    async def script(broker: Broker) -> None:
        seen = await broker.published(2)
        broker.writer.write(puback(seen[1][0], 0))
        await broker.packet()

    async with connected(script) as (session, told):
        first, second = (session.publish("a/b", b"{}", False, NONE) for _ in range(2))
        session.flush()
        await until(lambda: bool(told.answers))
        session._mid = MID_MOST
        assert [session._next_mid(), session._next_mid()] == [second, second + 1]
        assert (first, second) == (1, 2)
        await session.disconnect()


async def test_what_is_asked_goes_out_as_the_standard_says_and_comes_back() -> None:
    """SUBSCRIBE, then a mark on the same topic; paho reads what comes, between PUBACKs."""
    packets: list[tuple[int, bytes]] = []

    async def script(broker: Broker) -> None:
        packets.extend([await broker.packet(), await broker.packet()])
        mid = packets[0][1][:2]
        retained = b"\x31\x0a\x00\x03a/b\x00\x01\x02\x03\x04"
        mark = b"\x30\x08\x00\x03a/b\x00hi"
        await broker.in_pieces(b"\x90\x04" + mid + b"\x00\x00" + retained + puback(9, 0) + mark, 3)
        packets.append(await broker.packet())

    came: list[tuple[str, bytes, bool]] = []
    async with connected(script) as (session, told):
        session._received = lambda topic, payload, retained: came.append((topic, payload, retained))
        session.ask("a/b", b"hi")
        session.flush()
        await until(lambda: len(came) == 2)
        session.forget("a/b")
        session.flush()
        await until(lambda: len(packets) == 3)
    assert came == [("a/b", b"\x01\x02\x03\x04", True), ("a/b", b"hi", False)]
    assert [first for first, _ in packets] == [0x82, 0x30, 0xA2]
    assert told.answers == {9: 0}
