"""The device's side of adaptive data rate: asking for a sign of life, then stepping down to be heard.

LoRaWAN 1.0.4 section 4.3.1.1, table 9: the steps come at fixed counts, whether or not one has anything to change.
"""

from micropython import const

ACK_LIMIT = const(64)
ACK_DELAY = const(32)


def count_uplink(session):
    """Count a new uplink (not a repetition) and take a back-off step when one is due; True if one was."""
    if session.adr_ack_count < 0xFFFF:
        session.adr_ack_count += 1
    over = session.adr_ack_count - ACK_LIMIT
    if over < ACK_DELAY or over % ACK_DELAY:
        return False
    if over == ACK_DELAY:
        session.tx_power = 0
    elif session.data_rate:
        session.data_rate -= 1
    else:
        session.nb_trans = 1
        session.channels.restore_defaults()
    return True


def next_data_rate(session):
    """The data rate of the next uplink: one lower when it will be a step of the back-off."""
    over = session.adr_ack_count + 1 - ACK_LIMIT
    return session.data_rate - (over > ACK_DELAY and over % ACK_DELAY == 0 and session.data_rate > 0)
