"""`zaehlwerk doctor`: each part that can be wrong, and what it says then."""

from __future__ import annotations

import binascii
import json
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from chirpstack_api import api

from tools.tests.serial_board.conftest import Boards
from tools.tests.technician.chirpstack import chirpstack
from tools.tests.technician.counting_board import counting, undisturbed
from tools.tests.technician.test_count_test import broker, url
from tools.tests.technician.test_provision import ONE, image
from tools.tests.technician.test_unit import zaehlwerk
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.gateway_backend.addresses import mqtt_address
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.technician.broker_line import open_line
from zaehlwerk_tools.technician.doctor_board import crash_finding, flash_finding
from zaehlwerk_tools.technician.doctor_bridge import (
    endpoint_finding,
    examine_http,
    examine_status,
    status_finding,
)
from zaehlwerk_tools.technician.doctor_laptop import (
    clock_finding,
    examine_ports,
    offset_finding,
    python_finding,
)
from zaehlwerk_tools.technician.doctor_network import Uplink, gateway_findings, uplink_of, uplinks_finding
from zaehlwerk_tools.technician.finding import Finding, Level
from zaehlwerk_tools.technician.troubles import Status

__all__ = ["broker", "image"]


@pytest.fixture
def page() -> Iterator[Any]:
    """An HTTP server on a free port; `answers[path]` and `ahead_s` of its clock are the test's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b"nothing"))
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + server.ahead_s, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(HTTPServer):
        ahead_s = 0.0

        @property
        def url(self) -> str:
            return f"http://127.0.0.1:{self.server_port}"

    answers: dict[str, tuple[int, bytes]] = {}
    server = Server(("127.0.0.1", 0), Handler)
    server.answers = answers  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_python_that_is_too_old_is_told_with_the_one_that_does() -> None:
    assert python_finding((3, 10, 9)).level is Level.WRONG
    assert "install 3.11 or newer" in python_finding((3, 10, 9)).text
    assert python_finding(sys.version_info[:3]).level is Level.OK


def test_the_clock_is_compared_with_the_servers_date(page: Any) -> None:
    assert clock_finding([page.url]).level is Level.OK
    page.ahead_s = 3600.0
    late = clock_finding([page.url])
    assert late.level is Level.WRONG
    assert "3600 s slow" in late.text or "3599 s slow" in late.text
    assert "setting the time by network" in late.text
    assert "fast" in offset_finding(90.0, "x").text


def test_a_server_without_a_date_is_passed_over_for_the_next(page: Any) -> None:
    assert clock_finding(["http://127.0.0.1:1", page.url]).level is Level.OK
    assert clock_finding(["http://127.0.0.1:1"]).level is Level.SKIPPED
    assert clock_finding(["nonsense"]).level is Level.SKIPPED
    assert clock_finding([]).level is Level.SKIPPED


def test_a_port_that_is_not_there_or_not_ours_to_open_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = examine_ports(str(tmp_path / "none"))[-1]
    assert (missing.level, "is not there" in missing.text) == (Level.WRONG, True)
    (tmp_path / "port").touch()
    assert examine_ports(str(tmp_path / "port"))[-1].level is Level.OK
    monkeypatch.setattr("zaehlwerk_tools.technician.doctor_laptop.os.access", lambda path, mode: False)
    closed = examine_ports(str(tmp_path / "port"))[-1]
    assert (closed.level, "usermod -aG" in closed.text) == (Level.WRONG, True)


def boot(starts: int, short: int, crash: bytes = b"") -> bytes:
    body = b"\x01" + starts.to_bytes(3, "little") + bytes([short]) + crash
    return body + binascii.crc32(body).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("record", "level", "text"),
    [
        (boot(17, 0), Level.OK, "start 17, no crash noted"),
        (boot(17, 1, b"uplinks: OSError: 5 @app/ring:7"), Level.WARNING, "OSError: 5 @app/ring:7"),
        (boot(17, 4), Level.WARNING, "the last 4 did not last ten minutes: look at its supply"),
        (boot(17, 0)[:-1] + b"x", Level.WARNING, "damaged"),
        (b"", Level.WARNING, "damaged"),
        (None, Level.SKIPPED, "not been started"),
    ],
)
def test_the_last_crash_is_read_from_the_nodes_own_record(
    record: bytes | None, level: Level, text: str
) -> None:
    finding = crash_finding(record)
    assert finding.level is level
    assert text in finding.text


def test_a_flash_that_is_nearly_full_is_told_with_what_to_do() -> None:
    assert flash_finding(2_097_152, 100_000).level is Level.WRONG
    assert "mpremote rm" in flash_finding(2_097_152, 100_000).text
    assert flash_finding(2_097_152, 1_000_000).level is Level.OK


def test_a_bridge_says_itself_what_is_wrong_with_it(page: Any) -> None:
    page.answers["/healthz"] = (200, b'{"healthy": true}')
    page.answers["/readyz"] = (503, b'{"ready": false, "broker": "weg seit 12:00"}')
    health, readiness = examine_http(page.url + "/")
    assert health.level is Level.OK
    assert (readiness.level, "broker: weg seit 12:00" in readiness.text) == (Level.WRONG, True)
    assert endpoint_finding("x", 200, b"<html>", "").level is Level.WRONG
    assert endpoint_finding("x", 404, b"[1]", "").level is Level.WRONG
    assert [finding.level for finding in examine_http("http://127.0.0.1:1")] == [Level.WRONG] * 2


async def test_bridges_are_known_by_their_retained_status(broker: BrokerProcess) -> None:
    import asyncio

    address = mqtt_address(url(broker))
    nobody = await asyncio.to_thread(examine_status, address, "zaehlwerk")
    assert [finding.level for finding in nobody] == [Level.WRONG]
    assert "--prefix" in nobody[0].text

    def tell() -> None:
        with open_line(address) as line:
            line._client.publish("zaehlwerk/v1/bridge/one/status", '{"status":"online"}', 1, retain=True)
            line._client.publish(
                "zaehlwerk/v1/bridge/two/status",
                '{"status":"stalled","reason":"disk full"}',
                1,
                retain=True,
            )
            line.publish("marker", {})

    await asyncio.to_thread(tell)
    found = await asyncio.to_thread(examine_status, address, "zaehlwerk")
    assert [finding.level for finding in found] == [Level.OK, Level.WRONG]
    assert "two is stalled (disk full)" in found[1].text
    assert status_finding("x", {"status": "offline"}).level is Level.WRONG


def uplink(snr: float, data_rate: int = 5) -> Uplink:
    return Uplink("2026-06-18 08:00:00", data_rate, -100, snr, 2)


def test_a_node_is_hardly_heard_when_no_uplink_has_a_margin() -> None:
    assert uplinks_finding(ONE, [uplink(8.0), uplink(-7.0)]).level is Level.OK
    faint = uplinks_finding(ONE, [uplink(-6.0), uplink(-7.0)])
    assert (faint.level, "move the antenna" in faint.text) == (Level.WARNING, True)
    assert uplinks_finding(ONE, [uplink(-6.0, data_rate=0)]).level is Level.OK
    assert uplinks_finding(ONE, []).level is Level.WARNING


def test_gateways_that_are_silent_are_named() -> None:
    seen = api.GatewayListItem(gateway_id="01", name="Rathaus", state=api.GatewayState.ONLINE)
    never = api.GatewayListItem(gateway_id="02", name="Hafen", state=api.GatewayState.NEVER_SEEN)
    assert [finding.level for finding in gateway_findings([seen, never])] == [Level.OK, Level.WARNING]
    assert "Hafen (02) was never seen" in gateway_findings([seen, never])[1].text
    assert gateway_findings([never])[0].level is Level.WRONG
    assert gateway_findings([])[0].level is Level.WRONG


def test_the_best_of_an_uplinks_gateways_counts() -> None:
    heard = [{"gatewayId": "1", "rssi": -110, "snr": -5.5}, {"gatewayId": "2", "rssi": -90, "snr": 4.2}]
    body = {"time": "2026-06-18T08:00:00.5+00:00", "dr": 3, "rxInfo": heard}
    assert uplink_of(json.dumps(body)) == Uplink("2026-06-18 08:00:00", 3, -90, 4.2, 2)
    assert uplink_of(json.dumps({**body, "rxInfo": []})) is None
    assert uplink_of("{") is None


async def test_the_command_examines_all_and_a_node_that_runs_goes_on(
    image: Path, built: Path, stub: NodeTree, tmp_path: Path, page: Any, broker: BrokerProcess
) -> None:
    page.answers.update({"/healthz": (200, b'{"healthy": true}'), "/readyz": (200, b'{"ready": true}')})
    async with chirpstack(tmp_path) as server, counting(image, stub, tmp_path) as node:
        tenant = api.Tenant(name="City", can_have_gateways=True)
        made = await server.call("TenantService/Create", api.CreateTenantRequest(tenant=tenant))
        words = ("doctor", node.port.name, "--build", str(built), "--json", "--bridge-url", page.url)
        network = ("--api-url", server.url, "--api-key-file", str(server.key_file()), "--tenant-id", made.id)
        ended = await undisturbed(
            node, lambda: zaehlwerk(*words, *network, "--mqtt-url", url(broker), cwd=tmp_path)
        )
        said = json.loads(ended.out)
        found = [Finding(entry["part"], Level(entry["level"]), entry["text"]) for entry in said["findings"]]
        texts = "\n".join(finding.line() for finding in found)
        wrong = [finding.part for finding in found if finding.level is Level.WRONG]
        assert wrong == ["gateways", "bridge"], texts
        assert (ended.status, said["status"], said["wrong"]) == (Status.UNWELL, Status.UNWELL, 2)
        assert "a node runs on it, and goes on" in texts
        assert f"it is the node {ONE}" in texts
        assert "every file as in the build, by hash" in texts
        assert "the tenant has no gateway" in ended.err
        assert not [reset for reset in node.board.resets if reset.cause == "SOFT"]
        plain = await undisturbed(
            node, lambda: zaehlwerk("doctor", node.port.name, "--build", str(built), cwd=tmp_path)
        )
        assert (plain.status, plain.err) == (0, "")
        assert "skipped  gateways  name --api-url" in plain.out


async def test_an_empty_board_is_told_what_it_lacks(plugged_in: Boards, built: Path, tmp_path: Path) -> None:
    async with plugged_in() as node:
        await node.board.prompt.wait()
        ended = await zaehlwerk("doctor", node.port.name, "--build", str(built), cwd=tmp_path)
        assert ended.status == Status.UNWELL
        for sentence in ("no program runs on the board", "it has no settings", "it has no firmware of ours"):
            assert f"WRONG    board     {sentence}" in ended.out.replace(f"{node.port.name}: ", "")
