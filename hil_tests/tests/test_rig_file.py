"""rig.toml: what is right is read, what is wrong is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_tests.interface import Capability, RigError
from hil_tests.power_switches import CommandSwitch, SerialRelay, UsbHub
from hil_tests.rig_file import RigFile, RigFileError, read_rig

WHOLE = """
[rig]
name = "bench"

[gateway]
id = "0016C001F1500001"
host = "broker.example"

[[pulse_generator]]
name = "pulses"
serial_id = "5432"
pins = [4, 5]

[[node]]
name = "heltec"
board = "heltec_v3"
serial_id = "1234"
inputs = [7, 6]
capabilities = ["pulse_generator", "power_switch", "gateway", "battery"]
pulse_generator = "pulses"
battery = "psu --channel 1 set {millivolts}mV"
power_switch = { kind = "usb_hub", location = "1-1.4", port = 2 }
"""


def read(tmp_path: Path, text: str) -> RigFile:
    path = tmp_path / "rig.toml"
    path.write_text(text)
    return read_rig(path)


def test_a_whole_rig(tmp_path: Path) -> None:
    rig = read(tmp_path, WHOLE)
    assert rig.gateway is not None
    assert (rig.name, rig.gateway.id, rig.gateway.port) == ("bench", "0016c001f1500001", 1883)
    node = rig.node(None)
    assert node.capabilities == frozenset(Capability)
    assert node.switch == UsbHub("1-1.4", 2)
    assert node.generator is not None
    assert node.generator.pins == (4, 5)
    assert node.inputs == (7, 6)


@pytest.mark.parametrize(
    ("switch", "made"),
    [
        ('{ kind = "command", on = "relay on", off = "relay off" }', CommandSwitch("relay on", "relay off")),
        ('{ kind = "serial_relay", port = "/dev/ttyUSB9", channel = 2 }', SerialRelay("/dev/ttyUSB9", 2)),
        (
            '{ kind = "serial_relay", port = "COM9", channel = 1, closed_is_on = false }',
            SerialRelay("COM9", 1, closed_is_on=False),
        ),
    ],
)
def test_other_power_switches(tmp_path: Path, switch: str, made: object) -> None:
    text = WHOLE.replace('{ kind = "usb_hub", location = "1-1.4", port = 2 }', switch)
    assert read(tmp_path, text).node("heltec").switch == made


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "bench"', 'nane = "bench"', "[rig]: name is missing"),
        ('name = "bench"', 'name = "bench"\nroom = 7', "[rig]: room is unknown; known: name"),
        ("[gateway]", "[gatevay]", "capabilities has gateway, but there is no gateway"),
        ("0016C001F1500001", "0016C0", "id: 16 hexadecimal digits are expected"),
        ("pins = [4, 5]", "pins = [4, 4]", "GPIO 4 is named twice"),
        ("pins = [4, 5]", "pins = [4, 99]", "GPIOs from 0 to 48 are expected, not [4, 99]"),
        ("pins = [4, 5]", "pins = [4]", "2 inputs, but the pulse generator pulses has 1 pins"),
        ("pins = [4, 5]", 'pins = "4"', "pins: a list is expected, not '4'"),
        ('board = "heltec_v3"', 'board = "arduino"', "board arduino: known are heltec_v3"),
        ('serial_id = "1234"', "", "neither port nor serial_id"),
        ('serial_id = "1234"', 'serial_id = "1234"\nport = "/dev/ttyUSB0"', "both port and serial_id"),
        (
            'serial_id = "1234"',
            'serial_id = "5432"',
            "node heltec and pulse generator pulses are both at 5432",
        ),
        ('"battery"]', '"batery"]', "capabilities: 'batery' is unknown; known: pulse_generator"),
        ('"gateway", "battery"]', '"gateway"]', "there is a battery, but capabilities has no battery"),
        (
            'pulse_generator = "pulses"',
            "",
            "capabilities has pulse_generator, but there is no pulse_generator",
        ),
        (
            'pulse_generator = "pulses"',
            'pulse_generator = "drums"',
            "there is no [[pulse_generator]] of that name",
        ),
        ("{millivolts}mV", "3300mV", "the command needs {millivolts}"),
        ("{millivolts}mV", "{millivolts} {shelf}", "{shelf} is unknown in a command"),
        ('kind = "usb_hub"', 'kind = "hammer"', "kind hammer: command, usb_hub or serial_relay"),
        ("port = 2 }", 'port = "2" }', "power_switch: port: a number is expected, not '2'"),
        ("port = 2 }", "port = 2, speed = 1 }", "power_switch: speed is unknown"),
        ("[rig]", "[rig", "is no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in WHOLE
    with pytest.raises(RigError) as error:
        read(tmp_path, WHOLE.replace(old, new))
    assert told in str(error.value)
    assert "rig.toml" in str(error.value)


def test_a_rig_without_nodes_has_nothing_to_test(tmp_path: Path) -> None:
    with pytest.raises(RigFileError, match="node is missing"):
        read(tmp_path, '[rig]\nname = "empty"\n')


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RigFileError, match="describe the rig there"):
        read_rig(tmp_path / "rig.toml")


def test_one_of_several_nodes_has_to_be_chosen(tmp_path: Path) -> None:
    second = """
[[node]]
name = "t3"
board = "t3_s3"
port = "/dev/ttyACM1"
inputs = [42]
capabilities = ["gateway"]
"""
    rig = read(tmp_path, WHOLE + second)
    assert rig.node("t3").capabilities == {Capability.GATEWAY}
    with pytest.raises(RigFileError, match="choose one with --rig-node"):
        rig.node(None)
    with pytest.raises(RigFileError, match="the rig has heltec, t3"):
        rig.node("lilygo")
