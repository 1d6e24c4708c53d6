"""The node's settings: one table gives names, validation, defaults and documentation.

The document is settings.json at the root of the node's filesystem. Loaded at start only; a bad document is refused
as a whole, says why, and the last good one stays in force.
"""

import hashlib
import json
import os

from zaehlwerk_protocol import channel

MAX_BYTES = 4096
# The first seconds of an interval belong to the writing of its predecessor's record.
_EARLIEST_S = 3
REQUIRED = object()

# Kinds of values. A row is (name, kind, limit, default, meaning); limit depends on the kind.
HEX = "hex"  # limit: number of digits
INT = "int"  # limit: (lowest, highest)
OPTIONAL = "int or null"  # the same
CHOICE = "choice"  # limit: allowed texts
WORD = "word"  # letters, digits and _, limit: longest

TABLE = (
    ("dev_eui", HEX, 16, REQUIRED, "DevEUI as printed on the label"),
    ("join_eui", HEX, 16, REQUIRED, "JoinEUI of the network"),
    ("app_key", HEX, 32, REQUIRED, "AppKey; never shown, logged or sent"),
    ("board", WORD, 24, REQUIRED, "module in boards/ with the pins and the radio of this board"),
    (
        "interval_s",
        INT,
        (60, 3600),
        900,
        "length of an interval in seconds: whole minutes, a divisor of a day",
    ),
    ("history_bytes", INT, (12, 36), 28, "a count frame is filled with history up to so many bytes"),
    (
        "uplink_offset_s",
        OPTIONAL,
        (0, 3600),
        None,
        "seconds into the interval at which it is reported; null: from the DevEUI",
    ),
    (
        "antenna_gain_db",
        INT,
        (0, 14),
        0,
        "gain of the antenna over isotropic, minus cable; taken off the power",
    ),
    ("rx_error_ms", INT, (5, 200), 30, "how early or late the node may be in a receive window"),
    ("grace_s", INT, (0, 600), 20, "seconds after power-on before the watchdog starts, for the technician"),
    ("channels", "list", (1, 8), REQUIRED, "what is counted, in the order of the frames"),
)
CHANNEL_TABLE = (
    ("class", CHOICE, channel.CLASSES, REQUIRED, "what is counted"),
    ("direction", CHOICE, channel.DIRECTIONS, "unknown", "towards the city is in"),
    ("sensor", CHOICE, ("pulse",), "pulse", "kind of sensor, a module in counting/"),
    ("pin", INT, (0, 48), REQUIRED, "GPIO of the pulses"),
    ("ok_pin", OPTIONAL, (0, 48), None, "GPIO that is 1 while the sensor works; null: it has none"),
    ("edge", CHOICE, ("rising", "falling"), "rising", "edge of the pulse that counts"),
    ("pull", CHOICE, ("none", "up", "down"), "none", "resistor inside the chip, for pin and ok_pin"),
)


class SettingsError(ValueError):
    """Settings that cannot be used; the text says which, what is wrong and what is allowed."""


def _value(where, row, value):
    """The value of one row, checked. The text of an error never holds a key."""
    name, kind, limit = row[0], row[1], row[2]
    if value is None and kind == OPTIONAL:
        return None
    if kind == HEX:
        if (
            not isinstance(value, str)
            or len(value) != limit
            or any(c not in "0123456789abcdefABCDEF" for c in value)
        ):
            raise SettingsError("%s%s: must be %d hexadecimal digits" % (where, name, limit))
        return value.lower()
    if kind == CHOICE:
        if not isinstance(value, str) or value not in limit:
            raise SettingsError("%s%s: must be one of %s" % (where, name, ", ".join(limit)))
        return value
    if kind == WORD:
        if not isinstance(value, str) or not _word(value, limit):
            raise SettingsError("%s%s: must be letters, digits and _, at most %d" % (where, name, limit))
        return value
    if type(value) is not int or not limit[0] <= value <= limit[1]:
        null = " or null" if kind == OPTIONAL else ""
        raise SettingsError(
            "%s%s: must be a whole number from %d to %d%s" % (where, name, limit[0], limit[1], null)
        )
    return value


def _word(text, longest):
    return 0 < len(text) <= longest and all(c.isalpha() or c.isdigit() or c == "_" for c in text)


