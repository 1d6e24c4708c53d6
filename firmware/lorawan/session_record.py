"""The *session* record: the session in use, and the one before it while no downlink has verified under the new.

Loaded when the record is written or read. Version 1 held one session in another layout; a node that finds one joins
anew.
"""

import struct

from micropython import const

from lorawan.records import RecordError, seal, unseal
from lorawan.session import Session

_NAME = "session"
_VERSION = const(2)
# Owner, JoinNonce, length of the session in use; it and the other one follow.
_HEAD = "<16s3sH"
_HEAD_BYTES = const(21)
_FORMAT = "<I16s16sIIBBBBBBIBHHBB"
_CHANNEL = "<BIIBB"


def write(store, files, session, other, fcnt_up):
    """Replace the record. other: a Session or None; fcnt_up: the end of what is reserved."""
    data = pack(session, fcnt_up)
    record = struct.pack(_HEAD, store.owner, store.join_nonce, len(data)) + data
    if other is not None:
        record += pack(other, other.fcnt_up)
    files.replace(_NAME, seal(_VERSION, record))


def read(store, files, region):
    """(session in use, the other one or None); (None, None) without a usable record of the store's owner.

    The JoinNonce is the store's then: the power may have gone before the nonces record had it.
    """
    record = files.read(_NAME)
    if record is None:
        return None, None
    try:
        record = unseal(_VERSION, record)
    except RecordError:
        return None, None  # joining again repairs it
    owner, join_nonce, length = struct.unpack(_HEAD, record[:_HEAD_BYTES])
    if owner != store.owner:
        return None, None
    store.join_nonce = join_nonce
    rest = record[_HEAD_BYTES + length :]
    session = unpack(region, record[_HEAD_BYTES : _HEAD_BYTES + length])
    return session, unpack(region, rest) if rest else None


def pack(session, fcnt_up):
    """The session as bytes, with `fcnt_up` (the end of what is reserved) in place of the live counter."""
    channels = session.channels
    data = struct.pack(
        _FORMAT,
        session.address,
        session.nwk_s_key,
        session.app_s_key,
        fcnt_up,
        session.fcnt_down + 1,
        session.data_rate,
        session.air_rate,
        session.tx_power,
        session.nb_trans,
        session.rx1_offset << 4 | session.rx2_data_rate,
        session.rx_delay,
        session.rx2_frequency,
        session.max_duty,
        session.adr_ack_count,
        channels.mask,
        session.ack_due,
        len(session.answers),
    )
    data += session.answers
    for i, frequency in enumerate(channels.frequencies):
        if frequency:
            data += struct.pack(
                _CHANNEL, i, frequency, channels.downlinks[i], channels.lowest[i], channels.highest[i]
            )
    return data


def unpack(region, data):
    """The Session that `pack` wrote for this region."""
    size = struct.calcsize(_FORMAT)
    fields = struct.unpack(_FORMAT, data[:size])
    session = Session(region, fields[0], fields[1], fields[2])
    session.fcnt_up, session.fcnt_down = fields[3], fields[4] - 1
    session.data_rate, session.air_rate, session.tx_power, session.nb_trans = fields[5:9]
    session.rx1_offset, session.rx2_data_rate = fields[9] >> 4, fields[9] & 0x0F
    session.rx_delay, session.rx2_frequency, session.max_duty, session.adr_ack_count = fields[10:14]
    session.ack_due = bool(fields[15])
    start = size + fields[16]
    session.answers = data[size:start]
    channels = session.channels
    for i in range(region.MAX_CHANNELS):
        channels.remove(i)
    step = struct.calcsize(_CHANNEL)
    for at in range(start, len(data), step):
        i, frequency, downlink, lowest, highest = struct.unpack(_CHANNEL, data[at : at + step])
        channels.define(i, frequency, lowest, highest)
        channels.downlinks[i] = downlink
    channels.mask = fields[14]
    return session
