"""The parts of a settings document as commands bring them, on flash until all are there. Loaded for one of them.

One record: the first four bytes of the SHA-256 of the whole, the number of parts, and of each that came its number, its
length and itself. Whoever begins another document gives the former one up.
"""

import hashlib

from app.state import read
from lorawan.records import seal

_RECORD = "parts"
_VERSION = 1
HASH_BYTES = 4


def take(files, part, parts, digest, piece):
    """The whole document as bytes when this was the last part that was missing, else None. Stored when this returns.

    Raises ValueError when the parts do not give what `digest` names: they are forgotten then.
    """
    if part >= parts:
        raise ValueError("part %d of %d" % (part, parts))
    head = digest + bytes([parts])
    data = read(files, _RECORD, _VERSION) or b""
    pieces = _pieces(data) if data[: len(head)] == head else {}
    if pieces.get(part) != piece:
        pieces[part] = piece
        for number in pieces:
            head += bytes([number, len(pieces[number])]) + pieces[number]
        files.replace(_RECORD, seal(_VERSION, head))
    if len(pieces) < parts:
        return None
    whole = b"".join([pieces[number] for number in range(parts)])
    if hashlib.sha256(whole).digest()[:HASH_BYTES] != digest:
        files.remove(_RECORD)
        raise ValueError("parts do not fit")
    return whole


def _pieces(data):
    """{number: piece} of a record's data."""
    pieces, at = {}, HASH_BYTES + 1
    while at < len(data):
        number, end = data[at], at + 2 + data[at + 1]
        pieces[number] = data[at + 2 : end]
        at = end
    return pieces
