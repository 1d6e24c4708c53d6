"""The bridge as it tells of itself: `/healthz` and `/readyz` over HTTP, its status over MQTT."""

from __future__ import annotations

import json
import time

from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.technician.broker_line import open_line
from zaehlwerk_tools.technician.doctor_laptop import answer_of
from zaehlwerk_tools.technician.finding import Finding, ok, wrong
from zaehlwerk_tools.technician.troubles import TechnicianError

BRIDGE = "bridge"
RETAINED_S = 3.0
"""The status is retained: it comes with the subscription."""


def examine_http(url: str) -> list[Finding]:
    """`url`: http://HOST:PORT of the bridge's setting http."""
    return [
        _endpoint(url, "healthz", "is not healthy: its log says more, restart it if it stays so"),
        _endpoint(url, "readyz", "is not ready: what it names is away or refuses"),
    ]


def _endpoint(url: str, name: str, otherwise: str) -> Finding:
    where = f"{url.rstrip('/')}/{name}"
    try:
        status, body, _ = answer_of(where)
    except (OSError, ValueError) as error:
        return wrong(
            BRIDGE, f"{where} does not answer ({error}): check --bridge-url, and whether the bridge runs"
        )
    return endpoint_finding(where, status, body, otherwise)


def endpoint_finding(where: str, status: int, body: bytes, otherwise: str) -> Finding:
    """From an answer: 200 if all is well, 503 with what is wrong by side."""
    try:
        told = json.loads(body)
        troubles = {key: value for key, value in told.items() if not isinstance(value, bool)}
    except (ValueError, AttributeError):
        return wrong(BRIDGE, f"{where} is no bridge of ours (status {status}): check --bridge-url")
    if status == 200:
        return ok(BRIDGE, f"{where}: all is well")
    said = "; ".join(f"{side}: {what}" for side, what in troubles.items()) or f"status {status}"
    return wrong(BRIDGE, f"it {otherwise} ({said})")


def examine_status(address: MqttAddress, prefix: str) -> list[Finding]:
    """The status of every bridge at the broker."""
    told: dict[str, dict[str, object]] = {}
    try:
        with open_line(address) as line:
            line.subscribe([f"{prefix}/v1/bridge/+/status"])
            until = time.monotonic() + RETAINED_S
            while (left := until - time.monotonic()) > 0 and (came := line.message(left)) is not None:
                topic, document = came
                if isinstance(document, dict):
                    told[topic.split("/")[-2]] = document
    except TechnicianError as error:
        return [wrong(BRIDGE, str(error))]
    if not told:
        return [
            wrong(
                BRIDGE,
                f"no bridge has told of itself at {address} under {prefix}/: check --prefix and this user's rights, or start "
                "the bridge",
            )
        ]
    return [status_finding(name, document) for name, document in sorted(told.items())]


def status_finding(name: str, document: dict[str, object]) -> Finding:
    """From a bridge's status message."""
    status, reason = document.get("status"), document.get("reason") or "no reason given"
    if status == "online":
        return ok(BRIDGE, f"{name} is online")
    return wrong(BRIDGE, f"{name} is {status} ({reason}): mend that, or start it; nothing is lost meanwhile")
