"""The names by which the platform reads a node's settings are those of the firmware's one table."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from zaehlwerk_bridge.commands.setting_names import CHANNEL_NAMES, NAMES, named

SETTINGS = Path(__file__).parents[3] / "firmware" / "app" / "settings.py"


@pytest.fixture(scope="module")
def firmware() -> ModuleType:
    """The firmware's table, which imports nothing of MicroPython."""
    spec = importlib.util.spec_from_file_location("settings_of_the_firmware", SETTINGS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_key_of_the_firmware_has_its_name_here_and_there_is_no_other(firmware: ModuleType) -> None:
    assert {str(row[-1]): row[0] for row in firmware.TABLE} == NAMES
    assert {str(row[-1]): row[0] for row in firmware.CHANNEL_TABLE} == CHANNEL_NAMES


def test_channels_are_named_with_the_keys_of_channels() -> None:
    document = {"5": 900, "13": [{"1": "bicycle", "6": 4}, {"1": "kfz"}]}
    assert named(document) == {
        "interval_s": 900,
        "channels": [{"class": "bicycle", "pin": 4}, {"class": "kfz"}],
    }


def test_what_a_later_firmware_adds_keeps_its_key() -> None:
    assert named({"99": 1, "13": [{"98": 2}, 7]}) == {"99": 1, "channels": [{"98": 2}, 7]}


def test_nothing_is_lost_of_a_document_that_says_something_twice() -> None:
    assert named({"5": 60, "interval_s": 900}) == {"5": 60, "interval_s": 900}
