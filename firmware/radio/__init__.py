"""What stands between the LoRaWAN MAC and a radio, whatever chip, modem or simulator it is.

The MAC tells a radio everything it needs with each call; a radio keeps no LoRaWAN state. LoRaWAN's constants
that never change belong to the driver: sync word 0x34, preamble 8 symbols, coding rate 4/5, explicit header,
CRC and normal IQ when sending, no CRC and inverted IQ when receiving (RP002-1.0.4 section 2.4.2).

Times are `time.ticks_us()`. A driver raises `RadioError` with what failed and what to look at; `start` mends
what can be mended. `transceiver.Transceiver` is the radio of a chip on SPI, see docs/radio.md.
"""


class RadioError(Exception):
    """The radio does not do what it should; the text says what failed and what to check."""


class Packet:
    """A received frame: payload (bytes), rssi in dBm, snr in dB, end as ticks_us of the last symbol."""

    def __init__(self, payload, rssi, snr, end):
        self.payload = payload
        self.rssi = rssi
        self.snr = snr
        self.end = end


class Radio:
    """The interface of every radio. Frequencies and bandwidths in Hz, power in dBm at the connector."""

    def start(self):
        """Power the radio up and check that it answers; afterwards it sleeps. Raises RadioError."""
        raise NotImplementedError

    def self_test(self):
        """[(what was tested, whether it is right, detail)]; raises nothing, sends nothing, ends asleep.

        For the technician, while nobody else uses the radio. It ends with the first test that fails.
        """
        raise NotImplementedError

    async def transmit(self, frequency, sf, bandwidth, power, payload):
        """Send `payload` now; ticks_us of the end of the transmission. Cancelling takes it off the air.

        A power that the radio does not have becomes the nearest that it has.
        """
        raise NotImplementedError

    def prepare_receive(self, frequency, sf, bandwidth, symbols):
        """Set everything up for `receive`, oscillator included; it can begin at once, at any time after."""
        raise NotImplementedError

    async def receive(self):
        """Open the prepared window at once; a Packet, or None when no preamble came within its symbols.

        A packet that has begun is received to its end. Cancelling puts the radio to sleep.
        """
        raise NotImplementedError

    def sleep(self):
        """The state of lowest current that keeps the settings, after every transaction. Raises nothing."""
        raise NotImplementedError
