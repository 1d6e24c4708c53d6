"""Whole conversations, in the order in which widely used drivers have them with a real SX1262."""

from __future__ import annotations

from tools.tests.chips.sx1262_antenna import FRAME_NS
from tools.tests.chips.sx1262_driver import (
    ALL_IRQS,
    CALIBRATE,
    CALIBRATE_IMAGE,
    CLEAR_DEVICE_ERRORS,
    CLEAR_IRQ_STATUS,
    GET_STATUS,
    MS,
    RX_DONE,
    SET_BUFFER_BASE,
    SET_CAD_PARAMS,
    SET_DIO2,
    SET_DIO3,
    SET_FALLBACK,
    SET_PA_CONFIG,
    SET_PACKET,
    SET_PACKET_TYPE,
    SET_REGULATOR_MODE,
    SET_SLEEP,
    SET_STANDBY,
    SET_SYMBOLS,
    SET_TX_PARAMS,
    STANDBY_RC,
    STOP_TIMER_ON_PREAMBLE,
    TCXO_1V8,
    TIMEOUT,
    TX_DONE,
    Driver,
)

NOP = 0x00
RANDOM_NUMBERS = "SetRx without SetModulationParams (14.2, 14.3)"


def reset(driver: Driver, low_ns: int) -> None:
    driver.chip.reset(driver.now, 0)
    driver.wait(low_ns)
    driver.chip.reset(driver.now, 1)


class LoRaMacNode(Driver):
    """The order of LoRaMac-node 4.7 on a board with a TCXO: sleeps between whatever it does."""

    def init(self) -> None:
        reset(self, 20 * MS)
        self.wait(10 * MS)
        self.command(GET_STATUS, 0)
        self.command(SET_STANDBY, 0)
        self.command(SET_DIO3, TCXO_1V8, 0x00, 0x01, 0x40)
        self.command(CALIBRATE, 0x7F)
        self.command(SET_DIO2, 1)
        self.command(SET_STANDBY, 0)
        self.command(SET_REGULATOR_MODE, 1)
        self.command(SET_BUFFER_BASE, 0, 0)
        self._power(0)
        self.interrupts(ALL_IRQS, ALL_IRQS)
        self.command(0x0D, 0x02, 0x9F, 2, 0x08, 0xAC, 0x08, 0x89, 0, 0, 0, 0)
        self._sleep()

    def random(self) -> bytes:
        self._wake()
        self.command(SET_PACKET_TYPE, 1)
        self.interrupts(0)
        self.receive(0xFFFFFF)
        number = self.read(0x0819, 4)
        self.command(SET_STANDBY, 0)
        return number

    def public_network(self) -> None:
        self.command(SET_PACKET_TYPE, 1)
        self.write(0x0740, 0x34)
        self.write(0x0741, 0x44)
        self._sleep()

    def uplink(self, payload: bytes) -> None:
        self._wake()
        self.command(CALIBRATE_IMAGE, 0xD7, 0xDB)
        self.frequency(868_100_000)
        self.command(SET_STANDBY, 0)
        self.command(SET_PACKET_TYPE, 1)
        self.modulate(sf=7)
        self.packet(255, workaround=False)
        self.write(0x0889, self.read(0x0889)[0] | 0x04)
        self._power(14)
        self.interrupts(TX_DONE | TIMEOUT, TX_DONE | TIMEOUT)
        self.packet(len(payload), workaround=False)
        self.fill(0, payload)
        self.send()

    def window(self, symbols: int = 6) -> None:
        self._wake()
        self.frequency(868_100_000)
        self.command(STOP_TIMER_ON_PREAMBLE, 0)
        self.command(SET_STANDBY, 0)
        self.command(SET_PACKET_TYPE, 1)
        self.modulate(sf=7)
        self.command(SET_PACKET, 0, 8, 0, 255, 0, 1)
        self.command(SET_SYMBOLS, symbols)
        self.write(0x0706, symbols >> 1 << 3)
        self.write(0x0736, self.read(0x0736)[0] & ~0x04)
        self.interrupts(ALL_IRQS, ALL_IRQS)
        self.write(0x08AC, 0x94)
        self.receive(0xFFFF << 6)

    def event(self) -> int:
        """What RadioIrqProcess finds, and sleep."""
        flags = self.irqs
        self.command(CLEAR_IRQ_STATUS, *flags.to_bytes(2, "big"))
        self._sleep()
        return flags

    def _power(self, dbm: int) -> None:
        self.write(0x08D8, self.read(0x08D8)[0] | 0x1E)
        self.command(SET_PA_CONFIG, 4, 7, 0, 1)
        self.command(SET_TX_PARAMS, dbm, 0x02)

    def _sleep(self) -> None:
        self.command(SET_SLEEP, 0x04)
        self.wait(2 * MS)

    def _wake(self) -> None:
        self.spi([GET_STATUS, 0])


