"""What the SX1262 tells about packets: SX1261/2 data sheet rev. 2.1, sections 13.5.2 to 13.5.6."""

from __future__ import annotations

from zaehlwerk_tools.simulator.chips.antenna import Reception


class Reports:
    """The last packet, and the statistics over all."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing was received yet."""
        self._length = self._start = 0
        self._packet_status = bytes(3)
        self.reset_statistics()

    def reset_statistics(self) -> None:
        """ResetStats."""
        self._packets = self._crc_errors = 0
        self.header_errors = 0

    def received(self, reception: Reception, start: int) -> None:
        """A packet is in the buffer from `start` on."""
        self._length, self._start = len(reception.payload), start
        signal = reception.rssi + min(reception.snr, 0.0)  # after despreading, below the noise it was in
        self._packet_status = bytes(
            (rssi_code(reception.rssi), round(reception.snr * 4) & 0xFF, rssi_code(signal))
        )
        self._packets += 1
        self._crc_errors += int(reception.crc and not reception.crc_ok)

    @property
    def buffer_status(self) -> bytes:
        """GetRxBufferStatus: PayloadLengthRx, RxStartBufferPointer."""
        return bytes((self._length, self._start))

    @property
    def packet_status(self) -> bytes:
        """GetPacketStatus of LoRa: RssiPkt, SnrPkt, SignalRssiPkt."""
        return self._packet_status

    @property
    def statistics(self) -> bytes:
        """GetStats of LoRa: NbPktReceived, NbPktCrcError, NbPktHeaderErr."""
        counts = (self._packets, self._crc_errors, self.header_errors)
        return b"".join((count & 0xFFFF).to_bytes(2, "big") for count in counts)


def rssi_code(dbm: float) -> int:
    """A power in dBm as the chip tells it: -2 * dBm (section 13.5.3)."""
    return min(max(round(-2 * dbm), 0), 0xFF)
