"""An SX1276 in software: supply, reset, SPI and DIO pins; its LoRa modem on an antenna.

After the SX1276/77/78/79 data sheet rev. 7 and the errata note for SX1276/77/78 rev. 1. Where the data sheet is silent:

- LongRangeMode, which the data sheet lets change in sleep only: a write that goes from the FSK modem to sleep sets it all
  the same, and one that goes from the LoRa modem to sleep does not clear it; RadioHead's RH_RF95 has relied on both for
  years. A write that leaves sleep leaves it alone, as a logic analyser saw for users of Lora-net/SWL2001. All but a write
  in sleep are noted. LowFrequencyModeOn reads 0 after the change (seen by users of RadioLib).
- Receivers need 32 chips of the bandwidth after the PLL has locked (from the duration of a CAD).
- After a signal that was locked on and lost, RXSINGLE searches for what is left of its time, and ends at once if none is.
- An image calibration is never demanded: the one after power-on is for 434 MHz, but only image rejection depends on it.

Not modelled: frequency hopping, packets of the FSK modem (it sends a carrier and hears nothing), and what CAD would see
in the one symbol it listens: it detects what the antenna calls a preamble within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from zaehlwerk_tools.simulator.chips import sx1276_modem as modem
from zaehlwerk_tools.simulator.chips import sx1276_registers as reg
from zaehlwerk_tools.simulator.chips.antenna import Antenna, Listening, Reception
from zaehlwerk_tools.simulator.chips.chip import FOREVER, Chip, Violation
from zaehlwerk_tools.simulator.chips.sx1276_modem import Modem
from zaehlwerk_tools.simulator.chips.sx1276_phases import Consumption, Phases

WRONG_PIN_DB: Final = 30.0
"""What still leaves a board whose antenna is on the other pin, below what the chip sends."""

_TEMPERATURE: Final = 0xE7  # 25 °C of an uncalibrated sensor, 1 °C a step downwards (section 5.5.7)
_SLEEPING_OR_READY: Final = frozenset([reg.SLEEP, reg.STDBY, reg.FSTX, reg.FSRX])
_LISTENS: Final = frozenset([reg.RXCONTINUOUS, reg.RXSINGLE])
_SYNTHESIZED: Final = {reg.FSTX: (reg.TX,), reg.FSRX: (reg.RXCONTINUOUS, reg.RXSINGLE, reg.CAD)}
"""Modes that go on with the PLL as it is."""

Step = Callable[[int], None]


class Sx1276(Chip):
    """The chip. `pa_boost`: the board's antenna is on PA_BOOST, else on RFO (high frequency port).

    A new chip has no supply. The reset pin has a pull-up: nobody has to drive it.
    """

    def __init__(self, antenna: Antenna, *, pa_boost: bool) -> None:
        super().__init__()
        self._antenna = antenna
        self._pa_boost = pa_boost
        self._powered = False
        self._powered_ns = 0
        self._reset_level = 1
        self._reset_ns = 0
        self._usable_ns = FOREVER
        self._selected = False
        self._address: int | None = None
        self._writes = False
        self._complained = False
        self._phases = Phases()
        self._consumption = Consumption("off")
        self._forget()

    def _forget(self) -> None:
        """Everything as after a reset; who calls it ends what goes on."""
        self._lora, self._fsk = reg.after_reset()
        self._op_mode = self._lora[reg.OP_MODE] & ~reg.MODE
        self._mode = reg.STDBY
        self._fifo = bytearray(256)
        self._flags = 0
        self._frf_latched = int.from_bytes(self._lora[reg.FRF_MSB : reg.FRF_LSB + 1])
        self._frf = self._frf_latched
        self._oscillator_ns = 0
        self._lock_ns = 0
        self._pll_lock = False
        self._mode_ready = True
        self._calibrated_ns = 0
        self._sending = False
        self._start_ns = 0
        self._listening: Listening | None = None
        self._window: _Window | None = None
        self._deadline_ns = FOREVER
        self._rx_pointer = 0
        self._headers = 0
        self._packets = 0
        self._cad_heard = False
        self._noise = 1

    # -- pins

    def supply(self, at_ns: int, on: bool) -> None:
        """See `Chip`."""
        self._phases.run(at_ns)
        if on == self._powered:
            return
        self._powered = on
        self._stop(at_ns)
        self._forget()
        if not on:
            self._usable_ns = FOREVER
            self._consumption.enter(at_ns, "off")
            return
        self._powered_ns = at_ns
        self._consumption.enter(at_ns, "standby_xosc")
        if self._reset_level:
            self._recover(at_ns + modem.POWER_ON_RESET)
        else:
            self._held_during_power_on(at_ns)

    def reset(self, at_ns: int, level: int) -> None:
        """See `Chip`."""
        self._phases.run(at_ns)
        if level == self._reset_level:
            return
        self._reset_level = level
        if not self._powered:
            return
        if level:
            if at_ns - self._reset_ns < modem.RESET_LOW:
                self._violation(
                    at_ns, f"reset low for {at_ns - self._reset_ns} ns only, at least {modem.RESET_LOW}"
                )
            self._recover(max(at_ns + modem.RESET_RECOVERY, self._powered_ns + modem.POWER_ON_RESET))
            return
        if at_ns < self._powered_ns + modem.POWER_ON_RESET:
            self._held_during_power_on(at_ns)
        self._reset_ns = at_ns
        self._usable_ns = FOREVER
        self._stop(at_ns)
        self._forget()
        self._consumption.enter(at_ns, "standby_xosc")

    def _held_during_power_on(self, at_ns: int) -> None:
        self._reset_ns = at_ns
        self._usable_ns = FOREVER
        self._violation(
            at_ns, "reset low during the power-on reset, where the pin has to float (section 7.2.1)"
        )

    def _recover(self, usable_ns: int) -> None:
        self._usable_ns = usable_ns
        self._mode_ready = False
        self._phases.at("ready", usable_ns, self._ready)

    def select(self, at_ns: int, level: int) -> None:
        """See `Chip`."""
        self._phases.run(at_ns)
        self._selected = not level
        self._address = None
        self._complained = False

    def transfer(self, at_ns: int, mosi: bytes, end_ns: int) -> bytes:
        """See `Chip`."""
        self._phases.run(at_ns)
        if not self._selected or not self._powered:
            return bytes(len(mosi))
        if at_ns < self._usable_ns:
            self._once(at_ns, "SPI before the chip is ready: 10 ms after power-on, 5 ms after a reset")
            return bytes(len(mosi))
        if not mosi:
            return b""
        step = (end_ns - at_ns) // len(mosi)
        answer = bytearray(len(mosi))
        first = 0
        if self._address is None:
            self._address = mosi[0] & 0x7F
            self._writes = bool(mosi[0] & 0x80)
            first = 1
            at_ns += step
        if self._address == reg.FIFO:
            self._access_fifo(at_ns, mosi, first, answer)
            return bytes(answer)
        for index in range(first, len(mosi)):
            at_ns += step
            self._phases.run(at_ns)
            answer[index] = self._read(at_ns, self._address)
            if self._writes:
                self._write(at_ns, self._address, mosi[index])
            self._address = (self._address + 1) & 0x7F
        return bytes(answer)

    def lines(self, at_ns: int) -> Mapping[str, int]:
        """See `Chip`."""
        self._phases.run(at_ns)
        if at_ns < self._usable_ns:
            return dict.fromkeys(("dio0", "dio1", "dio2", "dio3", "dio4", "dio5"), 0)
        lora = self._op_mode & reg.LONG_RANGE_MODE
        levels = {}
        for name, register, shift, shown in reg.DIO:
            selected = self._lora[register] >> shift & 0x03
            what = shown[selected] if lora else None
            if not lora and name == "dio5" and selected == 0x03:
                what = "mode_ready"  # section 4.2.12, table 30: the one that the FSK modem has here
            if isinstance(what, int):
                levels[name] = 1 if self._flags & what else 0
            elif what == "mode_ready":
                levels[name] = int(self._mode_ready)
            else:
                levels[name] = int(what == "pll_lock" and self._pll_lock)
        return levels

    def next_change(self) -> int:
        """See `Chip`."""
        return self._phases.next

    @property
    def listening(self) -> bool:
        """See `Chip`."""
        return self._listening is not None

    def time_in(self, at_ns: int) -> Mapping[str, int]:
        """See `Chip`. Sleep keeps the registers and counts as "sleep_warm", standby as "standby_xosc"."""
        self._phases.run(at_ns)
        return self._consumption.read(at_ns)

    # -- transactions

    @property
    def _shows_fsk(self) -> bool:
        return not self._op_mode & reg.LONG_RANGE_MODE or bool(self._op_mode & reg.ACCESS_SHARED_REG)

    def _access_fifo(self, at_ns: int, mosi: bytes, first: int, answer: bytearray) -> None:
        count = len(mosi) - first
        if not count or not self._op_mode & reg.LONG_RANGE_MODE:
            return
        if self._mode == reg.SLEEP:
            self._once(at_ns, "FIFO accessed in sleep, where it is cleared and cannot be reached")
            return
        if at_ns < self._oscillator_ns:
            self._once(at_ns, "FIFO accessed before the oscillator runs, 250 µs after sleep")
        if self._writes and self._mode != reg.STDBY:
            self._once(at_ns, f"FIFO written in {reg.MODE_NAMES[self._mode]}; it can only be filled in STDBY")
        start = self._lora[reg.FIFO_ADDR_PTR]
        for index in range(count):
            place = (start + index) & 0xFF
            answer[first + index] = self._fifo[place]
            if self._writes:
                self._fifo[place] = mosi[first + index]
        self._lora[reg.FIFO_ADDR_PTR] = (start + count) & 0xFF

    def _read(self, at_ns: int, address: int) -> int:
        if address == reg.OP_MODE:
            return self._op_mode | self._mode
        if address not in reg.PAGED:
            return self._lora[address]
        return self._read_fsk(at_ns, address) if self._shows_fsk else self._read_lora(at_ns, address)

    def _read_lora(self, at_ns: int, address: int) -> int:
        if address == reg.IRQ_FLAGS:
            return self._flags
        if self._mode in _LISTENS:
            if address == reg.RSSI_VALUE:
                settings = self._modem()
                high = settings.frequency >= modem.HF_PORT
                return modem.rssi_register(self._antenna.noise_dbm(at_ns, settings.hears_at), high=high)
            if address == reg.RSSI_WIDEBAND:
                # Drivers take chance from its lowest bits; here it comes from the time.
                self._noise = (self._noise * 1_103_515_245 + at_ns + 12_345) & 0x7FFF_FFFF
                return 0x20 + (self._noise >> 16 & 0x1F)
        return self._lora[address]

    def _read_fsk(self, at_ns: int, address: int) -> int:
        if address == reg.FSK_IMAGE_CAL:
            return self._fsk[address] | (reg.IMAGE_CAL_RUNNING if at_ns < self._calibrated_ns else 0)
        if address == reg.FSK_TEMP:
            return _TEMPERATURE
        if address == reg.FSK_IRQ_FLAGS_1:
            return self._mode_ready << 7 | self._pll_lock << 4
        if address == reg.FSK_RSSI_VALUE and self._mode == reg.RXCONTINUOUS:
            # Section 5.5.3: half dBs, downwards.
            return min(255, round(-2 * self._antenna.noise_dbm(at_ns, self._modem().frequency)))
        return self._fsk[address]

    def _write(self, at_ns: int, address: int, value: int) -> None:
        if address == reg.OP_MODE:
            self._write_op_mode(at_ns, value)
        elif address in reg.PAGED and self._shows_fsk:
            self._write_fsk(at_ns, address, value)
        elif address == reg.IRQ_FLAGS:
            self._flags &= ~value
        elif address == reg.VERSION or (address in reg.PAGED and address in reg.READ_ONLY_LORA):
            return
        else:
            hops = reg.FRF_MSB <= address <= reg.FRF_LSB and self._lora[reg.PLL_HOP] & reg.FAST_HOP_ON
            if self._mode not in _SLEEPING_OR_READY and address not in reg.NOT_STATIC and not hops:
                name = reg.MODE_NAMES[self._mode]
                self._violation(
                    at_ns, f"register 0x{address:02X} written in {name}; only in SLEEP, STDBY, FSTX, FSRX"
                )
            self._lora[address] = value
            if address == reg.FRF_LSB:
                self._latch_frequency(at_ns)

    def _write_fsk(self, at_ns: int, address: int, value: int) -> None:
        if address in reg.READ_ONLY_FSK:
            return
        if address == reg.FSK_IMAGE_CAL:
            if value & reg.IMAGE_CAL_START:
                self._calibrate(at_ns)
            value &= ~(reg.IMAGE_CAL_START | reg.IMAGE_CAL_RUNNING)
        self._fsk[address] = value

    def _calibrate(self, at_ns: int) -> None:
        if self._op_mode & reg.LONG_RANGE_MODE:
            self._violation(
                at_ns, "image calibration started in LoRa mode; only in FSK mode (section 4.2.3.8)"
            )
        elif self._mode != reg.STDBY:
            self._violation(
                at_ns, f"image calibration started in {reg.MODE_NAMES[self._mode]}; only in STDBY"
            )
        else:
            self._calibrated_ns = at_ns + modem.IMAGE_CALIBRATION

    def _latch_frequency(self, at_ns: int) -> None:
        """Section 4.1.4: only writing the LSB makes the frequency count; RegPllHop decides whether at once."""
        self._frf_latched = int.from_bytes(self._lora[reg.FRF_MSB : reg.FRF_LSB + 1])
        if self._mode in (reg.SLEEP, reg.STDBY) or self._frf_latched == self._frf:
            return
        if not self._lora[reg.PLL_HOP] & reg.FAST_HOP_ON:
            if self._mode in _SLEEPING_OR_READY:
                self._violation(
                    at_ns, f"RegFrf written in {reg.MODE_NAMES[self._mode]}: it counts when FS is entered"
                )
            return
        self._frf = self._frf_latched
        if self._listening is not None:
            mode = self._mode
            self._stop(at_ns)
            self._tune(at_ns, mode, at_ns + modem.SYNTHESIZER)

    def _write_op_mode(self, at_ns: int, value: int) -> None:
        was = lora = self._op_mode & reg.LONG_RANGE_MODE
        mode = value & reg.MODE
        if value & reg.LONG_RANGE_MODE != lora:
            if mode != reg.SLEEP:
                self._violation(
                    at_ns, "LongRangeMode changed by a write that does not stay in SLEEP: ignored"
                )
            elif self._mode == reg.SLEEP:
                lora ^= reg.LONG_RANGE_MODE
            elif not lora:
                lora = reg.LONG_RANGE_MODE
                self._violation(at_ns, "LongRangeMode set by the write that goes to sleep; only in SLEEP")
            else:
                self._violation(
                    at_ns, "LongRangeMode cleared by the write that goes to sleep: ignored; only in SLEEP"
                )
        if not lora and mode > reg.RXCONTINUOUS:
            self._violation(at_ns, f"RegOpMode: mode {mode} is reserved in FSK mode: ignored")
            mode = self._mode
        self._op_mode = lora | value & (reg.OP_MODE_KEPT_LORA if lora else reg.OP_MODE_KEPT_FSK)
        if lora != was:
            self._op_mode &= ~reg.LOW_FREQUENCY_MODE_ON
        if mode != self._mode:
            self._change(at_ns, mode)

    # -- modes

    def _change(self, at_ns: int, mode: int) -> None:
        was = self._mode
        self._stop(at_ns)
        if at_ns < self._calibrated_ns:
            self._violation(at_ns, "mode changed while the image calibration is running")
            self._calibrated_ns = at_ns
        if mode == reg.SLEEP:
            self._fall_asleep(at_ns)
            return
        if was == reg.SLEEP:
            self._oscillator_ns = at_ns + modem.OSCILLATOR
            self._consumption.enter(at_ns, "standby_xosc")
        self._mode = mode
        self._mode_ready = False
        start_ns = max(at_ns, self._oscillator_ns)
        if mode == reg.STDBY:
            self._pll_lock = False
            self._consumption.enter(at_ns, "standby_xosc")
            self._then("ready", at_ns, start_ns, self._ready)
            return
        if mode in _SYNTHESIZED.get(was, ()):
            lock_ns = max(at_ns, self._lock_ns)
        else:
            self._pll_lock = False
            if self._frf_latched != int.from_bytes(self._lora[reg.FRF_MSB : reg.FRF_LSB + 1]):
                self._violation(at_ns, "RegFrfMsb or RegFrfMid written without RegFrfLsb: not taken")
            self._frf = self._frf_latched
            lock_ns = start_ns + modem.SYNTHESIZER
        self._then("oscillator", at_ns, start_ns, lambda when: self._consumption.enter(when, "fs"))
        self._tune(at_ns, mode, lock_ns)

    def _fall_asleep(self, at_ns: int) -> None:
        self._mode = reg.SLEEP
        self._fifo = bytearray(256)
        self._headers = self._packets = 0
        self._count()
        self._pll_lock = False
        self._mode_ready = True
        self._consumption.enter(at_ns, "sleep_warm")

    def _stand_by(self, at_ns: int) -> None:
        """The chip goes back to standby by itself."""
        self._stop(at_ns)
        self._mode = reg.STDBY
        self._pll_lock = False
        self._mode_ready = True
        self._consumption.enter(at_ns, "standby_xosc")

    def _tune(self, at_ns: int, mode: int, lock_ns: int) -> None:
        """The PLL locks at `lock_ns`; then the mode begins."""
        self._lock_ns = lock_ns
        self._then("lock", at_ns, lock_ns, self._locked_pll)
        if mode == reg.TX:
            self._send(at_ns, lock_ns)
        elif mode in _LISTENS:
            self._receive(at_ns, lock_ns)
        elif mode == reg.CAD:
            self._detect(at_ns, lock_ns)
        else:
            self._then("ready", at_ns, lock_ns, self._ready)

    def _then(self, name: str, at_ns: int, when_ns: int, step: Step) -> None:
        if when_ns <= at_ns:
            step(at_ns)
        else:
            self._phases.at(name, when_ns, step)

    def _locked_pll(self, at_ns: int) -> None:
        self._pll_lock = True

    def _ready(self, at_ns: int) -> None:
        self._mode_ready = True

    def _stop(self, at_ns: int) -> None:
        """Whatever was going on is over; the mode is left as it is."""
        self._phases.clear()
        self._close(at_ns)
        if self._sending:
            self._sending = False
            # The antenna was told before the PA is up: what ends before that is a frame of no length.
            self._antenna.stop_transmit(max(at_ns, self._start_ns))

    def _close(self, at_ns: int) -> None:
        self._window = None
        if self._listening is not None:
            self._listening.close(at_ns)
            self._listening = None
            self._lora[reg.MODEM_STAT] = self._lora[reg.MODEM_STAT] & 0xE0 | reg.MODEM_CLEAR

    # -- sending

    def _modem(self) -> Modem:
        return Modem(bytes(self._lora), self._frf)

    def _send(self, at_ns: int, lock_ns: int) -> None:
        settings = self._modem()
        packets = self._op_mode & reg.LONG_RANGE_MODE and not self._lora[reg.MODEM_CONFIG_2] & 0x08
        faults = settings.sending_faults if packets else settings.power_faults
        self._note(at_ns, faults(pa_boost=self._pa_boost))
        power_dbm = settings.power_dbm
        radiated_dbm = power_dbm - (0.0 if settings.boost == self._pa_boost else WRONG_PIN_DB)
        start_ns = lock_ns + settings.ramp_ns
        self._start_ns = start_ns
        self._sending = True

        def begins(when_ns: int) -> None:
            self._mode_ready = True
            self._consumption.enter(when_ns, f"tx{round(power_dbm)}")

        self._phases.at("start", start_ns, begins)
        if not packets:
            # TxContinuousMode of the LoRa modem, or the FSK modem: something without an end.
            self._antenna.carrier(start_ns, settings.frequency, radiated_dbm)
            return
        base, length = self._lora[reg.FIFO_TX_BASE_ADDR], self._lora[reg.PAYLOAD_LENGTH]
        payload = bytes((self._fifo + self._fifo)[base : base + length])
        end_ns = self._antenna.transmit(start_ns, settings.on_air(sending=True), radiated_dbm, payload)
        self._phases.at("end", end_ns, self._sent)

    def _sent(self, at_ns: int) -> None:
        self._sending = False
        self._stand_by(at_ns)
        self._raise(reg.TX_DONE)

    # -- receiving

    def _receive(self, at_ns: int, lock_ns: int) -> None:
        settings = self._modem()
        single = self._mode == reg.RXSINGLE
        open_ns = lock_ns + settings.receiver_ns

        def begins(when_ns: int) -> None:
            self._mode_ready = True
            self._consumption.enter(when_ns, "rx")

        self._phases.at("start", open_ns, begins)
        if not self._op_mode & reg.LONG_RANGE_MODE:
            return
        self._note(at_ns, settings.receiving_faults(single=single))
        self._rx_pointer = self._lora[reg.FIFO_RX_BASE_ADDR]
        self._headers = self._packets = 0
        self._count()
        self._open(open_ns, settings)
        self._lora[reg.MODEM_STAT] = reg.MODEM_CLEAR | reg.RX_ON_GOING
        if single:
            self._deadline_ns = open_ns + settings.window_ns
            self._phases.at("end", self._deadline_ns, self._timed_out)

    def _open(self, open_ns: int, settings: Modem) -> None:
        window = _Window(self)
        self._window = window
        self._listening = self._antenna.listen(open_ns, settings.on_air(sending=False), window)

    def _timed_out(self, at_ns: int) -> None:
        self._stand_by(at_ns)
        self._raise(reg.RX_TIMEOUT)

    def _preamble(self, at_ns: int) -> None:
        if self._mode == reg.CAD:
            self._cad_heard = True
            return
        self._phases.cancel("end")
        self._lora[reg.MODEM_STAT] = reg.RX_ON_GOING | reg.SIGNAL_SYNCHRONIZED | reg.SIGNAL_DETECTED

    def _header(self, at_ns: int) -> None:
        if self._mode == reg.CAD:
            return
        self._phases.cancel("end")
        if self._modem().explicit:
            self._lora[reg.MODEM_STAT] |= reg.HEADER_INFO_VALID
            self._headers += 1
            self._count()
            self._raise(reg.VALID_HEADER)

    def _lost(self, at_ns: int) -> None:
        if self._mode == reg.CAD:
            return
        self._lora[reg.MODEM_STAT] = self._lora[reg.MODEM_STAT] & 0xE0 | reg.MODEM_CLEAR | reg.RX_ON_GOING
        if self._mode == reg.RXSINGLE:
            self._then("end", at_ns, self._deadline_ns, self._timed_out)

    def _frame(self, at_ns: int, reception: Reception) -> None:
        if self._mode == reg.CAD:
            return
        settings = self._modem()
        lora, payload = self._lora, reception.payload
        if settings.explicit and len(payload) > lora[reg.MAX_PAYLOAD_LENGTH]:
            # RegMaxPayloadLength: the chip takes such a header for a broken one.
            self._lost(at_ns)
            return
        start = self._rx_pointer
        for offset, byte in enumerate(payload):
            self._fifo[(start + offset) & 0xFF] = byte
        self._rx_pointer = (start + len(payload)) & 0xFF
        lora[reg.FIFO_RX_CURRENT_ADDR] = start
        lora[reg.FIFO_RX_BYTE_ADDR] = (self._rx_pointer - 1) & 0xFF
        lora[reg.RX_NB_BYTES] = len(payload)
        lora[reg.PKT_SNR_VALUE] = modem.snr_register(reception.snr)
        high = settings.frequency >= modem.HF_PORT
        lora[reg.PKT_RSSI_VALUE] = modem.packet_rssi_register(reception.rssi, reception.snr, high=high)
        checked = reception.crc if settings.explicit else bool(lora[reg.MODEM_CONFIG_2] & 0x04)
        if settings.explicit:
            lora[reg.HOP_CHANNEL] = reg.CRC_ON_PAYLOAD if reception.crc else 0
        wrong = checked and not reception.crc_ok
        self._packets += not wrong
        self._count()
        coding_rate = (reception.coding_rate << 5) & 0xE0 if settings.explicit else 0
        lora[reg.MODEM_STAT] = coding_rate | reg.MODEM_CLEAR | reg.RX_ON_GOING
        if self._mode == reg.RXSINGLE:
            self._stand_by(at_ns)
        self._raise(reg.RX_DONE | (reg.PAYLOAD_CRC_ERROR if wrong else 0))

    def _count(self) -> None:
        lora = self._lora
        lora[reg.RX_HEADER_CNT_MSB], lora[reg.RX_HEADER_CNT_LSB] = divmod(self._headers & 0xFFFF, 256)
        lora[reg.RX_PACKET_CNT_MSB], lora[reg.RX_PACKET_CNT_LSB] = divmod(self._packets & 0xFFFF, 256)

    # -- channel activity detection

    def _detect(self, at_ns: int, lock_ns: int) -> None:
        settings = self._modem()
        self._note(at_ns, settings.receiving_faults(single=False))
        listens_ns, computes_ns = settings.cad_ns
        heard_ns = lock_ns + listens_ns
        self._cad_heard = False
        self._open(lock_ns, settings)

        def computes(when_ns: int) -> None:
            self._close(when_ns)
            self._pll_lock = False
            self._consumption.enter(when_ns, "standby_xosc")

        def done(when_ns: int) -> None:
            heard = self._cad_heard
            self._stand_by(when_ns)
            self._raise(reg.CAD_DONE | (reg.CAD_DETECTED if heard else 0))

        self._then("start", at_ns, lock_ns, lambda when_ns: self._consumption.enter(when_ns, "rx"))
        self._phases.at("heard", heard_ns, computes)
        self._phases.at("end", heard_ns + computes_ns, done)

    # -- notes

    def _raise(self, flags: int) -> None:
        """RegIrqFlagsMask keeps a flag from being set."""
        self._flags |= flags & ~self._lora[reg.IRQ_FLAGS_MASK]

    def _violation(self, at_ns: int, what: str) -> None:
        self.violations.append(Violation(at_ns, what))

    def _once(self, at_ns: int, what: str) -> None:
        """Once in a transaction."""
        if not self._complained:
            self._complained = True
            self._violation(at_ns, what)

    def _note(self, at_ns: int, faults: Iterable[str]) -> None:
        for what in faults:
            self._violation(at_ns, what)

    def heard(self, at_ns: int, window: _Window, what: Callable[[int], None]) -> None:
        """Something was heard in `window`; what the chip did by itself before comes first."""
        self._phases.run(at_ns)
        if window is self._window:
            what(at_ns)
            self.on_world_change(at_ns)


class _Window:
    """One open receiver's ears; deaf once the chip has closed it."""

    __slots__ = ("_chip",)

    def __init__(self, chip: Sx1276) -> None:
        self._chip = chip

    def preamble(self, at_ns: int) -> None:
        self._chip.heard(at_ns, self, self._chip._preamble)

    def header(self, at_ns: int) -> None:
        self._chip.heard(at_ns, self, self._chip._header)

    def frame(self, at_ns: int, reception: Reception) -> None:
        self._chip.heard(at_ns, self, lambda when_ns: self._chip._frame(when_ns, reception))

    def lost(self, at_ns: int) -> None:
        self._chip.heard(at_ns, self, self._chip._lost)