def test_loramac_node_sends_and_hears_its_downlink() -> None:
    driver = LoRaMacNode()
    driver.init()
    assert len(driver.random()) == 4
    driver.public_network()
    driver.uplink(b"uplink")
    driver.until_ready()
    driver.wait(FRAME_NS)
    assert driver.dio1 == 1
    assert driver.event() == TX_DONE
    driver.wait(900 * MS)
    driver.window()
    driver.antenna.window.hears.preamble(driver.now + 5 * MS)
    driver.antenna.window.hears.header(driver.now + 12 * MS)
    driver.antenna.hear(driver.now + 45 * MS, b"downlink")
    driver.wait(45 * MS)
    assert driver.event() & (RX_DONE | TIMEOUT) == RX_DONE
    sent, lora = driver.antenna.sent[0].lora, driver.antenna.window.lora
    assert sent is not None
    assert (sent.inverted, sent.sync_word, sent.crc) == (False, 0x34, True)
    assert (lora.inverted, lora.sync_word) == (True, 0x34)
    assert driver.complaints == [RANDOM_NUMBERS]


def test_loramac_nodes_silent_window_ends_after_its_symbols() -> None:
    driver = LoRaMacNode()
    driver.init()
    driver.random()
    driver.public_network()
    driver.uplink(b"uplink")
    driver.until_ready()
    driver.wait(FRAME_NS)
    driver.event()
    driver.window(symbols=8)
    opened = driver.now
    driver.until_next_change()
    assert driver.now == opened + 8 * 1_024_000
    assert driver.event() == TIMEOUT


class RadioLib(Driver):
    """The order of RadioLib 7: always back to STDBY_RC, first with a NOP that would wake a sleeper."""

    def begin(self) -> None:
        reset(self, MS)
        self._standby()
        assert self.read(0x0320, 16) == b"SX1261 V2D 2D02\0"
        self._standby()
        if self.errors:
            self.command(CLEAR_DEVICE_ERRORS, 0, 0)
        self.command(SET_DIO3, TCXO_1V8, 0x00, 0x01, 0x40)
        self.command(SET_BUFFER_BASE, 0, 0)
        self.command(SET_PACKET_TYPE, 1)
        self.command(SET_FALLBACK, 0x20)
        self.command(SET_CAD_PARAMS, 3, 0x16, 0x0A, 0, 0, 0, 0)
        self.command(CLEAR_IRQ_STATUS, 0x43, 0xFF)
        self.interrupts(0)
        self.command(CALIBRATE, 0x7F)
        self.wait(5 * MS)
        self.command(SET_REGULATOR_MODE, 1)
        self.modulate(sf=9, bandwidth=6, coding_rate=3)
        self.write(0x0740, 0x34, 0x44)
        self._packet(0xFF)
        self.write(0x08E7, 24)
        self.command(SET_DIO2, 1)
        self.modulate(sf=9, bandwidth=4, coding_rate=1)
        self.command(CALIBRATE_IMAGE, 0xD7, 0xDB)
        self.frequency(868_100_000)
        self.write(0x08D8, self.read(0x08D8)[0] | 0x1E)
        limit = self.read(0x08E7)
        self.command(SET_PA_CONFIG, 2, 2, 0, 1)
        self.command(SET_TX_PARAMS, 11, 0x04)
        self.write(0x08E7, *limit)

    def transmit(self, payload: bytes) -> None:
        self._standby()
        self._packet(len(payload))
        self.interrupts(TX_DONE | TIMEOUT, TX_DONE)
        self.command(SET_BUFFER_BASE, 0, 0)
        self.fill(0, payload)
        self.command(CLEAR_IRQ_STATUS, 0x43, 0xFF)
        self.write(0x0889, self.read(0x0889)[0] | 0x04)
        self.send()
        assert self.command(GET_STATUS, 0)[1] >> 1 & 7 not in (3, 4, 5)

    def listen(self, timeout: int) -> None:
        self._standby()
        self.interrupts(RX_DONE | TIMEOUT, RX_DONE | TIMEOUT)
        self.command(SET_BUFFER_BASE, 0, 0)
        self.command(CLEAR_IRQ_STATUS, 0x43, 0xFF)
        self._packet(0xFF)
        self.receive(timeout)

    def sleep(self) -> None:
        self._standby()
        self.command(SET_SLEEP, 0x04)
        self.wait(MS)

    def _standby(self) -> None:
        if self.chip.lines(self.now)["busy"] and self.slept:
            self.spi([NOP])
        else:
            self.command(NOP)
        self.slept = False
        self.command(SET_STANDBY, 0)
        assert self.command(GET_STATUS, 0)[1] >> 4 & 7 == STANDBY_RC

    def _packet(self, length: int) -> None:
        self.write(0x0736, self.read(0x0736)[0] | 0x04)
        self.packet(length, workaround=False)

    slept = False


def test_radiolib_sends_receives_sleeps_and_sends_again() -> None:
    driver = RadioLib()
    driver.begin()
    driver.transmit(b"first")
    driver.until_ready()
    driver.wait(FRAME_NS)
    assert driver.dio1 == 1
    driver.listen(0x0FFFFF)
    driver.antenna.hear(driver.now + 60 * MS, b"answer")
    driver.wait(60 * MS)
    assert driver.dio1 == 1
    assert driver.read_buffer(0, 6) == b"answer"
    driver.sleep()
    driver.slept = True
    driver.wait(1_000 * MS)
    driver.transmit(b"other")
    driver.until_ready()
    driver.wait(FRAME_NS)
    assert [sent.payload for sent in driver.antenna.sent] == [b"first", b"other"]
    assert driver.complaints == []


def test_radiolib_finds_out_that_the_oscillator_does_not_run() -> None:
    driver = RadioLib(tcxo_mv=3000)
    driver.begin()
    assert driver.errors & 1 << 5
