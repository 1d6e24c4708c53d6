"""EU868 as data: RP002-1.0.4 section 2.4 and, for duty cycles, ETSI EN 300 220-2 annex B.

Another region is another module with the same names.
"""

from micropython import const

NAME = "EU868"

# DR -> (spreading factor, bandwidth in Hz). DR6 (SF7/250) and DR7 (FSK) are optional and not declared.
DATA_RATES = ((12, 125000), (11, 125000), (10, 125000), (9, 125000), (8, 125000), (7, 125000))
# DR -> N, the largest FRMPayload without FOpts, repeater-less (table 9).
MAX_PAYLOAD = (51, 51, 51, 115, 242, 242)

# (frequency in Hz, lowest DR, highest DR): the channels that every device has.
DEFAULT_CHANNELS = ((868100000, 0, 5), (868300000, 0, 5), (868500000, 0, 5))
MAX_CHANNELS = const(16)
CF_LIST_CHANNELS = const(5)

RX2_FREQUENCY = const(869525000)
RX2_DATA_RATE = const(0)
MAX_RX1_OFFSET = const(5)

# TXPower 0 is the highest EIRP in dBm, each step takes 2 dB away.
MAX_EIRP = const(16)
MAX_TX_POWER = const(7)

JOIN_ACCEPT_DELAY1_S = const(5)
JOIN_ACCEPT_DELAY2_S = const(6)

# The longest airtime: 64 bytes at SF12 (MAX_PAYLOAD and what is around it), rounded up.
LONGEST_MS = const(2794)

# (first Hz, last Hz, share of time as 1/n). What lies outside may not be sent on.
SUB_BANDS = (
    (863000000, 865000000, 1000),
    (865000000, 868000000, 100),
    (868000000, 868600000, 100),
    (868700000, 869200000, 1000),
    (869400000, 869650000, 10),
    (869700000, 870000000, 100),
)
