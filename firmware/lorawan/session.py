"""What a device and its network agreed on: keys, counters, channels and parameters. `session_record` stores it."""

from micropython import const

from lorawan.channels import Channels

# A session ends before its 32-bit counter does; the last block could not be reserved any more.
FCNT_UP_END = const(0xFFFFFBC0)

# Bytes of an answer or request with its identifier, by identifier (LoRaWAN 1.0.4 chapter 5).
_LENGTHS = b"\0\0\1\2\1\2\3\2\1\0\2\0\0\1"
# RXParamSetupAns, RXTimingSetupAns and DlChannelAns are repeated until a downlink shows that the network knows.
_STICKY = b"\x05\x08\x0a"


class Session:
    """State of an activation.

    fcnt_up: next counter to use; fcnt_down: last one taken, -1 before the first - the network has not been heard
    under this session yet. rx_delay in seconds, max_duty is the exponent n of DutyCycleReq (0: no limit by the
    network), ack_due says that a confirmed downlink waits for its acknowledgement. answers: MAC answers for the
    next uplink, in the order of the commands. air_rate: data rate of the last frame that was sent.
    """

    fcnt_up = 0
    fcnt_down = -1
    tx_power = 0
    nb_trans = 1
    rx1_offset = 0
    rx_delay = 1
    max_duty = 0
    adr_ack_count = 0
    ack_due = False
    answers = b""

    def __init__(self, region, address, nwk_s_key, app_s_key, data_rate=0):
        self.region = region
        self.address = address
        self.nwk_s_key = nwk_s_key
        self.app_s_key = app_s_key
        self.data_rate = self.air_rate = data_rate
        self.rx2_data_rate = region.RX2_DATA_RATE
        self.rx2_frequency = region.RX2_FREQUENCY
        self.channels = Channels(region)


def fitting(commands, limit):
    """The whole MAC commands at the beginning of `commands` that fit into `limit` bytes."""
    end = 0
    while end < len(commands) and end + _LENGTHS[commands[end]] <= limit:
        end += _LENGTHS[commands[end]]
    return commands[:end]


def sticky(answers):
    """Those of `answers` that are repeated until a downlink comes (LoRaWAN 1.0.4 sections 5.4, 5.6, 5.7)."""
    kept, at = b"", 0
    while at < len(answers):
        end = at + _LENGTHS[answers[at]]
        if answers[at] in _STICKY:
            kept += answers[at:end]
        at = end
    return kept
