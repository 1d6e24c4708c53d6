"""Whether `/healthz`, `/readyz` and `/metrics` can be served where the settings say."""

import http.client
import socket

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.http_endpoints import SERVER_NAME
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings

LOOPBACK = ("127.", "::1", "localhost")
ANSWER_S = 5.0


def check_http(settings: Settings, redactor: Redactor) -> Findings:
    """Try to listen; a port that a running bridge holds is as it should be."""
    findings = Findings("http", redactor)
    address, port = settings.http.address, settings.http.port
    if not port:
        findings.note("listen", "switched off", "http.port names a port for monitoring to ask")
        return findings
    tried = f"listen at {address} port {port}"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            sock.listen()
    except OSError as error:
        if _is_bridge(address, port):
            findings.ok(tried, "a bridge answers there already")
        else:
            findings.wrong(tried, error.strerror or str(error), "choose another http.port or http.address")
        return findings
    if address.startswith(LOOPBACK):
        findings.ok(tried, "free")
    else:
        remedy = "let a firewall or a proxy decide who may ask, or http.address = '127.0.0.1'"
        findings.note(tried, "free; it answers whoever reaches this machine, without TLS", remedy)
    return findings


def _is_bridge(address: str, port: int) -> bool:
    """Whether what listens there says that it is a bridge."""
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is asked for, not what is listened at
    connection = http.client.HTTPConnection(anywhere.get(address, address), port, timeout=ANSWER_S)
    try:
        connection.request("HEAD", "/healthz")
        return (connection.getresponse().getheader("Server") or "").strip() == SERVER_NAME
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
