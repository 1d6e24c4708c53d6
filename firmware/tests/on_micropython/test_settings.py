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
        (with_value("battery_permille", 1101), ("battery_permille", "900", "1100")),
        (with_value("temperature_offset", 0.5), ("temperature_offset", "whole number")),
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


def test_sleep_is_refused_where_it_would_make_a_channel_blind():
    contact = {"class": "bicycle", "sensor": "contact", "pin": 4}
    presence = {"class": "kfz", "sensor": "presence", "pin": 5}
    for channels, words in (
        ([{"class": "bicycle", "pin": 4}], ("channels[0]", "pulse", "contact or presence")),
        (
            [contact, {"class": "kfz", "sensor": "radar", "pin": 6}],
            ("channels[1]", "radar"),
        ),
        ([dict(contact, sensor="direction", pin_b=6)], ("channels[0]", "direction")),
        ([dict(contact, ok_pin=7)], ("channels[0]", "ok_pin")),
        ([contact, dict(presence, jam_occupancy=300)], ("channels[1]", "congestion")),
        ([contact, dict(presence, edge="falling")], ("channels[1].edge", "one level")),
    ):
        document = with_value("channels", channels)
        settings.validate(document)
        text = complaint(dict(document, sleep="light"))
        assert text.startswith("sleep: ")
        for word in words:
            assert word in text, (channels, text)
    assert "none, light" in complaint(with_value("sleep", True))


def test_sleep_is_taken_where_every_sensor_allows_it():
    channels = [
        {"class": "bicycle", "sensor": "contact", "pin": 4, "edge": "falling"},
        {"class": "kfz", "sensor": "presence", "pin": 5, "edge": "falling"},
    ]
    found = settings.validate(dict(with_value("channels", channels), sleep="light"))
    assert found["sleep"] == "light"
    assert settings.validate(with_value("channels", channels))["sleep"] == "none"


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
    assert plain["layout"] == other_key["layout"]
    # On another pin there may be another sensor; another class is another count.
    assert plain["layout"] != other_pin["layout"]
    assert plain["layout"] != other_class["layout"]


def test_the_last_good_settings_come_back_when_the_next_ones_are_bad():
    write("kept.json", json.dumps(GOOD))
    document, trouble = settings.load("kept.json", "nowhere.json")
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


def test_settings_that_were_given_up_are_used_only_where_there_are_no_others():
    write("good.json", json.dumps(with_value("interval_s", 300)))
    assert settings.load("good.json", "nowhere.json", "pin 24")[0]["interval_s"] == 300
    write("kept.json", json.dumps(GOOD))
    document, trouble = settings.load("good.json", "kept.json", "pin 24")
    assert document == settings.validate(GOOD)
    assert trouble == "pin 24"
    os.remove("good.json")
    os.remove("kept.json")


def test_without_a_good_copy_bad_settings_are_an_error():
    write("bad.json", "{}")
    error = raises(SettingsError, settings.load, "bad.json", "nowhere.json")
    assert "dev_eui: is missing" in str(error)
    os.remove("bad.json")


def test_the_switch_of_the_case_has_a_pin_of_its_own():
    assert "tamper_pin: pin 4" in complaint(with_value("tamper_pin", 4))


# --- channels with other sensors than a pulse

DIRECTION = [
    {"class": "bicycle", "direction": "in", "sensor": "direction", "pin": 4, "pin_b": 5, "output": "ab"},
    {"class": "bicycle", "direction": "out", "shares": 0, "output": "ba"},
    {"class": "bicycle", "shares": 0, "output": "unknown"},
]
TUBE = [
    {
        "class": "kfz",
        "direction": "in",
        "sensor": "tube",
        "pin": 6,
        "pin_b": 7,
        "distance_mm": 900,
        "output": "motor_ab",
    },
    {"class": "kfz", "direction": "out", "shares": 0, "output": "motor_ba"},
    {"class": "bicycle", "direction": "in", "shares": 0, "output": "bicycle_ab"},
    {"class": "bicycle", "direction": "out", "shares": 0, "output": "bicycle_ba"},
    {"class": "unknown", "shares": 0, "output": "unknown"},
]
RADAR = {"class": "kfz", "direction": "both", "sensor": "radar", "pin": 16}


def channels(*entries):
    return with_value("channels", list(entries))


def changed(entries, number, **values):
    """A document whose channel `number` has other values; a value None is left out."""
    entries = [dict(entry) for entry in entries]
    for name, value in values.items():
        if value is None:
            entries[number].pop(name)
        else:
            entries[number][name] = value
    return with_value("channels", entries)


def test_a_channel_has_the_settings_of_its_kind_and_no_others():
    found = settings.validate(GOOD)["channels"][0]
    assert sorted(found) == ["class", "direction", "edge", "ok_pin", "pin", "pull", "sensor", "silent_s"]
    found = settings.validate(channels({"class": "bicycle", "sensor": "contact", "pin": 4}))["channels"][0]
    assert (found["debounce_ms"], found["gap_ms"], found["dead_ms"], found["stuck_s"]) == (10, 100, 0, 600)
    assert "window_ms" not in found
    assert "shares" not in found
    found = settings.validate(channels(RADAR))["channels"][0]
    assert (found["baud"], found["unit"], found["min_hits"], found["tx_pin"]) == (19200, "kmh", 3, None)
    assert "edge" not in found


