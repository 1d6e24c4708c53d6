"""MAC commands of a Class A device (LoRaWAN 1.0.4 chapter 5): read, obeyed, answered. Loaded when a downlink has some.

Each request changes the session as a whole or not at all. Answers are bytes with their command identifier.
"""

from micropython import const

from lorawan.region import sub_band
from lorawan.session import fitting

LINK_CHECK = const(0x02)
LINK_ADR = const(0x03)
DUTY_CYCLE = const(0x04)
RX_PARAM_SETUP = const(0x05)
DEV_STATUS = const(0x06)
NEW_CHANNEL = const(0x07)
RX_TIMING_SETUP = const(0x08)
TX_PARAM_SETUP = const(0x09)
DL_CHANNEL = const(0x0A)
DEVICE_TIME = const(0x0D)

# Bytes after the identifier of what the network may send.
_LENGTHS = {
    LINK_CHECK: 2,
    LINK_ADR: 4,
    DUTY_CYCLE: 1,
    RX_PARAM_SETUP: 4,
    DEV_STATUS: 0,
    NEW_CHANNEL: 5,
    RX_TIMING_SETUP: 1,
    TX_PARAM_SETUP: 1,
    DL_CHANNEL: 4,
    DEVICE_TIME: 5,
}
# In DataRate, TXPower and RX2DataRate: what is in force stays.
_KEEP = const(0xF)


def split(data):
    """[(identifier, argument bytes)] up to the first unknown or cut-off command, which ends the list."""
    commands = []
    at = 0
    while at < len(data):
        length = _LENGTHS.get(data[at])
        if length is None or at + 1 + length > len(data):
            break
        commands.append((data[at], data[at + 1 : at + 1 + length]))
        at += 1 + length
    return commands


def obey(session, data, snr, battery, adr, done):
    """Carry the commands in `data` out on `session`; its `answers` are those to send, cut to what a frame can hold.

    snr in dB of this downlink; battery() gives 0 external, 1..254, 255 unknown (DevStatusAns); adr: whether the
    network may set data rate, power and copies. What it tells - link margin, time - goes into `done`.
    """
    answers = b""
    commands = split(data)
    i = 0
    while i < len(commands):
        command, argument = commands[i]
        i += 1
        if command == LINK_ADR:
            # A contiguous block is one request with several parts (section 5.2).
            block = [argument]
            while i < len(commands) and commands[i][0] == LINK_ADR:
                block.append(commands[i][1])
                i += 1
            answers += bytes([LINK_ADR, _link_adr(session, block, adr)]) * len(block)
        elif command == LINK_CHECK:
            done.link_check = (argument[0], argument[1])
        elif command == DEVICE_TIME:
            done.time = (int.from_bytes(argument[:4], "little"), argument[4])
        elif command == DEV_STATUS:
            margin = max(-32, min(31, int(snr))) & 0x3F
            answers += bytes([DEV_STATUS, battery() if battery else 255, margin])
        elif command == DUTY_CYCLE:
            session.max_duty = argument[0] & 0x0F
            answers += bytes([DUTY_CYCLE])
        elif command == NEW_CHANNEL:
            answers += bytes([NEW_CHANNEL, _new_channel(session, argument)])
        elif command == RX_PARAM_SETUP:
            answers += bytes([RX_PARAM_SETUP, _rx_param_setup(session, argument)])
        elif command == RX_TIMING_SETUP:
            session.rx_delay = argument[0] & 0x0F or 1
            answers += bytes([RX_TIMING_SETUP])
        elif command == DL_CHANNEL:
            answers += bytes([DL_CHANNEL, _dl_channel(session, argument)])
        # TXParamSetupReq does not exist in EU868: dropped without an answer (RP002-1.0.4 section 2.4.3).
    session.answers = fitting(answers, max(session.region.MAX_PAYLOAD))


def _frequency(session, data):
    """(Hz, whether it lies in a sub-band) of the three bytes that begin `data`."""
    frequency = int.from_bytes(data[:3], "little") * 100
    return frequency, sub_band(session.region, frequency) is not None


def _link_adr(session, block, adr):
    """Status byte: bit 0 channel mask, bit 1 data rate, bit 2 power; applied only if all are set.

    Without ADR only the mask is the network's; data rate and power are said to be refused unless they are in force.
    """
    channels = session.channels
    mask, mask_ok = channels.mask, True
    defined = sum(1 << i for i, frequency in enumerate(channels.frequencies) if frequency)
    for argument in block:
        control = argument[3] >> 4 & 0x07
        if control == 0:
            mask = argument[1] | argument[2] << 8
        elif control == 6:
            mask = defined
        else:
            mask_ok = False
    last = block[-1]
    data_rate, tx_power = last[0] >> 4, last[0] & 0x0F
    data_rate = session.data_rate if data_rate == _KEEP else data_rate
    tx_power = session.tx_power if tx_power == _KEEP else tx_power
    mask_ok = mask_ok and mask != 0 and not mask & ~defined
    if not adr:
        mask_ok = mask_ok and bool(channels.usable(mask, session.data_rate))
        if mask_ok:
            channels.mask = mask
        return mask_ok | (data_rate == session.data_rate) << 1 | (tx_power == session.tx_power) << 2
    rate_ok = data_rate < len(session.region.DATA_RATES) and (
        not mask_ok or bool(channels.usable(mask, data_rate))
    )
    power_ok = tx_power <= session.region.MAX_TX_POWER
    if mask_ok and rate_ok and power_ok:
        channels.mask = mask
        session.data_rate = data_rate
        session.tx_power = tx_power
        session.nb_trans = last[3] & 0x0F or 1
    return mask_ok | rate_ok << 1 | power_ok << 2


def _new_channel(session, argument):
    """Status byte: bit 0 frequency, bit 1 data rates. Frequency 0 removes the channel (section 5.6)."""
    index = argument[0]
    frequency, known = _frequency(session, argument[1:])
    lowest, highest = argument[4] & 0x0F, argument[4] >> 4
    channels = session.channels
    if not len(session.region.DEFAULT_CHANNELS) <= index < session.region.MAX_CHANNELS:
        return 0
    if not frequency:
        # Not the last one that is enabled.
        if not channels.mask & ~(1 << index):
            return 0
        channels.remove(index)
        return 3
    rate_ok = lowest <= highest < len(session.region.DATA_RATES)
    if known and rate_ok:
        channels.define(index, frequency, lowest, highest)
    return known | rate_ok << 1


def _dl_channel(session, argument):
    """Status byte: bit 0 frequency, bit 1 uplink channel exists."""
    index = argument[0]
    frequency, known = _frequency(session, argument[1:])
    exists = index < session.region.MAX_CHANNELS and session.channels.frequencies[index] != 0
    if known and exists:
        session.channels.downlinks[index] = frequency
    return known | exists << 1


def _rx_param_setup(session, argument):
    """Status byte: bit 0 RX2 frequency, bit 1 RX2 data rate, bit 2 RX1 offset."""
    offset, data_rate = argument[0] >> 4 & 0x07, argument[0] & 0x0F
    frequency, known = _frequency(session, argument[1:])
    data_rate = session.rx2_data_rate if data_rate == _KEEP else data_rate
    rate_ok = data_rate < len(session.region.DATA_RATES)
    offset_ok = offset <= session.region.MAX_RX1_OFFSET
    if known and rate_ok and offset_ok:
        session.rx1_offset, session.rx2_data_rate = offset, data_rate
        session.rx2_frequency = frequency
    return known | rate_ok << 1 | offset_ok << 2