def _rows(where, table, document):
    """A dict with every name of `table`, checked, defaults filled in."""
    if not isinstance(document, dict):
        raise SettingsError("%smust be an object with names and values" % where)
    known = [row[0] for row in table]
    for name in document:
        if name not in known:
            raise SettingsError("%s%s: unknown setting; known: %s" % (where, name, ", ".join(known)))
    result = {}
    for row in table:
        name, kind, limit, default = row[0], row[1], row[2], row[3]
        if name not in document:
            if default is REQUIRED:
                raise SettingsError("%s%s: is missing" % (where, name))
            result[name] = default
        elif kind == "list":
            entries = document[name]
            if not isinstance(entries, list) or not limit[0] <= len(entries) <= limit[1]:
                raise SettingsError(
                    "%s%s: must be a list of %d to %d channels" % (where, name, limit[0], limit[1])
                )
            result[name] = [
                _rows("%s[%d]." % (name, i), CHANNEL_TABLE, entry) for i, entry in enumerate(entries)
            ]
        else:
            result[name] = _value(where, row, document[name])
    return result


def validate(document):
    """The settings in `document` (a dict from JSON) with defaults; SettingsError."""
    settings = _rows("", TABLE, document)
    interval = settings["interval_s"]
    if interval % 60 or 86400 % interval:
        raise SettingsError(
            "interval_s: %d is not whole minutes that divide a day; allowed e.g. 300, 900" % interval
        )
    offset = settings["uplink_offset_s"]
    if offset is not None and offset > last_offset_s(interval):
        raise SettingsError("uplink_offset_s: at most %d at this interval" % last_offset_s(interval))
    pins = []
    for entry in settings["channels"]:
        pins.append(entry["pin"])
        if entry["pin"] in [other["ok_pin"] for other in settings["channels"]]:
            raise SettingsError("channels: pin %d counts and is an ok_pin" % entry["pin"])
    if len(set(pins)) < len(pins):
        raise SettingsError("channels: two of them use the same pin")
    return settings


def last_offset_s(interval_s):
    """The latest uplink: transmission, both windows and a wait for the duty cycle end before the boundary."""
    return interval_s - 40 if interval_s >= 120 else interval_s // 3


def _read(path):
    if os.stat(path)[6] > MAX_BYTES:
        raise SettingsError("%s: longer than %d bytes" % (path, MAX_BYTES))
    with open(path) as file:
        text = file.read()
    try:
        document = json.loads(text)
    except ValueError:
        raise SettingsError("%s: is not JSON" % path)
    # MicroPython's reader takes a document that ends too early for a whole one.
    whole = text.strip()[-1:] == "}" and all(text.count(a) == text.count(b) for a, b in ("{}", "[]"))
    if isinstance(document, dict) and not whole:
        raise SettingsError("%s: is not JSON: brackets are missing, is it cut off?" % path)
    return validate(document), text


def load(path, last_good):
    """(settings, trouble): trouble is None, or why `path` was refused and the copy `last_good` (a path) is used.

    Raises SettingsError when there is no usable copy either.
    """
    try:
        try:
            settings, text = _read(path)
        except OSError:
            raise SettingsError("%s: is missing or cannot be read" % path)
    except SettingsError as error:
        try:
            return _read(last_good)[0], str(error)
        except (OSError, SettingsError):
            raise error
    _keep(last_good, text)
    return settings, None


def _keep(last_good, text):
    """Remember the good document; written only when it changed."""
    try:
        with open(last_good) as file:
            if file.read() == text:
                return
    except OSError:
        pass
    with open(last_good + ".new", "w") as file:
        file.write(text)
    os.rename(last_good + ".new", last_good)


def derive(settings):
    """What the node needs besides: hashes, channel map, and when in the interval it reports."""
    settings["config_hash"] = config_hash(settings)
    settings["layout"] = layout_hash(settings)
    settings["channel_map"] = channel_codes(settings)
    settings["offset_ms"] = offset_ms(settings)
    return settings


def offset_ms(settings):
    """Milliseconds into the interval: as set, else from the DevEUI, evenly over what is allowed."""
    given = settings["uplink_offset_s"]
    if given is not None:
        return given * 1000
    digest = hashlib.sha256(settings["dev_eui"].encode()).digest()
    span = (last_offset_s(settings["interval_s"]) - _EARLIEST_S) * 1000
    return _EARLIEST_S * 1000 + int.from_bytes(digest[:4], "little") % span


def config_hash(settings):
    """Four bytes that name these settings, the key left out."""
    shown = [settings[row[0]] for row in TABLE if row[0] not in ("app_key", "channels")]
    shown.append([[entry[row[0]] for row in CHANNEL_TABLE] for entry in settings["channels"]])
    return _digest(shown)


def layout_hash(settings):
    """Four bytes that change when totals or indices would mean something else."""
    return _digest([settings["interval_s"], channel_codes(settings)])


def _digest(values):
    return hashlib.sha256(repr(values).encode()).digest()[:4]


def channel_codes(settings):
    """The channel map of a status frame: (class code, direction code) per channel."""
    return [
        (channel.class_code(entry["class"]), channel.direction_code(entry["direction"]))
        for entry in settings["channels"]
    ]
