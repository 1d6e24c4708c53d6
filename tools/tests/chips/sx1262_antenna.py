"""An antenna whose air is the test."""

from __future__ import annotations

from dataclasses import dataclass, field

from zaehlwerk_tools.simulator.chips.antenna import Hears, LoRa, Reception

FRAME_NS = 50_000_000
"""Every frame takes this long."""
NOISE_DBM = -117.0


@dataclass
class Sent:
    """A transmission, or with `lora` None a carrier at `frequency`."""

    start_ns: int
    power_dbm: float
    lora: LoRa | None = None
    payload: bytes = b""
    frequency: int = 0
    stopped_ns: int | None = None


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


@dataclass
class TestAntenna:
    """Keeps what the chip does; the test says what it hears by `hears` of the last window."""

    __test__ = False
    sent: list[Sent] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def transmit(self, start_ns: int, lora: LoRa, power_dbm: float, payload: bytes) -> int:
        self.sent.append(Sent(start_ns, power_dbm, lora, payload))
        return start_ns + FRAME_NS

    def stop_transmit(self, at_ns: int) -> None:
        self.sent[-1].stopped_ns = at_ns

    def carrier(self, start_ns: int, frequency: int, power_dbm: float) -> None:
        self.sent.append(Sent(start_ns, power_dbm, frequency=frequency))

    def listen(self, open_ns: int, lora: LoRa, hears: Hears) -> Window:
        self.windows.append(Window(open_ns, lora, hears))
        return self.windows[-1]

    def noise_dbm(self, at_ns: int, frequency: int) -> float:
        return NOISE_DBM

    @property
    def window(self) -> Window:
        """The last one that was opened."""
        return self.windows[-1]

    def hear(self, at_ns: int, payload: bytes, **reception: object) -> None:
        """A whole frame is heard that ends at `at_ns`: its preamble 30 ms before, its header 20 ms before."""
        got = {"rssi": -80, "snr": 7.0, "crc": False, "crc_ok": False, **reception}
        hears = self.window.hears
        hears.preamble(at_ns - 30_000_000)
        hears.header(at_ns - 20_000_000)
        hears.frame(at_ns, Reception(payload, **got))  # type: ignore[arg-type]
