"""What the MAC asks for, one operation at a time, and what a transaction ended with."""


class Wait:
    """Nothing to do before `until` (ms of uptime); then ask with `Mac.proceed`."""

    def __init__(self, until):
        self.until = until


class Transmit:
    """Send `payload` now. Hz, dBm at the connector, microseconds on air; then `Mac.transmitted`."""

    def __init__(self, frequency, sf, bandwidth, power, payload, airtime_us):
        self.frequency = frequency
        self.sf = sf
        self.bandwidth = bandwidth
        self.power = power
        self.payload = payload
        self.airtime_us = airtime_us


class Listen:
    """Open a window `after_us` after the end of the transmission, for `symbols`; then `Mac.heard`."""

    def __init__(self, after_us, frequency, sf, bandwidth, symbols):
        self.after_us = after_us
        self.frequency = frequency
        self.sf = sf
        self.bandwidth = bandwidth
        self.symbols = symbols


class Done:
    """The end of a transaction: both windows are over.

    sent: False when MAC commands went first because the payload did not fit beside them: ask again. joined: a join
    accept was taken. heard: a valid downlink came. acknowledged: it carried the ACK. port and payload: application
    data, port None without. pending: the network has more to send. ack_due: what came wants an acknowledgement, which
    the next uplink carries. time: (GPS seconds, 1/256 s) at the end of the last transmission, right to within
    time_error_ms, or None. link_check: (margin dB, gateways) or None.
    """

    sent = True
    joined = heard = acknowledged = pending = ack_due = False
    port = None
    payload = b""
    time = link_check = None
    time_error_ms = 0
