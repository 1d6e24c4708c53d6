"""A broker of our own: started on a free or a given port, watched, asked what it dropped; every failure is one line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from zaehlwerk_tools.broker import HOST, BrokerProcess
from zaehlwerk_tools.broker_program import SETTING, BrokerProgram, find_program
from zaehlwerk_tools.broker_report import dropped_messages
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.plan import Broker


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


async def test_it_runs_on_a_free_port_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with await BrokerProcess.start(tmp_path) as broker:
        assert await dropped_messages(broker.address) == 0
        address = broker.address
    with pytest.raises(OSError, match=r"refused|Errno"):
        socket.create_connection((address.host, address.port), timeout=1)


async def test_a_given_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    async with await BrokerProcess.start(tmp_path, port=port) as broker:
        assert broker.address == Broker(HOST, port)


async def test_a_port_in_use_is_one_line_that_names_it(tmp_path: Path) -> None:
    """The broker's files go where the broker is started: into no directory at all here."""
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"^port {port} on 127.0.0.1 is in use"):
            await BrokerProcess.start(tmp_path / "not-made", port=port)


async def test_a_broker_that_dies_is_noticed(tmp_path: Path) -> None:
    broker = await BrokerProcess.start(tmp_path)
    os.kill(broker.pid, signal.SIGKILL)
    with pytest.raises(BrokerError, match="ended with status -9"):
        await asyncio.wait_for(broker.watch(), 10)
    with pytest.raises(BrokerError, match="ended with status -9"):
        broker.check()
    await broker.stop()


async def test_a_broker_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = BrokerProgram(
        _program(tmp_path / "bin/mosquitto", "echo first; echo 'Error: no luck' >&2; exit 3"), True
    )
    with pytest.raises(BrokerError, match=r"ended with status 3: Error: no luck$"):
        await BrokerProcess.start(tmp_path, program=program)


async def test_a_broker_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="cannot be started: No such file"):
        await BrokerProcess.start(tmp_path, program=BrokerProgram(tmp_path / "nothing", True))


async def test_who_is_not_there_cannot_be_asked(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(BrokerError, match=f"no broker at 127.0.0.1:{port}"):
        await dropped_messages(Broker(HOST, port))


def test_the_setting_goes_before_everything(tmp_path: Path) -> None:
    mine = _program(tmp_path / "mine", "")
    assert find_program({SETTING: str(mine)}) == BrokerProgram(mine, is_mosquitto=True)
    with pytest.raises(BrokerError, match="no program there"):
        find_program({SETTING: str(tmp_path / "not-there")})


def test_what_the_set_up_left_is_found_from_within_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = _program(tmp_path / "checkout/.runtime/bin/mosquitto", "")
    beside = tmp_path / "checkout/tools/package/module.py"
    assert find_program({"PATH": ""}, beside=beside) == BrokerProgram(program, is_mosquitto=True)


def test_the_set_up_s_list_names_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = _program(tmp_path / "elsewhere", "")
    (tmp_path / ".runtime").mkdir()
    listed = {"mosquitto": {"path": str(elsewhere)}, "iotcore": None}
    (tmp_path / ".runtime/tools.json").write_text(json.dumps(listed), encoding="utf-8")
    assert find_program({"PATH": ""}, beside=tmp_path).path == elsewhere


def test_iotcore_is_the_last_resort_and_says_what_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zaehlwerk_tools.broker_program._SERVER_PLACES", ())
    wheel = _program(tmp_path / ".runtime/bin/iotcore", "")
    found = find_program({"PATH": ""}, beside=tmp_path)
    assert found == BrokerProgram(wheel, is_mosquitto=False)
    assert found.fallback is not None
    assert "does not tell" in found.fallback
    installed = _program(tmp_path / "path/mosquitto", "")
    assert find_program({"PATH": str(tmp_path / "path")}, beside=tmp_path).path == installed


def test_without_any_broker_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zaehlwerk_tools.broker_program._SERVER_PLACES", ())
    with pytest.raises(BrokerError, match="run `make setup`"):
        find_program({"PATH": ""}, beside=tmp_path)
