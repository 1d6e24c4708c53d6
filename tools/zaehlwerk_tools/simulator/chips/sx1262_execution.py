"""What each command does to an SX1262: SX1261/2 data sheet rev. 2.1, chapter 13."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zaehlwerk_tools.simulator.chips import sx1262_registers as at
from zaehlwerk_tools.simulator.chips.sx1262_clock import IMAGE, calibration_errors
from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    COMMANDS,
    CONFIGURES_A_MODEM,
    ERROR_XOSC_START,
    MODE_FS,
    MODE_RX,
    MODE_STDBY_RC,
    MODE_STDBY_XOSC,
    MODE_TX,
    NOP,
    STATUS_PROCESSED,
    STATUS_PROCESSING_ERROR,
    Refused,
)
from zaehlwerk_tools.simulator.chips.sx1262_modes import BUFFER_SIZE, SLEEP_COLD, SLEEP_WARM, Modes, State
from zaehlwerk_tools.simulator.chips.sx1262_receiver import Receiver
from zaehlwerk_tools.simulator.chips.sx1262_reports import Reports
from zaehlwerk_tools.simulator.chips.sx1262_sender import Sender
from zaehlwerk_tools.simulator.chips.sx1262_timing import CALIBRATION, COMMAND, SAVE

_WARM_START: Final = 0x04
_RTC_WAKE_UP: Final = 0x01
_STANDBY: Final = (MODE_STDBY_RC, MODE_STDBY_XOSC)


class Execution:
    """Takes whole transactions. `fell_asleep` is called with the time from which NSS wakes the chip, and whether it wakes
    by itself too."""

    def __init__(self, state: State, modes: Modes, fell_asleep: Callable[[int, bool], None]) -> None:
        self._state = state
        self._modes = modes
        self._fell_asleep = fell_asleep
        self.reports = Reports()
        self.sender = Sender(state, modes)
        self.receiver = Receiver(state, modes, self.sender, self.reports)
        settings, receiver = state.settings, self.receiver
        self._actions: dict[str, Callable[[int, bytes], object]] = {
            "SetSleep": self._sleep,
            "SetStandby": self._standby,
            "SetFs": self._synthesise,
            "SetTx": lambda at_ns, p: self.sender.send(at_ns, _number(p)),
            "SetRx": lambda at_ns, p: receiver.receive(at_ns, _number(p)),
            "StopTimerOnPreamble": self._stop_timer_on_preamble,
            "SetRxDutyCycle": lambda at_ns, p: receiver.duty_cycle(at_ns, _number(p[:3]), _number(p[3:])),
            "SetCad": lambda at_ns, p: receiver.detect(at_ns),
            "SetTxContinuousWave": lambda at_ns, p: self.sender.send_carrier(at_ns, "SetTxContinuousWave"),
            "SetTxInfinitePreamble": lambda at_ns, p: self.sender.send_carrier(
                at_ns, "SetTxInfinitePreamble"
            ),
            "SetRegulatorMode": self._regulator,
            "Calibrate": self._calibrate,
            "CalibrateImage": self._calibrate_image,
            "SetPaConfig": self._pa,
            "SetRxTxFallbackMode": lambda at_ns, p: settings.set_fallback(p),
            "WriteRegister": self._write_register,
            "WriteBuffer": self._write_buffer,
            "SetDioIrqParams": lambda at_ns, p: state.interrupts.configure(p),
            "ClearIrqStatus": lambda at_ns, p: state.interrupts.clear(_number(p)),
            "SetDIO2AsRfSwitchCtrl": self._dio2,
            "SetDIO3AsTCXOCtrl": self._dio3,
            "SetRfFrequency": lambda at_ns, p: settings.set_frequency(p),
            "SetPacketType": self._packet_type,
            "SetTxParams": lambda at_ns, p: settings.set_tx(p),
            "SetModulationParams": lambda at_ns, p: settings.set_modulation(p),
            "SetPacketParams": self._packet,
            "SetCadParams": lambda at_ns, p: settings.set_cad(p),
            "SetBufferBaseAddress": self._base_addresses,
            "SetLoRaSymbNumTimeout": self._symbol_timeout,
            "ResetStats": lambda at_ns, p: self.reports.reset_statistics(),
            "ClearDeviceErrors": self._clear_errors,
        }

    def execute(self, at_ns: int, sent: bytes) -> None:
        """NSS rose after `sent`."""
        state = self._state
        command = COMMANDS.get(sent[0])
        count = len(sent) - 1
        if command is None:
            state.status = STATUS_PROCESSING_ERROR
            state.complain(f"there is no command 0x{sent[0]:02X} (table 11-1 to 11-5)")
            return
        if sent[0] == NOP and count == 0:
            return
        if not command.least <= count <= command.most:
            state.status = STATUS_PROCESSING_ERROR
            state.complain(f"{command.name} with {count} bytes after the opcode (chapter 13)")
            return
        if command.answer_at:
            if command.name == "GetRssiInst" and state.mode != MODE_RX:
                state.complain("GetRssiInst while not receiving (13.5.4)")
            return
        if command.name in CONFIGURES_A_MODEM and state.mode in (MODE_RX, MODE_TX):
            state.complain(
                f"{command.name} while {'receiving' if state.mode == MODE_RX else 'sending'} (14.2, 14.3)"
            )
        state.status = STATUS_PROCESSED
        self._modes.busy_for(at_ns, COMMAND)
        try:
            self._actions[command.name](at_ns, sent[1:])
        except Refused as refused:
            state.status = refused.status
            state.complain(str(refused))

    # -- operating modes

    def _sleep(self, at_ns: int, parameters: bytes) -> None:
        state = self._state
        if state.mode not in _STANDBY:
            raise Refused("SetSleep outside STDBY (13.1.1)")
        if parameters[0] & ~(_WARM_START | _RTC_WAKE_UP):
            state.complain(f"SetSleep with reserved bits: 0x{parameters[0]:02X} (13.1.1)")
        state.timeline.cancel("busy", "stray")
        state.busy = False
        self._modes.settle(at_ns, SLEEP_WARM if parameters[0] & _WARM_START else SLEEP_COLD)
        state.buffer[:] = bytes(BUFFER_SIZE)
        self._fell_asleep(at_ns + SAVE, bool(parameters[0] & _RTC_WAKE_UP))

    def _standby(self, at_ns: int, parameters: bytes) -> None:
        if parameters[0] > 1:
            raise Refused(f"StdbyConfig 0x{parameters[0]:02X} is not in table 13-4", STATUS_PROCESSING_ERROR)
        if parameters[0] == 0:
            self._modes.standby(at_ns)
        else:
            self._modes.leave(at_ns)
            self._modes.switch(at_ns, MODE_STDBY_XOSC)

    def _synthesise(self, at_ns: int, parameters: bytes) -> None:
        self._modes.leave(at_ns)
        self._modes.switch(at_ns, MODE_FS)

    def _stop_timer_on_preamble(self, at_ns: int, parameters: bytes) -> None:
        self._state.settings.stop_timer_on_preamble = _flag("StopTimerOnPreamble", parameters)

    def _regulator(self, at_ns: int, parameters: bytes) -> None:
        _flag("SetRegulatorMode", parameters)
        if self._state.mode != MODE_STDBY_RC:
            self._state.complain("SetRegulatorMode outside STDBY_RC (13.1.11)")

    def _calibrate(self, at_ns: int, parameters: bytes) -> None:
        if self._state.mode != MODE_STDBY_RC:
            raise Refused("Calibrate outside STDBY_RC (13.1.12)")
        if parameters[0] & 0x80:
            self._state.complain("Calibrate with the reserved bit 7 (13.1.12)")
        self._run_calibration(at_ns, parameters[0] & 0x7F)
        self._state.clock.calibrate(parameters[0] & 0x7F)

    def _calibrate_image(self, at_ns: int, parameters: bytes) -> None:
        if self._state.mode not in _STANDBY:
            raise Refused("CalibrateImage outside STDBY (9.2)")
        first, last = parameters
        if first > last:
            raise Refused(
                f"CalibrateImage from 0x{first:02X} to 0x{last:02X} (13.1.13)", STATUS_PROCESSING_ERROR
            )
        self._run_calibration(at_ns, IMAGE)
        self._state.clock.calibrate_image(first, last)

    def _run_calibration(self, at_ns: int, blocks: int) -> None:
        state = self._state
        wait_ns = 0 if state.clock.running else state.clock.delay_ns
        self._modes.busy_for(at_ns, wait_ns + CALIBRATION)
        if state.mode == MODE_STDBY_RC:
            state.meter.enter(at_ns, "standby_xosc", [(at_ns + wait_ns + CALIBRATION, "standby_rc")])
        obstacle = None if state.clock.running else state.clock.obstacle()
        if obstacle is not None:
            state.errors |= ERROR_XOSC_START | calibration_errors(blocks)
            raise Refused(f"calibration without a clock: {obstacle}")

    # -- registers, buffer, DIOs

    def _write_register(self, at_ns: int, parameters: bytes) -> None:
        address = _number(parameters[:2])
        for offset, byte in enumerate(parameters[2:]):
            self._state.registers[(address + offset) & 0xFFFF] = byte
            if address + offset == at.RTC_CONTROL and byte == 0:
                self.receiver.stop_timer()

    def _write_buffer(self, at_ns: int, parameters: bytes) -> None:
        for offset, byte in enumerate(parameters[1:]):
            self._state.buffer[(parameters[0] + offset) % BUFFER_SIZE] = byte

    def _dio2(self, at_ns: int, parameters: bytes) -> None:
        self._state.settings.dio2_switch = _flag("SetDIO2AsRfSwitchCtrl", parameters)

    def _dio3(self, at_ns: int, parameters: bytes) -> None:
        if self._state.mode != MODE_STDBY_RC:
            self._state.complain("SetDIO3AsTCXOCtrl outside STDBY_RC (13.3.6)")
        self._state.clock.feed_tcxo(parameters)

    # -- modem

    def _packet_type(self, at_ns: int, parameters: bytes) -> None:
        state = self._state
        if state.mode in (MODE_FS, MODE_RX, MODE_TX):
            raise Refused("SetPacketType outside STDBY_RC (13.4.2)")
        if state.settings.set_packet_type(parameters):
            state.registers.other_modem()
            if state.mode != MODE_STDBY_RC:
                state.complain("SetPacketType to another modem outside STDBY_RC (13.4.2)")
        # Seen by LoRaMac-node: it sets the symbol time-out anew after every SetPacketType.
        state.registers.symbols_to_lock = 0

    def _packet(self, at_ns: int, parameters: bytes) -> None:
        state = self._state
        state.settings.set_packet(parameters)
        if state.settings.packet is not None:
            state.registers[at.PAYLOAD_LENGTH] = state.settings.packet.length
            # What section 15.4 wants has to be done again each time.
            state.registers[at.IQ_POLARITY] |= at.IQ_POLARITY_STANDARD

    def _pa(self, at_ns: int, parameters: bytes) -> None:
        self._state.settings.set_pa(parameters)
        if parameters[2] == 0:
            self._state.registers[at.OCP] = at.OCP_SX1262

    def _base_addresses(self, at_ns: int, parameters: bytes) -> None:
        self._state.settings.tx_base, self._state.settings.rx_base = parameters

    def _symbol_timeout(self, at_ns: int, parameters: bytes) -> None:
        self._state.registers.symbols_to_lock = parameters[0]

    def _clear_errors(self, at_ns: int, parameters: bytes) -> None:
        self._state.errors = 0


def _number(parameters: bytes) -> int:
    return int.from_bytes(parameters, "big")


def _flag(command: str, parameters: bytes) -> bool:
    if parameters[0] > 1:
        raise Refused(
            f"{command} with 0x{parameters[0]:02X}, which is neither 0 nor 1", STATUS_PROCESSING_ERROR
        )
    return parameters[0] == 1
