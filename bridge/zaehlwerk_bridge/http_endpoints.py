"""`/healthz`, `/readyz` and `/metrics` on threads of their own, so that they answer also when the event loop hangs.

Only GET and HEAD, nothing that is sent is read beyond the headers, nothing is told that the log would not tell.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, AddressFamily
from types import TracebackType
from typing import Any, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.settings import HttpSettings

REQUEST_S = 10.0
"""A client that sends nothing for so long is cut off."""
JSON = "application/json"
SERVER_NAME = "zaehlwerk-bridge"
"""What the header Server says."""

Troubles = Callable[[], Mapping[str, str]]
"""What is wrong, by side; empty if nothing is."""


class HttpEndpoints:
    """Serves as long as it is entered. `health` and `readiness` are asked on another thread than the event loop's.

    Entering raises SettingsError if it cannot listen.
    """

    def __init__(
        self, settings: HttpSettings, health: Troubles, readiness: Troubles, registry: CollectorRegistry
    ) -> None:
        self._settings = settings
        self._health = health
        self._readiness = readiness
        self._registry = registry
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that is listened at."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        address, port = self._settings.address, self._settings.port
        try:
            self._server = _server(address)((address, port), _handler(self._answer))
        except OSError as error:
            raise SettingsError(
                [f"http.port: cannot listen at {address} port {port}: {error.strerror or error}"]
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def _answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        if path == "/healthz":
            return _told("healthy", self._health())
        if path == "/readyz":
            return _told("ready", self._readiness())
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self._registry)
        return HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz and /metrics are here\n"


def _told(word: str, troubles: Mapping[str, str]) -> tuple[HTTPStatus, str, bytes]:
    status = HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK
    content = {word: not troubles, **troubles}
    return status, JSON, json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _server(address: str) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family: AddressFamily = AF_INET6 if ":" in address else AF_INET
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is nobody's trouble."""

    return Server


def _handler(answer: Callable[[str, str], tuple[HTTPStatus, str, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S
        server_version = SERVER_NAME
        sys_version = ""

        def do_GET(self) -> None:
            self._respond(with_body=True)

        def do_HEAD(self) -> None:
            self._respond(with_body=False)

        def _respond(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            status, content_type, body = answer(path, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server names it
            """Scrapes are not worth a line each."""

    return Handler
