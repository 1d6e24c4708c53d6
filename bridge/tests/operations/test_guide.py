"""The operator's guide: every command in it is run, or held against the help of the program that it calls; every name is there."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from bridge.tests.service.chirpstack import TENANT, ChirpStack
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Node
from bridge.tests.service.rig import Rig
from zaehlwerk_bridge.cli import app
from zaehlwerk_bridge.command_line import EXIT_STATUSES
from zaehlwerk_bridge.settings import HttpSettings, load
from zaehlwerk_bridge.store_lock import SUFFIX as LOCK

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "bridge" / "operations"
PAGES = {name: (OPERATIONS / name).read_text(encoding="utf-8") for name in ("README.md", "BACKUP.md")}
BLOCK = re.compile(r"^```sh (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    (page, label, text) for page, all_of_it in PAGES.items() for label, text in BLOCK.findall(all_of_it)
]
LINES = [(page, line) for page, _, text in BLOCKS for line in text.splitlines()]
UNITS = {path.name for path in (OPERATIONS / "systemd").iterdir()}
SERVICES = yaml.safe_load((OPERATIONS / "compose/compose.yaml").read_text(encoding="utf-8"))["services"]
UV = shutil.which("uv") or str(ROOT / ".runtime/uv/bin/uv")
EUI = "70b3d57ed0000001"


def block(page: str, label: str) -> str:
    """All blocks of that name, one after the other."""
    found = [text for where, name, text in BLOCKS if (where, name) == (page, label)]
    assert found
    return "".join(found)


def words(line: str) -> list[str]:
    return shlex.split(line.replace("$(date +%F)", "2026-06-21"))


# What every line names.


def test_every_block_of_commands_has_a_name() -> None:
    for page in PAGES.values():
        assert page.count("```") == 2 * len(BLOCK.findall(page))


def of_the_bridge() -> Iterator[list[str]]:
    """The arguments of every call of the bridge's command, in blocks and in running text."""
    for _, line in LINES:
        found = words(line)
        for program in ("zaehlwerk-bridge", "bridge"):
            # `docker compose run --rm bridge check-config …` hands on what follows the service's name.
            if program in found and (program != "bridge" or "run" in found):
                rest = found[found.index(program) + 1 :]
                if rest and rest[0] in command().commands:
                    yield rest
                    break


def command() -> Any:
    return typer.main.get_command(app)


def test_every_call_of_the_bridge_is_one_that_it_understands() -> None:
    calls = list(of_the_bridge())
    assert {call[0] for call in calls} >= {"check-config", "backup", "restore", "rejected", "republish"}
    for call in calls:
        group, rest = command(), list(call)
        while rest[0] in getattr(group, "commands", {}):
            group = group.commands[rest.pop(0)]
        group.make_context(group.name, rest)  # raises for an option or an argument that it does not know


def test_every_command_is_told_of_in_the_guide_or_is_what_the_unit_runs() -> None:
    told = {call[0] for call in of_the_bridge()} | {"run"}
    assert told == set(command().commands)


@pytest.mark.parametrize("program", ["systemctl", "journalctl"])
def test_units_that_are_named_are_there(program: str) -> None:
    named = [words(line) for _, line in LINES if words(line)[:1] == [program]]
    assert named
    for line in named:
        for word in line:
            if word.startswith("zaehlwerk"):
                assert word in UNITS or f"{word}.service" in UNITS, line


def test_files_and_services_that_are_named_are_there() -> None:
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (OPERATIONS / target).exists(), f"{page}: {target}"
    for _, line in LINES:
        found = words(line)
        if found[:2] == ["docker", "compose"]:
            assert found[2] in {"up", "exec", "build", "run", "logs", "cp"}
            names = [word.partition(":")[0] for word in found[3:] if word.partition(":")[0] in SERVICES]
            assert names or found[3:] == ["--detach"], line
        for word in found:
            if word.startswith("/opt/zaehlwerk/") and ".venv" not in word:
                assert (ROOT / word.removeprefix("/opt/zaehlwerk/")).exists(), line
        if found[0] == "cd":
            assert (ROOT / found[1].removeprefix("/opt/zaehlwerk/")).is_dir()


