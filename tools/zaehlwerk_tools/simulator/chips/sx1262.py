"""The Semtech SX1262 in software: its pins, and how it sleeps and wakes. Written from the SX1261/2 data sheet rev. 2.1.

Not modelled: packets of other modems than LoRa (a receiver set to GFSK hears nothing), long interleaving, LR-FHSS, the
crystal's trimming, currents. The channel activity detection sees what the antenna takes for a preamble.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from zaehlwerk_tools.simulator.chips import sx1262_timing as timing
from zaehlwerk_tools.simulator.chips.antenna import Antenna
from zaehlwerk_tools.simulator.chips.chip import Chip
from zaehlwerk_tools.simulator.chips.sx1262_answers import Answers
from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    COMMANDS,
    ERROR_XOSC_START,
    MODE_STDBY_RC,
    MODE_TX,
    STATUS_PROCESSED,
)
from zaehlwerk_tools.simulator.chips.sx1262_execution import Execution
from zaehlwerk_tools.simulator.chips.sx1262_modes import (
    ASLEEP,
    BUFFER_SIZE,
    OFF,
    SLEEP_COLD,
    STARTING,
    Modes,
    State,
)

_SILENT: Final = {"busy": 0, "dio1": 0, "dio2": 0, "dio3": 0}
_BUSY_ONLY: Final = {"busy": 1, "dio1": 0, "dio2": 0, "dio3": 0}
"""Section 8.3: asleep and while it starts, BUSY is pulled up and the DIOs are pulled down."""


class Sx1262(Chip):
    """One SX1262 on a board.

    tcxo_mv: a TCXO is connected that DIO3 feeds and that needs this voltage; None: a crystal. dio2_switch: the antenna
    switch hangs on DIO2. seed: of the noise behind the random number registers.
    """

    def __init__(self, antenna: Antenna, *, tcxo_mv: int | None, dio2_switch: bool, seed: int = 0) -> None:
        super().__init__()
        self._state = State(antenna, self.violations, tcxo_mv=tcxo_mv, dio2_switch=dio2_switch, seed=seed)
        self._timeline = self._state.timeline
        self._modes = Modes(self._state)
        self._execution = Execution(self._state, self._modes, self._fell_asleep)
        self._answers = Answers(self._state, self._execution.reports)
        self._execution.receiver.ear.changed = self._heard
        self._nreset = 1
        self._reset_since = 0
        self._selected = False
        self._sent = bytearray()
        self._deaf = False
        self._woke = False
        self._wakes_from = 0

    # -- supply and reset

    def supply(self, at_ns: int, on: bool) -> None:
        """See `Chip`. Power-on is a reset, and while NRESET is low it waits."""
        self._pass(at_ns)
        self._modes.leave(at_ns)
        self._timeline.clear()
        if not on:
            self._state.mode = OFF
            self._state.meter.enter(at_ns, "off")
            self._selected = False
        elif self._nreset:
            self._start(at_ns)
        else:
            self._hold(at_ns)

    def reset(self, at_ns: int, level: int) -> None:
        """See `Chip`."""
        self._pass(at_ns)
        if level == self._nreset:
            return
        self._nreset = level
        if self._state.mode == OFF:
            return
        if not level:
            self._reset_since = at_ns
            self._timeline.at("reset", at_ns + timing.RESET_SEEN, self._hold)
            return
        if at_ns - self._reset_since < timing.RESET_LOW:
            self._state.complain(f"NRESET low for {at_ns - self._reset_since} ns, at least 100 µs (8.1)")
        if self._timeline.due("reset") is None:
            self._start(at_ns)
        else:
            self._timeline.cancel("reset")

    def _hold(self, at_ns: int) -> None:
        self._modes.leave(at_ns)
        self._timeline.clear()
        self._forget()
        self._state.mode = STARTING
        self._state.meter.enter(at_ns, "standby_rc")

    def _start(self, at_ns: int) -> None:
        self._hold(at_ns)
        self._timeline.at("busy", at_ns + timing.START_UP, self._awake)

    def _forget(self) -> None:
        state = self._state
        state.settings.reset()
        state.registers.cold_start()
        state.interrupts.reset()
        state.clock.cold_start()
        state.buffer[:] = bytes(BUFFER_SIZE)
        self._execution.reports.reset()
        state.errors = 0 if state.clock.starts_at_power_on else ERROR_XOSC_START
        self._sent.clear()

    def _awake(self, at_ns: int) -> None:
        self._modes.settle(at_ns, MODE_STDBY_RC)
        self._state.busy = False
        self._state.status = STATUS_PROCESSED

    # -- sleep

    def _fell_asleep(self, wakes_from_ns: int, by_itself: bool) -> None:
        self._wakes_from = wakes_from_ns
        if by_itself and self._state.settings.sleep_ns:
            self._timeline.at("rtc", wakes_from_ns + self._state.settings.sleep_ns, self._wake)

    def _wake(self, at_ns: int, from_ns: int | None = None) -> None:
        state = self._state
        cold = state.mode == SLEEP_COLD
        self._timeline.cancel("rtc", "duty")
        if cold:
            self._forget()
        else:
            state.registers.warm_start()
        state.mode = STARTING
        state.meter.enter(at_ns, "standby_rc")
        duration_ns = timing.START_UP if cold else timing.WAKE_UP
        self._timeline.at("busy", (from_ns or at_ns) + duration_ns, self._awake)

    # -- SPI

    def select(self, at_ns: int, level: int) -> None:
        """See `Chip`."""
        self._pass(at_ns)
        if level == (not self._selected):
            return
        if level:
            self._selected = False
            if self._sent:
                self._execution.execute(at_ns, bytes(self._sent))
        elif self._state.mode != OFF:
            self._begin(at_ns)

    def _begin(self, at_ns: int) -> None:
        state = self._state
        self._selected, self._deaf, self._woke = True, False, False
        self._sent.clear()
        if state.mode in ASLEEP:
            if at_ns < self._wakes_from:
                state.complain("NSS low within 500 µs after SetSleep (13.1.1)")
            self._wake(at_ns, max(at_ns, self._wakes_from))
            self._woke = True

    def transfer(self, at_ns: int, mosi: bytes, end_ns: int) -> bytes:
        """See `Chip`. A transaction that begins before the chip is ready is lost as a whole."""
        self._pass(at_ns)
        if not self._selected or not mosi:
            return bytes(len(mosi))
        if not self._sent and not self._deaf and (self._state.busy or self._state.mode == STARTING):
            self._deaf = True
            if not self._woke:
                command = COMMANDS.get(mosi[0])
                name = command.name if command is not None else f"0x{mosi[0]:02X}"
                self._state.complain(f"{name} while BUSY is high (8.3.1)")
        if self._deaf:
            return bytes(len(mosi))
        before = len(self._sent)
        self._sent += mosi
        return self._answers.during(at_ns, self._sent, before)

    # -- what it shows

    def lines(self, at_ns: int) -> Mapping[str, int]:
        """See `Chip`."""
        self._pass(at_ns)
        state = self._state
        if state.mode == OFF:
            return _SILENT
        if state.mode == STARTING or state.mode in ASLEEP:
            return _BUSY_ONLY
        return {
            "busy": int(state.busy),
            "dio1": state.interrupts.dio(1),
            "dio2": int(state.mode == MODE_TX) if state.settings.dio2_switch else state.interrupts.dio(2),
            "dio3": int(state.clock.running)
            if state.clock.supply_mv is not None
            else state.interrupts.dio(3),
        }

    def next_change(self) -> int:
        """See `Chip`."""
        return self._timeline.next

    @property
    def listening(self) -> bool:
        """See `Chip`."""
        return self._execution.receiver.listening

    def time_in(self, at_ns: int) -> Mapping[str, int]:
        """See `Chip`."""
        self._pass(at_ns)
        return self._state.meter.read(at_ns)

    def _heard(self, at_ns: int) -> None:
        # Looked up each time: the board sets it after the chip is made.
        self.on_world_change(at_ns)

    def _pass(self, at_ns: int) -> None:
        self._timeline.run(at_ns)
