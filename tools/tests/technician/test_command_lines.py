"""The technicians' commands before any board is touched: which port is meant, and how a refusal is told to a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from zaehlwerk_tools.cli import app
from zaehlwerk_tools.technician.ports import port_of, ports_of, usb_ports
from zaehlwerk_tools.technician.troubles import NoBoardError, Status

Plug = Callable[..., None]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Has the machine's ports: those named are at USB, and there is a built-in one."""

    def plug(*devices: str) -> None:
        there = [SimpleNamespace(device="/dev/ttyS0", vid=None)]
        there += [SimpleNamespace(device=device, vid=0x10C4) for device in devices]
        monkeypatch.setattr("zaehlwerk_tools.technician.ports.list_ports.comports", lambda: there)

    return plug


def test_the_only_board_at_usb_is_meant_if_none_is_named(plugged: Plug) -> None:
    plugged("COM7")
    assert port_of(None) == "COM7"
    assert port_of("COM1") == "COM1"


def test_of_several_boards_one_has_to_be_named(plugged: Plug) -> None:
    plugged("/dev/ttyUSB1", "/dev/ttyUSB0")
    with pytest.raises(NoBoardError, match="at /dev/ttyUSB0, /dev/ttyUSB1: name the port"):
        port_of(None)


def test_without_a_board_what_to_do_is_told(plugged: Plug) -> None:
    plugged()
    for ask in (lambda: port_of(None), lambda: ports_of([])):
        with pytest.raises(NoBoardError, match="no board is at USB: plug it in"):
            ask()


def test_a_batch_takes_all_boards_at_usb_unless_ports_are_named(plugged: Plug) -> None:
    plugged("/dev/ttyUSB1", "/dev/ttyUSB0")
    assert usb_ports() == ports_of(None) == ["/dev/ttyUSB0", "/dev/ttyUSB1"]
    assert ports_of(["socket://here:1"]) == ["socket://here:1"]


NO_BUILD = ("--build", "nowhere")
REFUSALS: list[tuple[tuple[str, ...], Status, str]] = [
    (("firmware", "build", "--source", "nowhere"), Status.REFUSED, "cannot be read"),
    (("flash",), Status.NO_BOARD, "no board is at USB"),
    (("flash", "COM1", *NO_BUILD), Status.REFUSED, "not a firmware build"),
    (("provision", "--settings", "nowhere"), Status.REFUSED, "or say --offline"),
    (("provision", "--settings", "nowhere", "--offline"), Status.NO_BOARD, "no board is at USB"),
    (("provision", "COM1", "--settings", "nowhere", "--offline"), Status.REFUSED, "nowhere cannot be read"),
    (("provision", "--batch", "nowhere", "--offline"), Status.REFUSED, "nowhere cannot be read"),
    (("provision", "--batch", "units.csv", "--offline"), Status.NO_BOARD, "no board is at USB"),
    (("register", "nowhere"), Status.REFUSED, "name the network server by --api-url and --api-key-file"),
    (("label", "nowhere"), Status.REFUSED, "nowhere cannot be read"),
    (("monitor", "COM1", *NO_BUILD), Status.REFUSED, "not a firmware build"),
    (("monitor", "Neutor", "--mqtt-url", "nonsense"), Status.REFUSED, "nonsense"),
    (("count-test", "--by", "A", *NO_BUILD), Status.NO_BOARD, "no board is at USB"),
    (("firmware", "update"), Status.NO_BOARD, "no board is at USB"),
    (
        ("swap", "Neutor", "nowhere"),
        Status.REFUSED,
        "name the network server by --api-url and --api-key-file",
    ),
    (("doctor", "--mqtt-url", "nonsense"), Status.REFUSED, "nonsense"),
]


@pytest.mark.parametrize(
    ("words", "status", "sentence"), REFUSALS, ids=[" ".join(row[0]) for row in REFUSALS]
)
def test_a_program_gets_a_refusal_as_one_line_of_json_and_a_person_as_one_sentence(
    plugged: Plug,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    status: Status,
    sentence: str,
) -> None:
    plugged()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "units.csv").write_text("dev_eui,settings\n70b3d57ed0000001,node.json\n")
    (tmp_path / "node.json").write_text('{"dev_eui": "", "join_eui": "70b3d57ed0000000"}')
    monkeypatch.delenv("ZAEHLWERK_API_URL", raising=False)
    person = CliRunner().invoke(app, words)
    assert (person.exit_code, person.stdout) == (status, "")
    assert person.stderr.startswith("zaehlwerk: ")
    assert person.stderr.count("\n") == 1
    assert sentence in person.stderr
    program = CliRunner().invoke(app, [*words, "--json"])
    assert (program.exit_code, program.stderr) == (status, person.stderr)
    record = json.loads(program.stdout)
    assert (record["result"], record["status"]) == ("failed", status)
    assert f"zaehlwerk: {record['error']}\n" == person.stderr
