"""The sending half of an SX1262: SX1261/2 data sheet rev. 2.1, sections 9.7, 13.1.4, 13.1.9, 15.1, 15.2, 15.4."""

from __future__ import annotations

from typing import Final

from zaehlwerk_tools.simulator.chips import sx1262_registers as at
from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    IRQ_TX_DONE,
    MODE_TX,
    STATUS_TX_DONE,
    Refused,
)
from zaehlwerk_tools.simulator.chips.sx1262_modes import BUFFER_SIZE, Modes, State
from zaehlwerk_tools.simulator.chips.sx1262_settings import BANDWIDTH_500_KHZ
from zaehlwerk_tools.simulator.chips.sx1262_timing import RTC_STEP

NOT_CONNECTED_DB: Final = 30
"""What is missing at the antenna when the switch, or the PA, is the wrong one."""


class Sender:
    """Sends what is in the buffer, or a carrier."""

    def __init__(self, state: State, modes: Modes) -> None:
        self._state = state
        self._modes = modes
        self._on_air = False
        state.stop.append(self._stop)

    def send(self, at_ns: int, timeout: int) -> None:
        """SetTx; timeout in steps of 15.625 µs, 0 for none. Raises Refused."""
        state, settings = self._state, self._state.settings
        if not settings.is_lora:
            raise Refused("SetTx with a packet type other than LoRa: this model sends nothing else")
        require_configured(state, "SetTx")
        self._check_errata()
        lora = settings.lora(state.registers.sync_word, sending=True)
        assert settings.packet is not None
        base = settings.tx_base
        payload = bytes(state.buffer[(base + i) % BUFFER_SIZE] for i in range(settings.packet.length))
        start_ns = self._switch(at_ns)
        if start_ns is None:
            return
        self._on_air = True
        end_ns = state.antenna.transmit(start_ns, lora, self._power_dbm(), payload)
        state.timeline.at("end", end_ns, self._done)
        if timeout:
            state.timeline.cancel("stray")
            state.timeline.at("timer", start_ns + timeout * RTC_STEP, self._modes.timed_out)

    def send_carrier(self, at_ns: int, name: str) -> None:
        """SetTxContinuousWave; SetTxInfinitePreamble too, which on this air is as good as a carrier. Raises Refused."""
        state = self._state
        if state.settings.frequency is None:
            raise Refused(f"{name} without SetRfFrequency")
        start_ns = self._switch(at_ns)
        if start_ns is not None:
            self._on_air = True
            state.antenna.carrier(start_ns, state.settings.frequency, self._power_dbm())

    def _switch(self, at_ns: int) -> int | None:
        state, settings = self._state, self._state.settings
        if settings.pa is None:
            state.complain(
                "sending without SetPaConfig for an SX1262: the PA at the antenna's pin is off (13.1.14)"
            )
        if state.board_has_dio2_switch and not settings.dio2_switch:
            state.complain("sending with DIO2 not set as RF switch control, as this board needs (13.3.5)")
        self._modes.leave(at_ns)
        power = settings.power if settings.pa is None else settings.output_dbm()
        return self._modes.switch(at_ns, MODE_TX, consumes=f"tx{power}", ramp_ns=settings.ramp_ns)

    def _power_dbm(self) -> float:
        state, settings = self._state, self._state.settings
        power = settings.power - NOT_CONNECTED_DB if settings.pa is None else settings.output_dbm()
        if state.board_has_dio2_switch and not settings.dio2_switch:
            power -= NOT_CONNECTED_DB
        return power

    def _check_errata(self) -> None:
        state, settings = self._state, self._state.settings
        assert settings.modulation is not None
        narrow = settings.modulation.bandwidth != BANDWIDTH_500_KHZ
        if bool(state.registers[at.TX_MODULATION] & at.TX_MODULATION_NOT_500_KHZ) != narrow:
            state.complain(
                f"sending with {settings.modulation.bandwidth} Hz and bit 2 of register 0x0889 {'clear' if narrow else 'set'}"
                " (15.1)"
            )
        if state.registers[at.TX_CLAMP] & at.TX_CLAMP_SX1262 != at.TX_CLAMP_SX1262:
            state.complain("sending without bits 4 to 1 of register 0x08D8 set (15.2)")
        check_polarity(state, "sending")

    def _done(self, at_ns: int) -> None:
        state = self._state
        self._on_air = False
        state.timeline.cancel("timer")
        state.interrupts.happened(IRQ_TX_DONE)
        state.status = STATUS_TX_DONE
        self._modes.settle(at_ns, state.settings.fallback)

    def _stop(self, at_ns: int) -> None:
        if self._on_air:
            self._on_air = False
            self._state.timeline.cancel("end", "timer")
            self._state.antenna.stop_transmit(at_ns)


def require_configured(state: State, command: str) -> None:
    """What SetTx and SetRx take for granted of the LoRa modem (sections 14.2, 14.3). Raises Refused."""
    settings = state.settings
    for name, value in (
        ("SetModulationParams", settings.modulation),
        ("SetPacketParams", settings.packet),
        ("SetRfFrequency", settings.frequency),
    ):
        if value is None:
            raise Refused(f"{command} without {name} (14.2, 14.3)")
    missing = state.clock.uncalibrated()
    if missing is not None:
        state.complain(f"{command} without Calibrate after SetDIO3AsTCXOCtrl: {missing} (9.2, 13.3.6)")


def check_polarity(state: State, doing: str) -> None:
    """Section 15.4. It costs some of the longer packets, so the exchange goes on."""
    assert state.settings.packet is not None
    standard = not state.settings.packet.inverted
    if bool(state.registers[at.IQ_POLARITY] & at.IQ_POLARITY_STANDARD) != standard:
        state.complain(
            f"{doing} with {'standard' if standard else 'inverted'} IQ and bit 2 of register 0x0736"
            f" {'clear' if standard else 'set'} after SetPacketParams (15.4)"
        )
