"""`zaehlwerk doctor`: laptop, port, board, gateways, bridge, one after the other; each finding in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.technician.doctor_board import examine_board
from zaehlwerk_tools.technician.doctor_bridge import BRIDGE, examine_http, examine_status
from zaehlwerk_tools.technician.doctor_laptop import examine_laptop, examine_ports
from zaehlwerk_tools.technician.finding import Finding, Level, count_wrong, skipped
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.troubles import Status, UnwellError


@dataclass(frozen=True, slots=True)
class Examination:
    """What is to be looked at; what is None is left out, and said to be."""

    port: str | None
    build: Path
    server: Server | None
    api_url: str | None
    """Also without a key it may say what time it is."""
    bridge_url: str | None
    address: MqttAddress | None
    prefix: str


def run_doctor(examination: Examination, *, as_json: bool) -> int:
    """Look at everything and tell it as it is found; the exit status. Raises UnwellError if something is wrong."""
    findings = []
    for finding in examined(examination):
        findings.append(finding)
        if not as_json:
            sys.stdout.write(finding.line() + "\n")
            sys.stdout.flush()
    bad = count_wrong(findings)
    if as_json:
        told = {
            "findings": [finding.document() for finding in findings],
            "wrong": bad,
            "status": int(Status.UNWELL if bad else Status.DONE),
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    if bad:
        raise UnwellError(f"{bad} of {len(findings)} findings need something done: {first_wrong(findings)}")
    return int(Status.DONE)


def examined(examination: Examination) -> Iterator[Finding]:
    """The findings, as they come."""
    urls = [examination.bridge_url, examination.api_url]
    yield from examine_laptop([url for url in urls if url is not None])
    yield from examine_ports(examination.port)
    dev_eui = None
    if examination.port is None:
        yield skipped("board", "name its port to have the board looked at")
    else:
        findings, dev_eui = examine_board(examination.port, examination.build)
        yield from findings
    if examination.server is None:
        yield skipped("gateways", "name --api-url and --api-key-file to have coverage looked at")
    else:
        # Only who asks for it needs what speaks to the server.
        from zaehlwerk_tools.technician.doctor_network import examine_network  # noqa: PLC0415

        yield from examine_network(examination.server, dev_eui)
    if examination.bridge_url is None and examination.address is None:
        yield skipped(BRIDGE, "name --bridge-url or --mqtt-url to have the bridge looked at")
    if examination.bridge_url is not None:
        yield from examine_http(examination.bridge_url)
    if examination.address is not None:
        yield from examine_status(examination.address, examination.prefix)


def first_wrong(findings: Iterable[Finding]) -> str:
    """The text of the first finding that is wrong."""
    return next(finding.text for finding in findings if finding.level is Level.WRONG)
