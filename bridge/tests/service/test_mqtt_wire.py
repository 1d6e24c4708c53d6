"""Between paho and the socket: PUBACKs are taken out, everything else passes, however the bytes come and go."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zaehlwerk_bridge.mqtt_packet import PublishProperties, publish, publish_once, subscribe, unsubscribe
from zaehlwerk_bridge.mqtt_wire import Wire

PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x02\x8b\x00"  # the server shuts down
SUBACK = b"\x90\x04\x00\x07\x00\x00"


class Socket:
    """Stands for a socket: gives the pieces it has, then nothing for now; takes `room` bytes at a time, 0: none for now."""

    def __init__(
        self, pieces: Sequence[bytes] = (), room: Sequence[int] = (), end: bytes | OSError | None = None
    ):
        self.pieces = list(pieces)
        self.room = list(room)
        self.end = end
        self.sent = b""
        self.closed = False

    def recv(self, most: int) -> bytes:
        if self.pieces:
            piece = self.pieces.pop(0)
            assert len(piece) <= most
            return piece
        if isinstance(self.end, OSError):
            raise self.end
        if self.end is not None:
            return self.end
        raise BlockingIOError

    def send(self, data: bytes) -> int:
        room = self.room.pop(0) if self.room else len(data)
        if not room:
            raise BlockingIOError
        self.sent += data[:room]
        return len(data[:room])

    def fileno(self) -> int:
        return -1 if self.closed else 3

    def close(self) -> None:
        self.closed = True


def wire(fake: Socket) -> Wire:
    return Wire(fake)  # type: ignore[arg-type]


def read_all(one: Wire) -> bytes:
    """What paho gets of it."""
    found = b""
    while one.something_for_paho:
        piece = one.recv(3)
        if not piece:
            break
        found += piece
    return found


def puback(mid: int, code: int | None = None, properties: bytes = b"") -> bytes:
    body = mid.to_bytes(2, "big") + (b"" if code is None else bytes((code,)) + properties)
    return bytes((0x40, len(body))) + body


@settings(deadline=None)
@given(st.data())
def test_pubacks_are_found_and_all_else_is_paho_s_however_it_is_cut(data: st.DataObject) -> None:
    """Whatever the reason code, with properties or without; a broker may leave the code out, that is success."""
    acknowledgement = st.tuples(st.integers(1, 65535), st.sampled_from([None, 0, 0x10, 0x87, 0x97]))
    others = st.one_of(
        st.sampled_from([PINGRESP, SUBACK, DISCONNECT]),
        st.binary(max_size=300).map(lambda payload: publish_once("zaehlwerk/v1/a/checkpoint", payload)),
    )
    packets = data.draw(st.lists(st.one_of(acknowledgement, others), max_size=12))
    stream, found, passed = b"", [], b""
    for packet in packets:
        if isinstance(packet, bytes):
            stream += packet
            passed += packet
        else:
            mid, code = packet
            properties = b"\x00" if code and data.draw(st.booleans()) else b""
            stream += puback(mid, code, properties)
            found.append((mid, code or 0))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]
    fake = Socket()
    one = wire(fake)
    got = b""
    for piece in pieces:
        fake.pieces = [piece]
        one.read()
        got += read_all(one)
    assert one.acknowledgements == found
    assert got == passed


@pytest.mark.parametrize("end", [b"", ConnectionResetError("reset")])
def test_an_end_is_told_after_what_came_before_it(end: bytes | OSError) -> None:
    one = wire(Socket([puback(5), DISCONNECT, b"\x40"], end=end))
    for _ in range(4):
        one.read()
    assert one.acknowledgements == [(5, 0)]
    assert one.recv(100) == DISCONNECT
    if isinstance(end, OSError):
        with pytest.raises(ConnectionResetError):
            one.recv(100)
    else:
        assert one.recv(100) == b""


def test_paho_is_told_that_there_is_nothing_for_it() -> None:
    one = wire(Socket([puback(1)]))
    one.read()
    assert not one.something_for_paho
    with pytest.raises(BlockingIOError):
        one.recv(1)


def test_a_length_that_is_none_is_left_to_paho_which_ends_the_connection() -> None:
    nonsense = [b"\x30\xff\xff\xff\xff", b"\x01", puback(2)]
    one = wire(Socket([puback(1), *nonsense]))
    for _ in range(4):
        one.read()
    assert one.acknowledgements == [(1, 0)]
    assert read_all(one) == b"".join(nonsense)


def test_packets_go_out_in_the_order_in_which_they_were_given_however_little_the_socket_takes() -> None:
    fake = Socket(room=[3, 0])
    one = wire(fake)
    one.put(b"publish-1")
    assert one.send(PINGRESP) == len(PINGRESP)
    assert (fake.sent, one.something_to_write) == (b"pub", True)
    one.put(b"publish-2")
    fake.room = [1, 4, 0]
    one.flush()
    assert (fake.sent, one.something_to_write) == (b"publish-", True)
    one.flush()
    assert (fake.sent, one.something_to_write) == (b"publish-1" + PINGRESP + b"publish-2", False)


def test_closing_writes_what_the_socket_takes_at_once() -> None:
    fake = Socket(room=[0])
    one = wire(fake)
    one.send(b"goodbye")
    one.close()
    assert (fake.sent, fake.closed) == (b"goodbye", True)
    one.close()


def test_a_write_that_fails_is_told_as_the_end_of_what_is_read() -> None:
    one = wire(Socket())
    one.fail(BrokenPipeError("gone"))
    assert one.something_for_paho
    with pytest.raises(BrokenPipeError):
        one.recv(1)


def test_many_publishes_are_one_write() -> None:
    """The socket here is the kernel's: what it gives back is what was put together."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        one = Wire(ours)
        packets = [
            publish("a/b", b"x" * n, n + 1, retain=not n % 2, properties=PublishProperties("", {}))
            for n in range(20)
        ]
        for packet in packets:
            one.put(packet)
        one.flush()
        assert theirs.recv(65536) == b"".join(packets)


def test_the_packets_are_those_of_the_standard() -> None:
    """MQTT 5.0, 3.3, 3.8 and 3.10: fixed header, then topic and identifier in their order, then properties."""
    none = PublishProperties("", {})
    assert publish("a/b", b"hi", 258, retain=True, properties=none) == b"\x33\x0a\x00\x03a/b\x01\x02\x00hi"
    assert publish("a/b", b"", 1, retain=False, properties=none)[0] == 0x32
    assert publish_once("a/b", b"hi") == b"\x30\x08\x00\x03a/b\x00hi"
    assert subscribe("a/b", 258) == b"\x82\x09\x01\x02\x00\x00\x03a/b\x08"
    assert unsubscribe("a/b", 258) == b"\xa2\x08\x01\x02\x00\x00\x03a/b"
