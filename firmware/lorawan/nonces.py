"""The *nonces* record, and what is not kept loaded for it: read at the start, written for each join.

Version 1, without the round of joining, is still read.
"""

import struct

from micropython import const

from lorawan.records import RecordError, seal, unseal
from lorawan.store import NoncesLost

_NAME = "nonces"
_VERSION = const(2)
_FORMAT = "<I16s3sBHIB"


def read(store, files):
    """Fill `store` from the record, if there is one for its owner. Raises NoncesLost."""
    record = files.read(_NAME)
    if record is None:
        return
    try:
        # Version 1 ended where the round of joining begins.
        data = unseal(1, record) + bytes(7) if record[:1] == b"\1" else unseal(_VERSION, record)
        fields = struct.unpack(_FORMAT, data)
    except RecordError as error:
        raise NoncesLost("state/%s: %s" % (_NAME, error))
    store.test_port_closed = bool(fields[6])
    # DevNonces are counted per JoinEUI; a new one starts again at 0 (LoRaWAN 1.0.4 section 6.2.5).
    if fields[1] == store.owner:
        store.dev_nonce, _, store.join_nonce, store.last_data_rate, store.attempts, store.round_s = fields[:6]


def write(store, files):
    """Replace the record by what `store` holds."""
    data = struct.pack(
        _FORMAT,
        store.dev_nonce,
        store.owner,
        store.join_nonce,
        0 if store.last_data_rate is None else store.last_data_rate,
        min(store.attempts, 0xFFFF),
        min(store.round_s, 0xFFFFFFFF),
        store.test_port_closed,
    )
    files.replace(_NAME, seal(_VERSION, data))
