"""An antenna for the SX1276's tests: it remembers what the chip did and lets the test be the world."""

from __future__ import annotations

from dataclasses import dataclass

from zaehlwerk_tools.simulator.chips.antenna import Hears, LoRa, Reception


@dataclass
class Sent:
    """A transmission; `end_ns` moves when it is stopped."""

    start_ns: int
    lora: LoRa
    power_dbm: float
    payload: bytes
    end_ns: int
    stopped: bool = False


@dataclass
class Carrier:
    start_ns: int
    frequency: int
    power_dbm: float
    end_ns: int | None = None


@dataclass
class Window:
    """An open receiver."""

    open_ns: int
    lora: LoRa
    hears: Hears
    closed_ns: int | None = None

    def close(self, at_ns: int) -> None:
        if self.closed_ns is None:
            self.closed_ns = at_ns


class FakeAntenna:
    """Every frame takes `airtime_ns`."""

    def __init__(self, airtime_ns: int = 50_000_000, noise_dbm: float = -110.0) -> None:
        self.airtime_ns = airtime_ns
        self.noise = noise_dbm
        self.sent: list[Sent] = []
        self.carriers: list[Carrier] = []
        self.windows: list[Window] = []
        self.stops: list[int] = []

    def transmit(self, start_ns: int, lora: LoRa, power_dbm: float, payload: bytes) -> int:
        end_ns = start_ns + self.airtime_ns
        self.sent.append(Sent(start_ns, lora, power_dbm, payload, end_ns))
        return end_ns

    def stop_transmit(self, at_ns: int) -> None:
        self.stops.append(at_ns)
        last: Sent | Carrier = self.sent[-1] if self.sent else self.carriers[-1]
        last.end_ns = at_ns
        if isinstance(last, Sent):
            last.stopped = True

    def carrier(self, start_ns: int, frequency: int, power_dbm: float) -> None:
        self.carriers.append(Carrier(start_ns, frequency, power_dbm))

    def listen(self, open_ns: int, lora: LoRa, hears: Hears) -> Window:
        assert all(window.closed_ns is not None for window in self.windows), "two receivers at a time"
        self.windows.append(Window(open_ns, lora, hears))
        return self.windows[-1]

    def noise_dbm(self, at_ns: int, frequency: int) -> float:
        return self.noise


def received(
    payload: bytes, *, rssi: int = -80, snr: float = 9.0, crc: bool = True, crc_ok: bool = True
) -> Reception:
    return Reception(payload, rssi, snr, crc, crc_ok)
