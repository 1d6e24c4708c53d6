"""The bytes between an MQTT client and its broker: many packets in one write, PUBACKs read in bulk, all else left to paho.

paho sends every packet by itself and asks the socket for each part of an answer. So it is given a socket of ours, and
what makes up nearly all traffic, PUBLISH out and PUBACK in, goes past it.
"""

import contextlib
import socket
import ssl

from zaehlwerk_bridge.mqtt_packet import MORE, PUBACK, read_length

READ_BYTES = 65536
_TYPE = 0xF0  # MQTT 5.0, 2.1.2: the upper four bits
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, InterruptedError)
"""The socket can do no more for now. Either wish may come of either call: TLS renews its keys."""


class Wire:
    """A socket as paho wants it (`recv`, `send`, `close`, `fileno`, `setblocking`) around one that is open.

    What `send` and `put` are given goes out in that order. `acknowledgements` are the PUBACKs that `read` found, as
    (packet identifier, reason code); who takes them clears them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.acknowledgements: list[tuple[int, int]] = []
        self._in = bytearray()  # of packets that are not whole yet
        self._inlet = bytearray()  # whole packets for paho
        self._out = bytearray()
        self._unreadable = False
        self._end: OSError | None = None
        self._ended = False

    # What paho asks for.

    def recv(self, most: int) -> bytes:
        """Return bytes of packets that `read` found and that are no PUBACK; none at the end. Raises OSError."""
        if self._inlet:
            data = bytes(self._inlet[:most])
            del self._inlet[:most]
            return data
        if self._end is not None:
            raise self._end
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes) -> int:
        """Take a packet of paho's and write what can be written. Raises OSError."""
        self._out += data
        self.flush()
        return len(data)

    def close(self) -> None:
        """Write what can be written, and close."""
        if self.sock.fileno() >= 0:
            with contextlib.suppress(OSError):  # nobody hears it any more
                self.flush()
            self.sock.close()

    def fileno(self) -> int:
        """Return the socket's number, -1 when it is closed."""
        return self.sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Let the socket wait, or not."""
        self.sock.setblocking(flag)

    # What the session asks for.

    @property
    def something_for_paho(self) -> bool:
        """Whether `recv` would not raise BlockingIOError."""
        return bool(self._inlet) or self._ended

    @property
    def something_to_write(self) -> bool:
        """Whether the socket did not take everything yet."""
        return bool(self._out)

    def put(self, packet: bytes) -> None:
        """Queue a packet; `flush` writes it."""
        self._out += packet

    def flush(self) -> None:
        """Write as much as the socket takes. Raises OSError."""
        while self._out:
            try:
                sent = self.sock.send(self._out)
            except _LATER:
                return
            del self._out[:sent]

    def read(self) -> None:
        """Read all that has come. How it ended, if it did, `recv` says after what came before."""
        while not self._ended:
            try:
                data = self.sock.recv(READ_BYTES)
            except _LATER:
                break
            except OSError as error:
                self._end, self._ended = error, True
                break
            if not data:
                self._ended = True
                break
            self._in += data
            # Fewer than asked for were all there is; of TLS that may be one record of several.
            if len(data) < READ_BYTES and not isinstance(self.sock, ssl.SSLSocket):
                break
        self._sort()

    def fail(self, error: OSError) -> None:
        """The connection broke in a write: `recv` says so."""
        self._end, self._ended = error, True

    def _sort(self) -> None:
        """Take the whole packets apart: PUBACKs here, all others to paho."""
        data, at, end = self._in, 0, len(self._in)
        while end - at >= 2 and not self._unreadable:
            size, body = data[at + 1], at + 2
            if size & MORE:
                length = read_length(data, at + 1)
                if length is None:
                    break
                size, body = length
            if size < 0:
                self._unreadable = True
                break
            if end - body < size:
                break
            if data[at] & _TYPE == PUBACK and size >= 2:
                # Without a reason code it is success (MQTT 5.0, 3.4.2.1).
                code = data[body + 2] if size > 2 else 0
                self.acknowledgements.append((data[body] << 8 | data[body + 1], code))
                at = body + size
            else:
                self._inlet += data[at : body + size]
                at = body + size
        if self._unreadable:  # paho says that this is no MQTT
            self._inlet += data[at:]
            at = end
        del data[:at]
