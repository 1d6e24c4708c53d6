"""The receiving half of an SX1262: SX1261/2 data sheet rev. 2.1, sections 9.6, 13.1.5 to 13.1.8, 13.4.9, 15.3."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from zaehlwerk_tools.simulator.chips import sx1262_registers as at
from zaehlwerk_tools.simulator.chips.antenna import Listening, Reception
from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    IRQ_CAD_DETECTED,
    IRQ_CAD_DONE,
    IRQ_CRC_ERR,
    IRQ_HEADER_ERR,
    IRQ_HEADER_VALID,
    IRQ_PREAMBLE_DETECTED,
    IRQ_RX_DONE,
    IRQ_TIMEOUT,
    MODE_RX,
    MODE_STDBY_RC,
    MODE_TX,
    STATUS_DATA_AVAILABLE,
    STATUS_TIMEOUT,
    Refused,
)
from zaehlwerk_tools.simulator.chips.sx1262_ear import Ear
from zaehlwerk_tools.simulator.chips.sx1262_modes import BUFFER_SIZE, SLEEP_WARM, Modes, State
from zaehlwerk_tools.simulator.chips.sx1262_reports import Reports
from zaehlwerk_tools.simulator.chips.sx1262_sender import Sender, check_polarity, require_configured
from zaehlwerk_tools.simulator.chips.sx1262_settings import CAD_LBT, CAD_RX
from zaehlwerk_tools.simulator.chips.sx1262_timing import RTC_STEP, WAKE_UP

CONTINUOUS: Final = 0xFFFFFF
"""Table 13-9, the timeout of SetRx that means: until told otherwise."""


class _Kind(Enum):
    SINGLE = auto()
    CONTINUOUS = auto()
    CAD = auto()
    DUTY_CYCLE = auto()


class Receiver:
    """Opens the receiver, runs its time-outs, and puts what is heard where the driver finds it."""

    def __init__(self, state: State, modes: Modes, sender: Sender, reports: Reports) -> None:
        self._state = state
        self._modes = modes
        self._sender = sender
        self._reports = reports
        self._listening: Listening | None = None
        self.ear = Ear(state.timeline, self)
        self._kind = _Kind.SINGLE
        self._timer_ns = 0
        self._address = 0
        self._heard_preamble = self._heard_header = False
        state.stop.append(self._stop)

    @property
    def listening(self) -> bool:
        """Whether something heard can change the chip."""
        return self._listening is not None and self._state.mode == MODE_RX

    def receive(self, at_ns: int, timeout: int) -> None:
        """SetRx; timeout in steps of 15.625 µs, 0 for none. Raises Refused."""
        kind = _Kind.CONTINUOUS if timeout == CONTINUOUS else _Kind.SINGLE
        self._start(at_ns, "SetRx", kind, 0 if kind is _Kind.CONTINUOUS else timeout * RTC_STEP)

    def detect(self, at_ns: int) -> None:
        """SetCad. Raises Refused."""
        if not self._state.settings.is_lora:
            raise Refused("SetCad with a packet type other than LoRa (13.1.8)")
        if self._state.settings.modulation is None:
            raise Refused("SetCad without SetModulationParams (14.5)")
        self._start(at_ns, "SetCad", _Kind.CAD, 0)

    def duty_cycle(self, at_ns: int, receive: int, sleep: int) -> None:
        """SetRxDutyCycle; both periods in steps of 15.625 µs. Without a receive period they are only kept. Raises Refused."""
        self._state.settings.sleep_ns = sleep * RTC_STEP
        if receive:
            if self._state.mode != MODE_STDBY_RC:
                raise Refused("SetRxDutyCycle outside STDBY_RC (13.1.7)")
            self._start(at_ns, "SetRxDutyCycle", _Kind.DUTY_CYCLE, receive * RTC_STEP)

    def stop_timer(self) -> None:
        """Register 0x0902 was set to 0 (15.3)."""
        self._state.timeline.cancel("timer", "stray")

    # -- opening and closing

    def _start(self, at_ns: int, command: str, kind: _Kind, timer_ns: int) -> None:
        state, settings = self._state, self._state.settings
        hears = settings.is_lora and self._check(command)
        self._modes.leave(at_ns)
        open_ns = self._modes.switch(at_ns, MODE_RX, self._opened)
        if open_ns is None:
            return
        self._kind, self._timer_ns = kind, timer_ns
        self._heard_preamble = self._heard_header = False
        if hears:
            self.ear.open()
            lora = settings.lora(state.registers.sync_word, sending=False)
            self._listening = state.antenna.listen(open_ns, lora, self.ear)

    def _check(self, command: str) -> bool:
        # Whether anything can be heard. A receiver that nobody set up is good for random numbers.
        state = self._state
        try:
            require_configured(state, command)
        except Refused as refused:
            state.complain(str(refused))
            return False
        frequency = state.settings.frequency
        assert frequency is not None
        check_polarity(state, "receiving")
        if not state.clock.image_fits(frequency):
            state.complain(f"{command} at {frequency} Hz without CalibrateImage for it (9.2.1)")
        return True

    def _opened(self, at_ns: int) -> None:
        state = self._state
        self._address = state.settings.rx_base
        if self._timer_ns:
            state.timeline.cancel("stray")
            over = self._duty_over if self._kind is _Kind.DUTY_CYCLE else self._timed_out
            state.timeline.at("timer", at_ns + self._timer_ns, over)
        if state.settings.modulation is None:
            return
        symbol_ns = state.settings.modulation.symbol_ns
        if self._kind is _Kind.CAD:
            state.timeline.at("cad", at_ns + state.settings.cad.symbols * symbol_ns, self._cad_over)
        elif self._kind is not _Kind.DUTY_CYCLE and state.registers.symbols_to_lock:
            lock_ns = state.registers.symbols_to_lock * symbol_ns
            state.timeline.at("symbols", at_ns + lock_ns, self._timed_out)

    def _stop(self, at_ns: int) -> None:
        self.ear.close()
        if self._listening is not None:
            self._listening.close(at_ns)
            self._listening = None
        self._state.timeline.cancel("timer", "symbols", "cad", "duty")

    # -- what is heard

    def preamble(self, at_ns: int) -> None:
        """Locked on a preamble."""
        state, timeline = self._state, self._state.timeline
        state.interrupts.happened(IRQ_PREAMBLE_DETECTED)
        self._heard_preamble = True
        self._heard_header = False
        timeline.cancel("symbols")
        if self._kind is _Kind.DUTY_CYCLE:
            timeline.at("timer", at_ns + 2 * self._timer_ns + state.settings.sleep_ns, self._duty_over)
        elif state.settings.stop_timer_on_preamble:
            timeline.cancel("timer")

    def header(self, at_ns: int) -> None:
        """A header came, or the payload of a packet without one began."""
        self._heard_header = True
        if self._explicit:
            self._state.interrupts.happened(IRQ_HEADER_VALID)
            self._state.timeline.cancel("timer")

    def frame(self, at_ns: int, reception: Reception) -> None:
        """A packet has ended."""
        state = self._state
        packet = state.settings.packet
        assert packet is not None
        if packet.explicit and len(reception.payload) > packet.length:
            # Longer than the receiver accepts (table 13-68); the header said so.
            self.lost(at_ns, header=False)
            return
        for offset, byte in enumerate(reception.payload):
            state.buffer[(self._address + offset) % BUFFER_SIZE] = byte
        state.registers[at.HEADER_CODING_RATE] = reception.coding_rate << 4
        state.registers[at.HEADER_CRC] = int(reception.crc) << 4
        self._reports.received(reception, self._address)
        self._address = (self._address + len(reception.payload)) % BUFFER_SIZE
        state.registers[at.RX_ADDRESS] = self._address
        self._packet_over(at_ns, crc_error=reception.crc and not reception.crc_ok)

    def lost(self, at_ns: int, *, header: bool | None = None) -> None:
        """The signal went away. What a demodulator makes of noise is a wrong header, or after a right one a wrong packet; an
        empty one stands for it. Before its header a lost signal leaves the receiver open."""
        if self._heard_header if header is None else header:
            self._reports.received(Reception(b"", -128, -20.0, crc=True, crc_ok=False), self._address)
            self._packet_over(at_ns, crc_error=True)
        elif self._explicit:
            self._reports.header_errors += 1
            self._state.interrupts.happened(IRQ_HEADER_ERR)
        self._heard_header = False

    def _packet_over(self, at_ns: int, *, crc_error: bool) -> None:
        state, timeline = self._state, self._state.timeline
        state.interrupts.happened(IRQ_RX_DONE | (IRQ_CRC_ERR if crc_error else 0))
        state.status = STATUS_DATA_AVAILABLE
        self._heard_header = False
        if self._kind is _Kind.CONTINUOUS:
            return
        due_ns = timeline.due("timer")
        self._modes.leave(at_ns)
        self._modes.settle(at_ns, state.settings.fallback)
        if due_ns is not None and self._kind is _Kind.SINGLE:
            # A header would have stopped it.
            timeline.at("stray", due_ns, self._stray)

    @property
    def _explicit(self) -> bool:
        packet = self._state.settings.packet
        return packet is None or packet.explicit

    # -- time-outs

    def _timed_out(self, at_ns: int) -> None:
        if not (self._heard_header and not self._explicit):
            self._modes.timed_out(at_ns)

    def _stray(self, at_ns: int) -> None:
        state = self._state
        state.complain("the timer of a reception without header was not stopped after RxDone (15.3)")
        if state.mode in (MODE_RX, MODE_TX):
            self._modes.standby(at_ns)
        state.interrupts.happened(IRQ_TIMEOUT)
        state.status = STATUS_TIMEOUT

    def _cad_over(self, at_ns: int) -> None:
        state, cad = self._state, self._state.settings.cad
        detected = self._heard_preamble
        state.interrupts.happened(IRQ_CAD_DONE | (IRQ_CAD_DETECTED if detected else 0))
        if detected and cad.leave == CAD_RX:
            self._kind = _Kind.SINGLE
            if cad.timeout_ns:
                state.timeline.at("timer", at_ns + cad.timeout_ns, self._timed_out)
        else:
            self._modes.leave(at_ns)
            if not detected and cad.leave == CAD_LBT:
                try:
                    self._sender.send(at_ns, cad.timeout_ns // RTC_STEP)
                except Refused as refused:
                    state.complain(str(refused))
                    self._modes.standby(at_ns)
            else:
                self._modes.settle(at_ns, MODE_STDBY_RC)

    def _duty_over(self, at_ns: int) -> None:
        state = self._state
        self._modes.leave(at_ns)
        self._modes.settle(at_ns, SLEEP_WARM)
        state.buffer[:] = bytes(BUFFER_SIZE)
        state.timeline.at("duty", at_ns + state.settings.sleep_ns + WAKE_UP, self._duty_again)

    def _duty_again(self, at_ns: int) -> None:
        state = self._state
        state.registers.warm_start()
        state.mode = MODE_STDBY_RC
        self._start(at_ns, "SetRxDutyCycle", _Kind.DUTY_CYCLE, self._timer_ns)