@pytest.mark.skipif(not Path(UV).exists(), reason="no uv")
def test_the_installation_uses_options_that_uv_has() -> None:
    installing = {tuple(words(line)) for _, line in LINES if "uv pip install" in line}
    assert len(installing) == 1  # the upgrade is the installation
    (call,) = installing
    help_text = subprocess.run(
        [UV, "pip", "install", "--help"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    options = [word for word in call if word.startswith("--")]
    assert len(options) >= 5
    for option in options:
        assert option in help_text


def test_what_is_asked_over_http_is_served() -> None:
    defaults = HttpSettings()
    asked = re.findall(r"http://(\S+):(\d+)(/\w+)", PAGES["README.md"])
    assert asked
    for address, port, path in asked:
        assert (address, int(port)) == (defaults.address, defaults.port)
        assert path in ("/healthz", "/readyz", "/metrics")


# What the tables say.


def table(heading: str) -> list[list[str]]:
    part = PAGES["README.md"].split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in rows[1:]]


def test_every_alert_has_its_line_and_no_other_has() -> None:
    rules = yaml.safe_load((OPERATIONS / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    rows = table("What to do on each alert")
    assert [row[0] for row in rows] == alerts
    assert all(len(row) == 3 and len(row[2]) > 20 for row in rows)


def test_exit_statuses_are_those_of_the_program() -> None:
    assert {int(status): meaning for status, meaning in table("Exit statuses")} == EXIT_STATUSES


def test_files_beside_the_database_are_told_of() -> None:
    assert f"`bridge.sqlite{LOCK}`" in PAGES["README.md"]
    settings = load(OPERATIONS / "bridge.toml")
    assert "`/var/lib/zaehlwerk`" in PAGES["README.md"]
    assert settings.database.parent == Path("/var/lib/zaehlwerk")
    for path in (settings.chirpstack.api_key_file, settings.chirpstack.write_key_file):
        assert path is not None
        assert f"`{path.name}`" in PAGES["README.md"]


# What is run.


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A shell in which paths of the guide lie below a directory, and who is called needs no root and changes no system."""
    shims = tmp_path / "shims"
    shims.mkdir()
    checkout = tmp_path / "checkout"  # of a path without spaces, as /opt/zaehlwerk has none
    checkout.symlink_to(ROOT, target_is_directory=True)
    real = shutil.which("install")
    for name, lines in {
        "sudo": 'shift 2; exec "$@"',
        "zaehlwerk-bridge": f'exec {shlex.quote(sys.executable)} -m zaehlwerk_bridge "$@"',
        "systemctl": f'echo "systemctl $*" >> {tmp_path}/done',
        "systemd-sysusers": f"echo systemd-sysusers >> {tmp_path}/done",
        # Nobody here may be called zaehlwerk, and only root could give a file to somebody.
        "install": 'for word in "$@"; do shift; case $word in -o|-g) skip=1;; *) '
        f'[ "${{skip:-0}}" = 1 ] && skip=0 || set -- "$@" "$word";; esac; done; exec {real} "$@"',
    }.items():
        (shims / name).write_text(f"#!/bin/sh\n{lines}\n")
        (shims / name).chmod(0o755)

    def run(text: str) -> subprocess.CompletedProcess[str]:
        for path in ("/etc", "/var"):
            text = text.replace(f" {path}/", f" {tmp_path}{path}/")
        text = text.replace("/opt/zaehlwerk/", f"{checkout}/")
        environment = {**os.environ, "PATH": f"{shims}:{os.environ['PATH']}", "NO_COLOR": "1"}
        return subprocess.run(
            ["sh", "-euc", text],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            cwd=tmp_path,
        )

    return run


def test_what_is_installed_is_what_the_units_need(
    machine: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    for directory in ("etc/sysusers.d", "etc/systemd/system"):
        (tmp_path / directory).mkdir(parents=True)
    done = machine(block("README.md", "files"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").read_text().splitlines() == ["systemd-sysusers", "systemctl daemon-reload"]
    installed = {path.name for path in (tmp_path / "etc/systemd/system").iterdir()}
    assert installed == {name for name in UNITS if not name.endswith(".sysusers")}
    assert (tmp_path / "etc/zaehlwerk/bridge.toml").stat().st_mode & 0o777 == 0o640
    service = (tmp_path / "etc/systemd/system/zaehlwerk-bridge.service").read_text()
    assert "--config /etc/zaehlwerk/bridge.toml" in service
    for directory in ("etc/zaehlwerk/secrets", "var/lib/zaehlwerk", "var/backups/zaehlwerk"):
        assert (tmp_path / directory).stat().st_mode & 0o777 == 0o750


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """What the settings of the machine point at."""
    server = ChirpStack()
    await server.start()
    broker = Mosquitto(tmp_path / "broker")
    broker.start()
    for directory in ("etc/zaehlwerk", "var/lib/zaehlwerk", "var/backups/zaehlwerk"):
        (tmp_path / directory).mkdir(parents=True)
    rig = Rig(tmp_path / "etc/zaehlwerk", server, broker)
    text = f"""
database = "{tmp_path}/var/lib/zaehlwerk/bridge.sqlite"
[chirpstack]
server = "127.0.0.1:{server.port}"
tenants = ["{TENANT}"]
api_key_file = "api.key"
insecure = true
[mqtt]
host = "127.0.0.1"
port = {broker.port}
insecure = true
[store]
low_water_mb = 1
[http]
port = 0
"""
    (tmp_path / "etc/zaehlwerk/bridge.toml").write_text(text)
    (tmp_path / "trial.toml").write_text(
        text.replace("bridge.sqlite", "trial.sqlite").replace("api.key", "etc/zaehlwerk/api.key")
    )
    yield rig
    broker.stop()
    await server.stop()


async def test_the_commands_of_every_day_do_what_the_guide_says(
    machine: Callable[..., subprocess.CompletedProcess[str]], rig: Rig, tmp_path: Path
) -> None:
    """In the guide's order: the check, a copy, a copy put back, another tried elsewhere, what was rejected, once more."""
    node = Node(EUI, "Neutor")
    await rig.server.put(EUI, node.status(), node.count(3))
    database = tmp_path / "var/lib/zaehlwerk/bridge.sqlite"

    async def run(page: str, label: str) -> str:
        done = await asyncio.to_thread(machine, block(page, label))
        assert done.returncode == 0, f"{label}: {done.stderr}{done.stdout}"
        return done.stdout

    assert "wrong" not in await run("README.md", "first")
    async with rig.bridge(database=database, mqtt_hold_without_subscriber=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await run("BACKUP.md", "backup")
        assert "records in" in await run("README.md", "rejected")
    (copy,) = (tmp_path / "var/backups/zaehlwerk").iterdir()
    assert copy.name.startswith("bridge-20")
    told = await run("BACKUP.md", "restore")
    assert f"{database}.before-restore-1: what was there before" in told
    await run("BACKUP.md", "trial")
    assert (tmp_path / "var/lib/zaehlwerk/trial.sqlite").exists()
    assert (tmp_path / "done").read_text().splitlines() == [
        "systemctl stop zaehlwerk-bridge",
        "systemctl start zaehlwerk-bridge",
    ]
