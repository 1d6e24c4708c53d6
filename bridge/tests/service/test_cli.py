"""The command as people and systemd use it: its words, its exit status, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.tests.service.chirpstack import KEY, TENANT
from bridge.tests.service.endpoint import get
from bridge.tests.service.mosquitto import free_port
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber

EUI = "70b3d57ed0000001"


def configured(rig: Rig, extra: str = "", port: int | None = None, http_port: int = 0) -> Path:
    path = rig.directory / "bridge.toml"
    path.write_text(
        f"""
id = "b1"
database = "bridge.sqlite"
{extra}
[chirpstack]
server = "127.0.0.1:{rig.server.port}"
tenants = ["{TENANT}"]
api_key_file = "api.key"
insecure = true
[mqtt]
host = "127.0.0.1"
port = {port or rig.broker.port}
insecure = true
connect_timeout_s = 2
[http]
port = {http_port}
""",
        encoding="utf-8",
    )
    return path


async def start(*arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "zaehlwerk_bridge",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, out.decode(), err.decode()


async def runs(*arguments: str | Path) -> tuple[int | None, str, str]:
    return await ended(await start(*arguments))


async def test_help_has_an_example_and_the_exit_statuses() -> None:
    pages = await asyncio.gather(
        *(runs(*arguments) for arguments in (["--help"], ["run", "--help"], ["check-config", "--help"]))
    )
    assert [status for status, _, _ in pages] == [0, 0, 0]
    assert all("Example:" in out for _, out, _ in pages)
    assert "Exit status: 0" in pages[0][1]


async def test_a_bridge_runs_until_it_is_terminated_and_leaves_in_good_order(rig: Rig) -> None:
    """Status 0 within 5 s of SIGTERM, logs in JSON lines without the key, everything delivered."""
    platform = Subscriber(rig.broker.port)
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    process = await start("run", "--config", configured(rig))
    await platform.until(lambda: platform.sums() == {"one": 3})
    await rig.server.stop()
    asked = asyncio.get_running_loop().time()
    process.send_signal(signal.SIGTERM)
    status, out, err = await ended(process)
    assert asyncio.get_running_loop().time() - asked < 5
    assert (status, out) == (0, "")
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert "broker is connected" in events
    assert events[-1] == "bridge stopped"
    assert KEY not in err
    await platform.until(lambda: platform.newest("b1/status") == {"state": "offline", "reason": "stopped"})
    platform.close()


async def test_a_bridge_that_is_killed_goes_on_where_it_was(rig: Rig) -> None:
    """SIGKILL: what was committed is not lost and not published as something new."""
    platform = Subscriber(rig.broker.port)
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    path = configured(rig)
    process = await start("run", "--config", path)
    await platform.until(lambda: platform.sums() == {"one": 3})
    process.kill()
    await ended(process)
    await rig.server.put(EUI, node.count(4))
    process = await start("run", "--config", path)
    await platform.until(lambda: platform.sums() == {"one": 7})
    process.terminate()
    assert (await ended(process))[0] == 0
    platform.close()


async def test_bad_settings_are_one_line_each_and_status_2(rig: Rig) -> None:
    path = configured(rig, extra="colour = 'red'")
    for status, out, err in await asyncio.gather(
        runs("run", "--config", path), runs("check-config", "--config", path)
    ):
        assert (status, out) == (2, "")
        assert err == f"zaehlwerk-bridge: {path}: colour: there is no such setting\n"


async def test_a_missing_key_file_is_status_2_at_the_start(rig: Rig) -> None:
    rig.key_file.unlink()
    status, _, err = await ended(await start("run", "--config", configured(rig)))
    assert status == 2
    assert err.startswith("zaehlwerk-bridge: chirpstack.api_key_file: cannot read")
    assert err.count("\n") == 1


async def test_a_database_that_is_none_is_status_2(rig: Rig) -> None:
    (rig.directory / "bridge.sqlite").write_text("this is no database, " * 1000)
    status, _, err = await ended(await start("run", "--config", configured(rig)))
    assert status == 2
    assert "database" in err.splitlines()[-1]


async def test_a_client_id_taken_over_is_status_3(rig: Rig) -> None:
    process = await start("run", "--config", configured(rig))
    watcher = Subscriber(rig.broker.port)
    await watcher.until(lambda: watcher.of("b1/status") == [{"state": "online"}])
    client = paho.Client(CallbackAPIVersion.VERSION2, "zaehlwerk-bridge-b1", protocol=paho.MQTTv5)
    client.connect("127.0.0.1", rig.broker.port)
    client.loop_start()
    status, _, err = await ended(process)
    client.disconnect()
    client.loop_stop()
    watcher.close()
    assert status == 3
    assert err.splitlines()[-1].startswith("zaehlwerk-bridge: another client connected")


async def test_check_config_says_what_it_found(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    path = configured(rig)
    command = ["check-config", "--config", path]
    (status, out, err), (json_status, json_out, _) = await asyncio.gather(
        runs(*command), runs(*command, "--json")
    )
    assert (status, err) == (0, "")
    assert "ok     broker: connect" in out
    assert "ok     chirpstack: stream of 70b3d57ed0000001: history of 2 events" in out
    assert json_status == 0
    assert json.loads(json_out)["ok"] is True


async def test_check_config_with_a_closed_port_is_status_2_and_one_line(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    command = ["check-config", "--config", configured(rig, port=free_port())]
    (status, out, err), (json_status, json_out, _) = await asyncio.gather(
        runs(*command), runs(*command, "--json")
    )
    assert (status, err) == (2, "")
    (line,) = [line for line in out.splitlines() if line.startswith("wrong")]
    assert "broker: connect" in line
    assert "Connection refused" in line
    found = json.loads(json_out)
    assert (json_status, found["ok"]) == (2, False)
    assert [f["side"] for f in found["findings"] if f["verdict"] == "wrong"] == ["broker"]


async def test_a_running_bridge_answers_over_http_until_it_is_terminated(rig: Rig) -> None:
    await rig.server.put(EUI, Node(EUI, "one").status())
    port = free_port()
    process = await start("run", "--config", configured(rig, http_port=port))
    watcher = Subscriber(rig.broker.port)
    await watcher.until(lambda: watcher.of("b1/status") == [{"state": "online"}])
    await rig.server.until_open(EUI)
    answers = await asyncio.gather(*(get(port, path) for path in ("/healthz", "/metrics")))
    assert [status for status, _ in answers] == [200, 200]
    assert b"zaehlwerk_bridge_build_info" in answers[1][1]
    process.terminate()
    status, _, err = await ended(process)
    watcher.close()
    assert (status, KEY in err) == (0, False)


async def test_a_port_for_http_that_is_taken_is_status_2_and_one_line(rig: Rig) -> None:
    path = configured(rig, http_port=rig.broker.port)
    status, _, err = await runs("run", "--config", path)
    assert status == 2
    assert err.startswith(f"zaehlwerk-bridge: http.port: cannot listen at 127.0.0.1 port {rig.broker.port}: ")
    assert err.count("\n") == 1
