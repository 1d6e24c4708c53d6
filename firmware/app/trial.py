"""Settings on trial: given by a command, not yet known to leave the node on the network.

One record holds them, with the number of starts they had and what settings.json was when they came. They become
settings.json when the network is heard under them; until then settings.json is what the node goes back to. It goes back
when nothing is heard for two hours (`probation`), at the start after _STARTS starts that did not last as long, and when settings.json
was written anew by somebody else.

A settings.json that somebody wrote becomes the last good one when a start with it has lasted (`lasted`). Until then
the node goes back to the last good one, if there is one: when it cannot be put together with it, or after as many starts that did not last
(`given_up`, `give_up`). Each step is one replaced, renamed or removed file, so the power may go at any time.
"""

import binascii

from micropython import const

from lorawan.records import Files, RecordError, seal, unseal

_STARTS = const(4)
# One byte more than a document may have: nobody reads the megabyte that somebody else put there.
_LONGEST = const(4097)
_RECORD = "trial"
# Number of starts with a settings.json that is not the last good one, its CRC-32, and why it was given up.
_FRESH = "fresh"
_NEVER_AGAIN = b"\xff"
_VERSION = const(1)
# Number of starts, then the CRC-32 of settings.json.
_HEAD_BYTES = const(5)
DOCUMENT = "settings.json"
LAST_GOOD = "state/settings.json"


def text_of(files):
    """The text of the document in force: that on trial, else settings.json, the last good one if that was given up.

    files: the `records.Files` of state/.
    """
    record = _read(files)
    if record is not None:
        return record[_HEAD_BYTES:].decode()
    fresh = _fresh(files)
    text = _content(LAST_GOOD) if fresh is not None and fresh[0] >= _STARTS else b""
    return (text or _present()).decode()


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
    files.remove(_FRESH)


def undo(files):
    """settings.json is in force again from the next start on."""
    files.remove(_RECORD)


def given_up(files, power):
    """Why settings.json is not to be used, None if it is.

    A start with one that is not the last good one is counted, but not if the power begins it.
    """
    fresh = _fresh(files)
    if fresh is None:
        if _content(LAST_GOOD) in (b"", _present()):
            return None
        fresh = b"\0" + _sum(_present())
    if fresh[0] >= _STARTS:
        return fresh[_HEAD_BYTES:].decode() or "%d starts" % _STARTS
    if not power:
        fresh = bytes([fresh[0] + 1]) + fresh[1:]
    files.replace(_FRESH, seal(_VERSION, fresh))
    return None


def give_up(files, why):
    """The node cannot be put together as settings.json says: whether there is a last good one to go back to."""
    fresh = _fresh(files)
    if fresh is None or fresh[0] >= _STARTS:
        return False
    files.replace(_FRESH, seal(_VERSION, _NEVER_AGAIN + fresh[1:_HEAD_BYTES] + why.encode()))
    return True


def lasted(files):
    """A start with settings.json has lasted: it is the last good one."""
    present = _present()
    if _content(LAST_GOOD) != present:
        files.replace(DOCUMENT, present)
    files.remove(_FRESH)


def _fresh(files):
    """The record of a settings.json that has to show what it is worth, None without."""
    fresh = _read(files, _FRESH)
    return fresh if fresh is not None and fresh[1:_HEAD_BYTES] == _sum(_present()) else None


def _read(files, name=_RECORD):
    # Not by `app.state`: what a start needs before the node's modules should be little.
    record = files.read(name)
    try:
        return None if record is None else unseal(_VERSION, record)
    except RecordError:
        return None


def _present():
    return _content(DOCUMENT)


def _content(path):
    try:
        with open(path, "rb") as file:
            # To read as much as it may be takes a block of that size.
            size = file.seek(0, 2)
            file.seek(0)
            return file.read(min(size, _LONGEST))
    except OSError:
        return b""


def _sum(data):
    return binascii.crc32(data).to_bytes(4, "little")
