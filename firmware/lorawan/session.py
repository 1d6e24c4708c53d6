"""What a device and its network agreed on: keys, counters, channels and parameters, as one record."""

import struct

from lorawan.channels import Channels

_FORMAT = "<I16s16s3sIiBBBBBBIBHHB"
_CHANNEL = "<BIIBB"


class Session:
    """State of an activation.

    fcnt_up: next counter to use; fcnt_down: last one taken, -1 before the first. rx_delay in seconds,
    max_duty is the exponent n of DutyCycleReq (0: no limit by the network), ack_due says that a confirmed
    downlink waits for its acknowledgement. `sticky` are answers repeated until a downlink comes.
    """

    def __init__(self, region, address, nwk_s_key, app_s_key, join_nonce):
        self.region = region
        self.address = address
        self.nwk_s_key = nwk_s_key
        self.app_s_key = app_s_key
        self.join_nonce = join_nonce
        self.fcnt_up = 0
        self.fcnt_down = -1
        self.data_rate = 0
        self.tx_power = 0
        self.nb_trans = 1
        self.rx1_offset = 0
        self.rx2_data_rate = region.RX2_DATA_RATE
        self.rx2_frequency = region.RX2_FREQUENCY
        self.rx_delay = 1
        self.max_duty = 0
        self.adr_ack_count = 0
        self.ack_due = False
        self.sticky = []
        self.channels = Channels(region)

    def __repr__(self):
        return "Session(address=%08x, fcnt_up=%d, fcnt_down=%d)" % (
            self.address,
            self.fcnt_up,
            self.fcnt_down,
        )


def pack(session, fcnt_up):
    """The session as bytes, with `fcnt_up` (the end of the reserved block) in place of the live counter."""
    channels = session.channels
    data = struct.pack(
        _FORMAT,
        session.address,
        session.nwk_s_key,
        session.app_s_key,
        session.join_nonce,
        fcnt_up,
        session.fcnt_down,
        session.data_rate,
        session.tx_power,
        session.nb_trans,
        session.rx1_offset,
        session.rx2_data_rate,
        session.rx_delay,
        session.rx2_frequency,
        session.max_duty,
        session.adr_ack_count,
        channels.mask,
        session.ack_due,
    )
    sticky = b"".join(session.sticky)
    data += bytes([len(sticky)]) + sticky
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
    session = Session(region, fields[0], fields[1], fields[2], fields[3])
    session.fcnt_up, session.fcnt_down = fields[4], fields[5]
    session.data_rate, session.tx_power, session.nb_trans = fields[6], fields[7], fields[8]
    session.rx1_offset, session.rx2_data_rate, session.rx_delay = fields[9], fields[10], fields[11]
    session.rx2_frequency, session.max_duty, session.adr_ack_count = fields[12], fields[13], fields[14]
    session.ack_due = bool(fields[16])
    start = size + 1 + data[size]
    if start > size + 1:
        session.sticky = [data[size + 1 : start]]
    channels = session.channels
    for i in range(region.MAX_CHANNELS):
        channels.remove(i)
    step = struct.calcsize(_CHANNEL)
    for at in range(start, len(data), step):
        i, frequency, downlink, lowest, highest = struct.unpack(_CHANNEL, data[at : at + step])
        channels.define(i, frequency, lowest, highest)
        channels.downlinks[i] = downlink
    channels.mask = fields[15]
    return session
