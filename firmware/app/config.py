"""Settings by command: told as they are, and changed as a whole. Loaded for one command.

In a command's document every setting has its key from the table of `settings` or its name; values are those of
settings.json. What is left out stays as it is, but channels are named all or not at all.
"""

import json

from micropython import const

from app import fit, trial
from app import settings as table

# Never by command: a node that is somebody else, or has other wires, would be lost. app_key is never told either.
FIXED = ("dev_eui", "join_eui", "app_key", "board")
_SECRET = FIXED[2]
_CHANNELS = "channels"
# Results, as zaehlwerk_protocol.answer numbers them.
_OK = const(0)
_NO_RECORD = const(4)
# Bytes of an answer around the piece of a document, at most.
_AROUND_PIECE = const(12)


def piece(node, longest, part):
    """One piece of the settings in force, for an answer of at most `longest` bytes: what `asked._settings` returns.

    All pieces have the length that fits when the first one is asked for.
    """
    whole = told(node.files)
    if part == 0 or node.piece is None:
        node.piece = longest - _AROUND_PIECE
    first, parts = part * node.piece, -(-len(whole) // node.piece)
    if part >= parts:
        return _NO_RECORD, (), False
    return _OK, (parts, whole[first : first + node.piece]), False


def told(files):
    """The settings in force as bytes, by keys in the table's order, without the AppKey and what has its default."""
    document = table.parse("settings", trial.text_of(files))
    parts = []
    for row in table.TABLE:
        name = row[0]
        if name == _CHANNELS:
            entries = [_object(_shown(table.CHANNEL_TABLE, entry)) for entry in document[name]]
            parts.append((row[-1], "[" + ",".join(entries) + "]"))
        elif name != _SECRET:
            parts += _shown([row], document)
    return _object(parts).encode()


def _shown(rows, document):
    return [
        (row[-1], _json(document[row[0]]))
        for row in rows
        if row[0] in document and document[row[0]] != row[3]
    ]


def _object(pairs):
    return "{" + ",".join(['"%d":%s' % pair for pair in pairs]) + "}"


def _json(value):
    return json.dumps(value)


def part(node, whole):
    """A whole document was brought: it is judged, stored, and tried from the next start on. The outcome, as above."""
    if node.settings.get("trial"):
        # This command was heard under them.
        trial.keep(node.files)
        node.settings["trial"] = False
    return _OK, (), change(node.files, whole)


def change(files, changes):
    """Put the settings in force, with `changes` (a document as bytes), on trial from the next start on.

    Whether there is anything to try: False when all is so already. Raises SettingsError, a ValueError, with the reason.
    """
    try:
        wanted = table.parse("config", changes.decode())
    except UnicodeError:
        raise table.SettingsError("config: is not UTF-8")
    present = table.parse("settings", trial.text_of(files))
    document = dict(present)
    for name, value in _named(table.TABLE, wanted):
        if name == _CHANNELS and isinstance(value, list):
            document[name] = [dict(_named(table.CHANNEL_TABLE, entry)) for entry in value]
        elif name in FIXED and (name == _SECRET or value != present[name]):
            raise table.SettingsError("%s: not by command" % name)
        else:
            document[name] = value
    wanted = table.validate(document)
    fit.check(wanted)
    if wanted == table.validate(present):
        return False
    del present, wanted
    trial.put(files, json.dumps(document))
    return True


def _named(rows, document):
    """[(name, value)] of a document by keys or names."""
    if not isinstance(document, dict):
        raise table.SettingsError("config: must be an object")
    found: dict = {}
    for key in document:
        names = [row[0] for row in rows if str(row[-1]) == key]
        name = names[0] if names else key
        if name in found:
            raise table.SettingsError("%s: twice" % name)
        found[name] = document[key]
    return found.items()
