"""A board's antenna: what its radio chip sends and hears goes through the virtual air."""

from __future__ import annotations

from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.air_frames import Receiver
from zaehlwerk_tools.simulator.chips.antenna import Hears, Listening, LoRa

NOISE_DBM = -117.0
"""Thermal noise of a receiver with 125 kHz and a noise figure of 6 dB."""


class BoardAntenna:
    """The `Antenna` of board `number`."""

    def __init__(self, air: Air, number: int) -> None:
        self._air = air
        self._number = number
        self._carrier: tuple[int, int] | None = None  # (since ns, Hz)
        self._receiver: Receiver | None = None

    def transmit(self, start_ns: int, lora: LoRa, power_dbm: float, payload: bytes) -> int:
        """See `Antenna`."""
        return self._air.transmit(self._number, start_ns, lora, power_dbm, payload)

    def stop_transmit(self, at_ns: int) -> None:
        """See `Antenna`."""
        if self._carrier is not None:
            since_ns, frequency = self._carrier
            self._carrier = None
            self._air.duty_cycle.add(f"board {self._number}", frequency, at_ns, at_ns - since_ns)
        else:
            self._air.abort(self._number, at_ns)

    def carrier(self, start_ns: int, frequency: int, power_dbm: float) -> None:
        """See `Antenna`. It counts for the duty cycle and disturbs nobody."""
        self._carrier = (start_ns, frequency)

    def listen(self, open_ns: int, lora: LoRa, hears: Hears) -> Listening:
        """See `Antenna`."""
        self._receiver = self._air.listen(self._number, open_ns, lora, hears)
        return _Open(self._air, self._receiver)

    def noise_dbm(self, at_ns: int, frequency: int) -> float:
        """See `Antenna`."""
        return NOISE_DBM

    def quiet_until(self) -> int | None:
        """Until then, ns, the open receiver is told nothing; None: none is open."""
        if self._receiver is None or self._receiver.closed:
            return None
        return self._air.quiet_until(self._receiver)


class _Open:
    """An open receiver on the virtual air."""

    def __init__(self, air: Air, receiver: Receiver) -> None:
        self._air = air
        self._receiver = receiver

    def close(self, at_ns: int) -> None:
        self._air.close(self._receiver)