def test_several_channels_share_a_sensor_and_take_each_of_its_outputs_once():
    for entries, count in ((DIRECTION, 3), (TUBE, 5)):
        found = settings.validate(channels(*entries))["channels"]
        assert [entry["output"] for entry in found] == list(range(count))
        assert [entry["shares"] for entry in found] == [None] + [0] * (count - 1)
        assert len({entry["sensor"] for entry in found}) == 1
        assert "pin" not in found[1]


def test_the_owner_of_a_sensor_may_stand_anywhere_before_those_who_share_it():
    entries = [GOOD["channels"][0]] + [
        dict(entry, pin=10, pin_b=11) if "pin" in entry else entry for entry in DIRECTION
    ]
    entries = [dict(entry, shares=1) if "shares" in entry else entry for entry in entries]
    found = settings.validate(channels(*entries))["channels"]
    assert [entry.get("shares") for entry in found] == [None, None, 1, 1]


def test_one_channel_alone_takes_all_outputs():
    alone = {"class": "pedestrian", "direction": "both", "sensor": "direction", "pin": 4, "pin_b": 5}
    assert settings.validate(channels(alone))["channels"][0]["output"] is None
    assert settings.validate(channels(RADAR))["channels"][0]["output"] is None


def test_every_contradiction_between_channels_says_which_and_what_to_do():
    contact = {"class": "kfz", "sensor": "contact", "pin": 9}
    for document, words in (
        (
            channels(dict(contact, window_ms=500)),
            ("channels[0].window_ms", "no setting of a contact sensor", "gap_ms"),
        ),
        (channels(dict(contact, debounce_ms=60)), ("gap_ms", "debounce_ms + 50", "110")),
        (channels(dict(contact, gap_ms=49)), ("channels[0].gap_ms", "50")),
        (channels(dict(contact, dead_ms=-1)), ("channels[0].dead_ms",)),
        (channels({"class": "heavy", "sensor": "contact", "pin": 9}), ("channels[0].class", "kfz")),
        (changed(DIRECTION, 0, pin_b=None), ("channels[0].pin_b", "missing")),
        (changed(DIRECTION, 0, pin_b=4), ("same pin",)),
        (
            changed(DIRECTION, 1, pin=8),
            ("channels[1].pin", "belongs to the channel that describes the sensor"),
        ),
        (changed(DIRECTION, 1, shares=1), ("channels[1].shares", "no earlier one")),
        (changed(DIRECTION, 2, shares=1), ("channels[2].shares", "channel 1")),
        (changed(DIRECTION, 1, shares=7), ("channels[1].shares", "from 0 to 6")),
        (changed(DIRECTION, 1, output="ab"), ("channels[1].output", "counted by channel 0")),
        (changed(DIRECTION, 1, output=None), ("channels[1].output", "ab, ba, unknown")),
        (
            changed(DIRECTION, 1, output="motor_ab"),
            ("channels[1].output", "direction sensor has ab, ba, unknown"),
        ),
        (changed(DIRECTION, 0, output="sideways"), ("channels[0].output", "all")),
        (channels(*DIRECTION[:2]), ("channels[0]", "output unknown", '"shares": 0', '"output": "all"')),
        (changed(DIRECTION, 1, direction="in"), ("channels[0].direction", "one is in and the other out")),
        (changed(DIRECTION, 0, direction="both"), ("channels[0].direction", "in or out or unknown")),
        (changed(DIRECTION, 2, direction="in"), ("channels[2].direction", "unknown")),
        (changed(TUBE, 0, distance_mm=None), ("channels[0].distance_mm", "missing")),
        (changed(TUBE, 0, distance_mm=1001), ("channels[0].distance_mm", "1000")),
        (changed(TUBE, 2, **{"class": "kfz"}), ("channels[2].class", "bicycle_ab", "bicycle")),
        (changed(TUBE, 4, **{"class": "heavy"}), ("channels[4].class",)),
        (changed(TUBE, 2, direction="out"), ("channels[0].direction",)),
        (channels(dict(TUBE[0], output="all", direction="both")), ("channels[0].class", "unknown")),
        (channels(dict(RADAR, direction="in")), ("channels[0].direction", "unknown or both")),
        (channels(RADAR, dict(RADAR, pin=18)), ("same uart",)),
        (channels(RADAR, dict(RADAR, pin=18, uart=2, tx_pin=16)), ("same pin",)),
        (channels(dict(contact, ok_pin=16), RADAR), ("pin 16", "ok_pin")),
        (channels(contact, {"class": "kfz", "shares": 0}), ("channels[1].shares", "one output", "tube")),
        (channels({"class": "kfz", "shares": 0}), ("channels[0].shares",)),
    ):
        text = complaint(document)
        for word in words:
            assert word in text, (document, text)


def test_another_kind_of_sensor_for_the_same_channels_is_no_new_layout():
    plain = settings.derive(settings.validate(channels({"class": "bicycle", "pin": 4})))
    contact = settings.derive(
        settings.validate(channels({"class": "bicycle", "sensor": "contact", "pin": 4}))
    )
    assert plain["layout"] == contact["layout"]
    assert plain["config_hash"] != contact["config_hash"]


def test_eight_channels_of_tubes_and_a_radar_fit_into_a_document():
    radar = {"class": "kfz", "direction": "in", "sensor": "radar", "pin": 16, "output": "towards"}
    away = {"class": "kfz", "direction": "out", "shares": 5, "output": "away"}
    document = channels(*TUBE, radar, away, {"class": "pedestrian", "sensor": "contact", "pin": 9})
    assert len(settings.validate(document)["channels"]) == 8
    assert len(json.dumps(document)) < settings.MAX_BYTES
