"""The node's settings: one table gives names, validation, defaults and documentation.

The document is settings.json at the root of the node's filesystem. Loaded at start only; a bad document is refused
as a whole, says why, and the last good one stays in force.
"""

import hashlib
import json
import os

from zaehlwerk_protocol import channel

MAX_BYTES = 4096
# How long interrupts may stall: STALL_MS of counting/debounce.py.
_STALL_MS = 50
# The first seconds of an interval belong to the writing of its predecessor's record.
_EARLIEST_S = 3
REQUIRED = object()

# Kinds of values. A row is (name, kind of value, limit, default, meaning, key in commands); limit depends on the kind.
# A row of a channel's settings has before its key the kinds of sensor that have it. A key never gets another meaning.
HEX = "hex"  # limit: number of digits
INT = "int"  # limit: (lowest, highest)
OPTIONAL = "int or null"  # the same
CHOICE = "choice"  # limit: allowed texts
WORD = "word"  # letters, digits and _, limit: longest

TABLE = (
    ("dev_eui", HEX, 16, REQUIRED, "DevEUI as printed on the label", 1),
    ("join_eui", HEX, 16, REQUIRED, "JoinEUI of the network", 2),
    ("app_key", HEX, 32, REQUIRED, "AppKey; never shown, logged or sent", 3),
    ("board", WORD, 24, REQUIRED, "module in boards/ with the pins and the radio of this board", 4),
    (
        "interval_s",
        INT,
        (60, 3600),
        900,
        "length of an interval in seconds: whole minutes, a divisor of a day",
        5,
    ),
    ("history_bytes", INT, (12, 36), 28, "a count frame is filled with history up to so many bytes", 6),
    (
        "uplink_offset_s",
        OPTIONAL,
        (0, 3600),
        None,
        "seconds into the interval at which it is reported; null: from the DevEUI",
        7,
    ),
    (
        "antenna_gain_db",
        INT,
        (0, 14),
        0,
        "gain of the antenna over isotropic, minus cable; taken off the power",
        8,
    ),
    ("rx_error_ms", INT, (5, 200), 30, "how early or late the node may be in a receive window", 9),
    (
        "grace_s",
        INT,
        (0, 600),
        20,
        "seconds after power-on before the watchdog starts, for the technician",
        10,
    ),
    (
        "flow_every",
        INT,
        (0, 96),
        1,
        "speeds and occupancy of every so many intervals are sent; 0: never",
        11,
    ),
    (
        "tamper_pin",
        OPTIONAL,
        (0, 48),
        None,
        "GPIO that a closed case connects to ground; null: it has no such switch",
        12,
    ),
    (
        "battery_permille",
        INT,
        (900, 1100),
        1000,
        "battery voltage as a meter shows it, in per mille of what the board tells",
        14,
    ),
    (
        "temperature_offset",
        INT,
        (-300, 300),
        0,
        "so many tenths of a degree are added to what the board tells",
        15,
    ),
    (
        "sleep",
        CHOICE,
        ("none", "light"),
        "none",
        "light: the processor sleeps between passages; contacts and presences of one edge, without ok_pin",
        16,
    ),
    ("channels", "list", (1, 8), REQUIRED, "what is counted, in the order of the frames", 13),
)
# What a channel's sensor can be, and in a row of a channel's settings the kinds that have this one.
KINDS = ("pulse", "contact", "presence", "direction", "tube", "radar")
_BOUNCING = ("contact", "presence", "direction")
# Kinds whose pin may wake the processor from light sleep.
_WAKING = ("contact", "presence")
_SEVERAL = ("direction", "tube", "radar")
# Outputs of the kinds that tell passages apart, in the order in which their sensors count them.
OUTPUTS = {
    "direction": ("ab", "ba", "unknown"),
    "tube": ("motor_ab", "motor_ba", "bicycle_ab", "bicycle_ba", "unknown"),
    "radar": ("towards", "away"),
}
ALL = "all"
_NAMES = (ALL, "ab", "ba", "motor_ab", "motor_ba", "bicycle_ab", "bicycle_ba", "towards", "away", "unknown")

