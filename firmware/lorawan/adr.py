"""The device's side of adaptive data rate: asking for a sign of life, then stepping down to be heard.

LoRaWAN 1.0.4 section 4.3.1.1.
"""

ACK_LIMIT = 64
ACK_DELAY = 32


def wants_answer(session):
    """Whether the next uplink carries ADRACKReq."""
    return session.adr_ack_count >= ACK_LIMIT


def exhausted(session):
    """Whether every step of the back-off was taken and the network is still silent."""
    return session.adr_ack_count >= ACK_LIMIT + ACK_DELAY and _at_the_end(session)


def count_uplink(session):
    """Count a new uplink (not a repetition) and take a back-off step when one is due; True if one was."""
    if session.adr_ack_count < 0xFFFF:
        session.adr_ack_count += 1
    over = session.adr_ack_count - ACK_LIMIT
    if over < ACK_DELAY or over % ACK_DELAY:
        return False
    if session.tx_power:
        session.tx_power = 0
    elif session.data_rate:
        session.data_rate -= 1
    else:
        session.nb_trans = 1
        session.channels.restore_defaults()
    return True


def heard(session):
    """A downlink of this session came."""
    session.adr_ack_count = 0


def next_data_rate(session):
    """The data rate of the next uplink: one lower when it will be a step of the back-off."""
    over = session.adr_ack_count + 1 - ACK_LIMIT
    steps = over >= ACK_DELAY and over % ACK_DELAY == 0 and session.tx_power == 0 and session.data_rate > 0
    return session.data_rate - 1 if steps else session.data_rate


def _at_the_end(session):
    return session.tx_power == 0 and session.data_rate == 0 and session.nb_trans == 1
