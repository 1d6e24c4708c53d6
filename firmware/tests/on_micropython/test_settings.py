"""Settings: one bad value refuses the whole document, says where and what, and the last good one stays in force."""

import json
import os

from expect import raises

from app import settings
from app.settings import SettingsError

GOOD = {
    "dev_eui": "70b3d57ed0000001",
    "join_eui": "0000000000000000",
    "app_key": "000102030405060708090a0b0c0d0e0f",
    "board": "virtual",
    "channels": [{"class": "bicycle", "pin": 4}],
}


def with_value(name, value):
    document = dict(GOOD)
    document[name] = value
    return document


def with_channel(name, value):
    return with_value("channels", [dict(GOOD["channels"][0], **{name: value})])


def complaint(document):
    return str(raises(SettingsError, settings.validate, document))


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def test_defaults_are_filled_in():
    found = settings.validate(GOOD)
    assert found["interval_s"] == 900
    assert found["history_bytes"] == 28
    assert found["uplink_offset_s"] is None
    assert found["channels"][0]["edge"] == "rising"
    assert found["channels"][0]["ok_pin"] is None


def test_every_bad_value_names_the_setting_and_what_is_allowed():
    for document, words in (
        (with_value("interval_s", 899), ("interval_s", "899")),
        (with_value("interval_s", 420), ("interval_s", "420")),
        (with_value("interval_s", "900"), ("interval_s", "whole number", "60", "3600")),
        (with_value("interval_s", True), ("interval_s",)),
        (with_value("interval_s", 900.5), ("interval_s",)),
        (with_value("history_bytes", 37), ("history_bytes", "36")),
        (with_value("uplink_offset_s", 899), ("uplink_offset_s", "860")),
        (with_value("uplink_offset_s", -1), ("uplink_offset_s", "or null")),
        (with_value("dev_eui", "70b3"), ("dev_eui", "16")),
        (with_value("dev_eui", None), ("dev_eui",)),
        (with_value("join_eui", "g" * 16), ("join_eui",)),
        (with_value("board", "../secret"), ("board", "letters")),
        (with_value("board", ""), ("board",)),
        (with_value("colour", "red"), ("colour", "unknown", "dev_eui")),
        (with_value("channels", []), ("channels", "1 to 8")),
        (with_value("channels", GOOD["channels"] * 9), ("channels", "1 to 8")),
        (with_value("channels", {"pin": 4}), ("channels",)),
        (with_value("channels", [4]), ("channels[0]", "object")),
        (with_channel("class", "horse"), ("channels[0].class", "bicycle")),
        (with_channel("direction", "up"), ("channels[0].direction", "both")),
        (with_channel("sensor", "eye"), ("channels[0].sensor", "pulse")),
        (with_channel("pin", 49), ("channels[0].pin", "48")),
        (with_channel("pin", None), ("channels[0].pin",)),
        (with_channel("ok_pin", 99), ("channels[0].ok_pin", "or null")),
        (with_channel("ok_pin", 4), ("pin 4", "ok_pin")),
        (with_channel("colour", 1), ("channels[0].colour", "unknown")),
        (with_value("channels", GOOD["channels"] * 2), ("same pin",)),
        ([], ("object",)),
    ):
        text = complaint(document)
        for word in words:
            assert word in text, (document, text)


def test_a_missing_setting_is_named():
    document = dict(GOOD)
    del document["app_key"]
    assert complaint(document) == "app_key: is missing"


def test_a_wrong_key_is_refused_without_being_shown():
    text = complaint(with_value("app_key", "00112233445566778899aabbccddeef"))
    assert "app_key" in text
    assert "0011" not in text


def test_hashes_do_not_depend_on_the_key_and_do_on_what_is_counted():
    plain = settings.derive(settings.validate(GOOD))
    other_key = settings.derive(settings.validate(with_value("app_key", "f" * 32)))
    other_pin = settings.derive(settings.validate(with_channel("pin", 5)))
    other_class = settings.derive(settings.validate(with_channel("class", "pedestrian")))
    assert plain["config_hash"] == other_key["config_hash"]
    assert plain["config_hash"] != other_pin["config_hash"]
    # Another pin counts the same thing; another class does not.
    assert plain["layout"] == other_pin["layout"]
    assert plain["layout"] != other_class["layout"]


def test_good_settings_are_kept_and_come_back_when_the_next_ones_are_bad():
    write("good.json", json.dumps(GOOD))
    document, trouble = settings.load("good.json", "kept.json")
    assert trouble is None
    for bad, word in (
        ("{", "not JSON"),
        (json.dumps(GOOD)[:-9], "not JSON"),
        ("[]", "object"),
        (json.dumps(with_value("interval_s", 1)), "interval_s"),
        (" " * 1000000, "longer than 4096"),
    ):
        write("good.json", bad)
        again, trouble = settings.load("good.json", "kept.json")
        assert again == document
        assert word in trouble, trouble
    os.remove("good.json")
    again, trouble = settings.load("good.json", "kept.json")
    assert again == document
    assert "good.json: is missing" in trouble
    os.remove("kept.json")


def test_without_a_good_copy_bad_settings_are_an_error():
    write("bad.json", "{}")
    error = raises(SettingsError, settings.load, "bad.json", "nowhere.json")
    assert "dev_eui: is missing" in str(error)
    os.remove("bad.json")


def test_unchanged_settings_are_not_written_again():
    write("same.json", json.dumps(GOOD))
    settings.load("same.json", "same-kept.json")
    os.remove("same-kept.json")
    write("same-kept.json", json.dumps(GOOD))
    really = os.rename
    calls = []

    class Os:
        stat = os.stat

        @staticmethod
        def rename(*names):
            calls.append(names)
            really(*names)

    settings.os = Os
    try:
        settings.load("same.json", "same-kept.json")
        assert calls == []
        write("same.json", json.dumps(with_value("interval_s", 300)))
        settings.load("same.json", "same-kept.json")
        assert len(calls) == 1
    finally:
        settings.os = os
        os.remove("same.json")
        os.remove("same-kept.json")
