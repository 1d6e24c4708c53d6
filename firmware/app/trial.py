"""Settings on trial: given by a command, not yet known to leave the node on the network.

One record holds them, with the number of starts they had and what settings.json was when they came. They become
settings.json when the network is heard under them; until then settings.json is what the node goes back to. It goes back
when nothing is heard for two hours (`probation`), at the start after _STARTS starts that did not last as long, and when settings.json
was written anew by somebody else. Each step is one replaced, renamed or removed file, so the power may go at any time.
"""

import binascii

from micropython import const

from lorawan.records import Files, RecordError, seal, unseal

_STARTS = const(4)
_RECORD = "trial"
_VERSION = const(1)
# Number of starts, then the CRC-32 of settings.json.
_HEAD_BYTES = const(5)
DOCUMENT = "settings.json"
LAST_GOOD = "state/settings.json"


def text_of(files):
    """The text of the document in force: that on trial, else the last good one. files: the `records.Files` of state/."""
    record = _read(files)
    if record is not None:
        return record[_HEAD_BYTES:].decode()
    with open(LAST_GOOD) as file:
        return file.read()


def put(files, text):
    """From the next start on `text` is on trial. Stored when this returns."""
    files.replace(_RECORD, seal(_VERSION, b"\0" + _sum(_present()) + text.encode()))


def begin(files):
    """(the text on trial in this start or None, why the trial that there was is over or None)."""
    record = _read(files)
    if record is None:
        return None, None
    present, text = _present(), record[_HEAD_BYTES:]
    if record[1:_HEAD_BYTES] != _sum(present):
        # They are in force already, or somebody wrote others.
        files.remove(_RECORD)
        return None, None
    if record[0] >= _STARTS:
        files.remove(_RECORD)
        return None, "new settings: %d starts" % _STARTS
    files.replace(_RECORD, seal(_VERSION, bytes([record[0] + 1]) + record[1:]))
    return text.decode(), None


def keep(files):
    """The network was heard: what is on trial becomes settings.json and its last good copy."""
    record = _read(files)
    if record is None:
        return
    text = record[_HEAD_BYTES:]
    files.replace(DOCUMENT, text)
    Files(".").replace(DOCUMENT, text)
    files.remove(_RECORD)


def undo(files):
    """settings.json is in force again from the next start on."""
    files.remove(_RECORD)


def _read(files):
    # Not by `app.state`: what a start needs before the node's modules should be little.
    record = files.read(_RECORD)
    try:
        return None if record is None else unseal(_VERSION, record)
    except RecordError:
        return None


def _present():
    try:
        with open(DOCUMENT, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _sum(data):
    return binascii.crc32(data).to_bytes(4, "little")