CHANNEL_TABLE = (
    ("class", CHOICE, channel.CLASSES, REQUIRED, "what is counted", KINDS, 1),
    ("direction", CHOICE, channel.DIRECTIONS, "unknown", "towards the city is in", KINDS, 2),
    ("sensor", CHOICE, KINDS, "pulse", "kind of sensor, a module in counting/", KINDS, 3),
    (
        "shares",
        OPTIONAL,
        (0, 6),
        None,
        "number of the earlier channel, from 0, whose sensor counts this one too; null: this one has its own",
        _SEVERAL,
        4,
    ),
    (
        "output",
        CHOICE,
        _NAMES,
        ALL,
        "which of the passages that its sensor tells apart this is",
        _SEVERAL,
        5,
    ),
    (
        "pin",
        INT,
        (0, 48),
        REQUIRED,
        "GPIO of the pulses, of contact, beam or tube A, or of what the radar sends",
        KINDS,
        6,
    ),
    ("pin_b", INT, (0, 48), REQUIRED, "GPIO of contact, beam or tube B", ("direction", "tube"), 7),
    (
        "tx_pin",
        OPTIONAL,
        (0, 48),
        None,
        "GPIO to the radar, which is then set up; null: not connected",
        ("radar",),
        8,
    ),
    (
        "ok_pin",
        OPTIONAL,
        (0, 48),
        None,
        "GPIO that is 1 while the sensor works; null: it has none",
        KINDS,
        9,
    ),
    (
        "edge",
        CHOICE,
        ("rising", "falling"),
        "rising",
        "edge that counts; of a contact, the level after it is active",
        ("pulse", "contact", "presence", "direction", "tube"),
        10,
    ),
    (
        "pull",
        CHOICE,
        ("none", "up", "down"),
        "none",
        "resistor inside the chip, for the pins of contacts and ok_pin",
        KINDS,
        11,
    ),
    ("debounce_ms", INT, (2, 200), 10, "a level that lasts so long is no bounce", _BOUNCING, 12),
    ("gap_ms", INT, (50, 10000), 100, "inactive for so long, and the passage is over", _BOUNCING, 13),
    (
        "dead_ms",
        INT,
        (0, 60000),
        0,
        "from a passage's begin on so long nothing else counts",
        ("contact",),
        14,
    ),
    (
        "window_ms",
        INT,
        (100, 10000),
        1000,
        "at most so long from one sensor to the other",
        ("direction",),
        15,
    ),
    ("distance_mm", INT, (300, 1000), REQUIRED, "from tube to tube, measured on the road", ("tube",), 16),
    ("bounce_ms", INT, (5, 40), 25, "edges of a tube so soon after a hit are its bounces", ("tube",), 17),
    ("uart", INT, (1, 2), 1, "number of the UART", ("radar",), 18),
    ("baud", INT, (9600, 230400), 19200, "its speed", ("radar",), 19),
    ("unit", CHOICE, ("kmh", "mps"), "kmh", "unit of the speeds that the radar sends", ("radar",), 20),
    ("min_hits", INT, (2, 100), 3, "fewer detections are no passage", ("radar",), 21),
    (
        "quiet_ms",
        INT,
        (200, 10000),
        600,
        "without a detection for so long, and the passage is over",
        ("radar",),
        22,
    ),
    ("min_speed_kmh", INT, (1, 100), 5, "slower detections are ignored", ("radar",), 23),
    (
        "stuck_s",
        INT,
        (10, 3600),
        600,
        "active for longer is a fault",
        ("contact", "presence", "direction", "radar"),
        24,
    ),
    (
        "silent_s",
        OPTIONAL,
        (0, 604800),
        None,
        "without a passage for longer is a fault; 0: never; null: learnt from the sensor's own weeks",
        KINDS,
        25,
    ),
    (
        "jam_occupancy",
        OPTIONAL,
        (50, 1000),
        None,
        "congestion from so many per mille of the last minute on; null: none is told",
        ("presence",),
        26,
    ),
    (
        "jam_kmh",
        OPTIONAL,
        (3, 100),
        None,
        "congestion below this mean speed; null: none is told",
        ("tube", "radar"),
        27,
    ),
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
    _known(where, [row[0] for row in table], document, "unknown setting")
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
            result[name] = _channels(name, entries)
        else:
            result[name] = _value(where, row, document[name])
    return result


def _known(where, names, document, what):
    if not isinstance(document, dict):
        raise SettingsError("%smust be an object with names and values" % where)
    for name in document:
        if name not in names:
            raise SettingsError("%s%s: %s; known: %s" % (where, name, what, ", ".join(names)))


def _channels(list_name, documents):
    """The channels, each with the settings that its kind of sensor has; `output` becomes a number, None for all."""
    entries = []
    for i, document in enumerate(documents):
        where = "%s[%d]." % (list_name, i)
        _known(where, [row[0] for row in CHANNEL_TABLE], document, "unknown setting")
        if document.get("shares") is None:
            row = CHANNEL_TABLE[2]
            kind = _value(where, row, document.get("sensor", row[3]))
            table = [row for row in CHANNEL_TABLE if kind in row[5]]
            _known(where, [row[0] for row in table], document, "is no setting of a %s sensor" % kind)
            entries.append(_rows(where, table, document))
        else:
            entries.append(_sharing(where, document, entries))
    for i, entry in enumerate(entries):
        if entry["sensor"] not in OUTPUTS:
            _claims("%s[%d]." % (list_name, i), entry, None)
        elif entry["shares"] is None:
            _outputs(list_name, entries, i)
    return entries


def _sharing(where, document, earlier):
    """A channel that is fed by the sensor of an earlier one: all about the sensor stands there."""
    table = [row for row in CHANNEL_TABLE if row[0] in ("class", "direction", "shares", "output")]
    names = [row[0] for row in table]
    _known(
        where, names, document, "belongs to the channel that describes the sensor, not to one that shares it"
    )
    entry = _rows(where, table, document)
    owner = entry["shares"]
    if owner >= len(earlier) or earlier[owner].get("shares") is not None:
        raise SettingsError(
            "%sshares: channel %d is no earlier one with a sensor of its own" % (where, owner)
        )
    kind = earlier[owner]["sensor"]
    if kind not in OUTPUTS:
        raise SettingsError(
            "%sshares: the %s sensor of channel %d has one output; several have: %s"
            % (where, kind, owner, ", ".join(_SEVERAL))
        )
    entry["sensor"] = kind
    return entry


def _outputs(list_name, entries, owner):
    """Check that the channels of a sensor take each of its outputs once, or one takes all."""
    kind = entries[owner]["sensor"]
    names = OUTPUTS[kind]
    group = [i for i, entry in enumerate(entries) if i == owner or entry.get("shares") == owner]
    takers: dict = {}
    ways: dict = {}
    for i in group:
        where, entry = "%s[%d]." % (list_name, i), entries[i]
        output = entry["output"]
        if output == ALL and len(group) > 1:
            raise SettingsError(
                "%soutput: %d channels share this sensor, so each takes one of %s"
                % (where, len(group), ", ".join(names))
            )
        if output != ALL and output not in names:
            raise SettingsError("%soutput: a %s sensor has %s" % (where, kind, ", ".join(names)))
        if output in takers:
            raise SettingsError(
                "%soutput: %s is counted by channel %d already" % (where, output, takers[output])
            )
        takers[output] = i
        _claims(where, entry, output)
        ways.setdefault(output.split("_")[-1], []).append(entry["direction"])
        entry["output"] = None if output == ALL else names.index(output)
    missing = [name for name in names if name not in takers]
    if missing and ALL not in takers:
        raise SettingsError(
            '%s[%d]: nobody counts the output %s of its sensor; add a channel with "shares": %d and "output": "%s", or'
            ' have one channel alone with "output": "all"' % (list_name, owner, missing[0], owner, missing[0])
        )
    one, other = [ways.get(way, []) for way in (names if kind == "radar" else ("ab", "ba"))]
    if one and (len(set(one)) > 1 or len(set(other)) > 1 or (one[0] == other[0] != "unknown")):
        raise SettingsError(
            "%s[%d].direction: its sensor counts two ways, %s and back: one is in and the other out"
            % (list_name, owner, names[0])
        )


def _claims(where, entry, output):
    """Refuse a class or a direction that the sensor cannot see."""
    kind, named, way = entry["sensor"], entry["class"], entry["direction"]
    allowed = None
    if kind == "tube":
        allowed = {"m": "kfz", "b": "bicycle"}.get(output[0], "unknown")
    if allowed is not None and named != allowed:
        raise SettingsError("%sclass: the output %s of a tube sensor is %s" % (where, output, allowed))
    if kind != "pulse" and named in ("heavy", "light"):
        raise SettingsError("%sclass: a %s sensor cannot tell %s vehicles; use kfz" % (where, kind, named))
    if output is None:
        return
    if output in (ALL, "unknown"):
        ways = ["unknown", "both"] if output == ALL else ["unknown"]
    else:
        ways = ["in", "out", "unknown"]
    if way not in ways:
        raise SettingsError(
            "%sdirection: of the output %s it can only be %s" % (where, output, " or ".join(ways))
        )


def validate(document):
    """The settings in `document` (a dict from JSON) with defaults; SettingsError.

    A channel has the settings of its kind of sensor, a channel that shares one only `class`, `direction`, `sensor`,
    `shares` and `output`; there, `output` is a number in the order of OUTPUTS, or None for all.
    """
    settings = _rows("", TABLE, document)
    interval = settings["interval_s"]
    if interval % 60 or 86400 % interval:
        raise SettingsError(
            "interval_s: %d is not whole minutes that divide a day; allowed e.g. 300, 900" % interval
        )
    offset = settings["uplink_offset_s"]
    if offset is not None and offset > last_offset_s(interval):
        raise SettingsError("uplink_offset_s: at most %d at this interval" % last_offset_s(interval))
    _hardware(
        [entry for entry in settings["channels"] if entry.get("shares") is None], settings["tamper_pin"]
    )
    if settings["sleep"] == "light":
        for i, entry in enumerate(settings["channels"]):
            _sleeps("channels[%d]" % i, entry, settings["channels"][0])
    return settings


def _sleeps(where, entry, first):
    """Refuse a channel that light sleep would make blind; marks the others."""
    if entry["sensor"] not in _WAKING:
        raise SettingsError(
            "sleep: %s: a %s sensor counts nothing while the processor sleeps; use %s, or sleep none"
            % (where, entry["sensor"], " or ".join(_WAKING))
        )
    if entry["ok_pin"] is not None:
        raise SettingsError("sleep: %s: nobody watches an ok_pin while the processor sleeps" % where)
    if entry.get("jam_occupancy") is not None:
        raise SettingsError("sleep: %s: congestion is looked for every 10 s, so nobody sleeps" % where)
    if entry["edge"] != first["edge"]:
        raise SettingsError("sleep: %s.edge: one level wakes for all pins, so all have the same edge" % where)
    entry["asleep"] = True


def _hardware(sensors, tamper_pin):
    """Refuse pins and UARTs that are used twice, and times that contradict each other."""
    pins, uarts = [], []
    for entry in sensors:
        least = entry.get("debounce_ms", 0) + _STALL_MS
        if entry.get("gap_ms", least) < least:
            raise SettingsError(
                "channels: gap_ms must be at least debounce_ms + %d, because interrupts can come so late: %d"
                % (_STALL_MS, least)
            )
        uarts += [entry["uart"]] if "uart" in entry else []
        for name in ("pin", "pin_b", "tx_pin"):
            pin = entry.get(name)
            if pin is not None:
                pins.append(pin)
                if pin in [other["ok_pin"] for other in sensors]:
                    raise SettingsError("channels: pin %d counts and is an ok_pin" % pin)
    if len(set(pins)) < len(pins):
        raise SettingsError(
            "channels: two sensors use the same pin; one sensor for several channels: see shares"
        )
    if len(set(uarts)) < len(uarts):
        raise SettingsError("channels: two radars use the same uart")
    if tamper_pin is not None and tamper_pin in pins + [entry["ok_pin"] for entry in sensors]:
        raise SettingsError("tamper_pin: pin %d belongs to a channel" % tamper_pin)


def last_offset_s(interval_s):
    """The latest uplink: transmission, both windows and a wait for the duty cycle end before the boundary."""
    return interval_s - 40 if interval_s >= 120 else interval_s // 3


def _read(path):
    if os.stat(path)[6] > MAX_BYTES:
        raise SettingsError("%s: longer than %d bytes" % (path, MAX_BYTES))
    with open(path) as file:
        try:
            text = file.read()
        except UnicodeError:
            raise SettingsError("%s: is not UTF-8" % path)
    return validate(parse(path, text))


def parse(where, text):
    """The document that `text` is, not validated; SettingsError, whose text begins with `where`, if it is no JSON."""
    try:
        document = json.loads(text)
    except ValueError:
        raise SettingsError("%s: is not JSON" % where)
    # MicroPython's reader takes a document that ends too early for a whole one.
    whole = text.strip()[-1:] == "}" and all(text.count(a) == text.count(b) for a, b in ("{}", "[]"))
    if isinstance(document, dict) and not whole:
        raise SettingsError("%s: is not JSON: brackets are missing, is it cut off?" % where)
    return document


def load(path, last_good, given_up=None):
    """(settings, trouble): trouble is None, or why `path` was refused and the copy `last_good` (a path) is used.

    given_up: why `path` is not to be used although it is valid, None if it is. Raises SettingsError when there is no
    usable copy either.
    """
    trouble = given_up
    if given_up is None:
        try:
            return _read(path), None
        except SettingsError as error:
            trouble = str(error)
        except OSError:
            trouble = "%s: is missing or cannot be read" % path
    try:
        return _read(last_good), trouble
    except (OSError, SettingsError):
        if given_up is None:
            raise SettingsError(trouble)
    return _read(path), None


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
    shown.append(
        [[entry[row[0]] for row in CHANNEL_TABLE if row[0] in entry] for entry in settings["channels"]]
    )
    return _digest(shown)


def layout_hash(settings):
    """Four bytes that change when totals or indices would mean something else, or a channel has another input.

    Who says so of a pin may have mended a wire or changed two sensors for each other: nobody here can know.
    """
    inputs = [
        [entry.get(name) for name in ("shares", "output", "pin", "pin_b")] for entry in settings["channels"]
    ]
    return _digest([settings["interval_s"], channel_codes(settings), inputs])


def _digest(values):
    return hashlib.sha256(repr(values).encode()).digest()[:4]


def channel_codes(settings):
    """The channel map of a status frame: (class code, direction code) per channel."""
    return [
        (channel.class_code(entry["class"]), channel.direction_code(entry["direction"]))
        for entry in settings["channels"]
    ]
