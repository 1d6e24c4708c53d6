"""What the parts of an SX1262 share, and how it gets from one operating mode to another: SX1261/2 data sheet rev. 2.1,
chapters 8.3 and 9."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zaehlwerk_tools.simulator.chips import sx1262_timing as timing
from zaehlwerk_tools.simulator.chips.antenna import Antenna
from zaehlwerk_tools.simulator.chips.chip import Violation
from zaehlwerk_tools.simulator.chips.sx1262_clock import Clock
from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    ERROR_XOSC_START,
    IRQ_TIMEOUT,
    MODE_FS,
    MODE_RX,
    MODE_STDBY_RC,
    MODE_STDBY_XOSC,
    STATUS_EXECUTION_FAILURE,
    STATUS_PROCESSED,
    STATUS_TIMEOUT,
)
from zaehlwerk_tools.simulator.chips.sx1262_interrupts import Interrupts
from zaehlwerk_tools.simulator.chips.sx1262_registers import Registers
from zaehlwerk_tools.simulator.chips.sx1262_settings import Settings
from zaehlwerk_tools.simulator.chips.sx1262_timeline import Meter, Timeline

# Modes that no status byte shows: nobody answers then.
OFF: Final = -1
STARTING: Final = 0
SLEEP_COLD: Final = -2
SLEEP_WARM: Final = -3

ASLEEP: Final = (SLEEP_COLD, SLEEP_WARM)

BUFFER_SIZE: Final = 256

_CONSUMES: Final = {
    MODE_STDBY_RC: "standby_rc",
    MODE_STDBY_XOSC: "standby_xosc",
    MODE_FS: "fs",
    MODE_RX: "rx",
    SLEEP_COLD: "sleep_cold",
    SLEEP_WARM: "sleep_warm",
}


class State:
    """The chip's parts, and the few things that all of them look at. `stop` are those who end what they do on the air when
    the mode is left."""

    def __init__(
        self,
        antenna: Antenna,
        violations: list[Violation],
        *,
        tcxo_mv: int | None,
        dio2_switch: bool,
        seed: int,
    ) -> None:
        self.antenna = antenna
        self.violations = violations
        self.board_has_dio2_switch = dio2_switch
        self.timeline = Timeline()
        self.meter = Meter("off")
        self.interrupts = Interrupts()
        self.registers = Registers(seed)
        self.settings = Settings(self.complain)
        self.clock = Clock(tcxo_mv)
        self.buffer = bytearray(BUFFER_SIZE)
        self.mode = OFF
        self.busy = False
        self.status = STATUS_PROCESSED
        self.errors = 0
        self.stop: list[Callable[[int], None]] = []

    def complain(self, what: str) -> None:
        """The driver did what the data sheet forbids."""
        self.violations.append(Violation(self.timeline.now, what))


class Modes:
    """The ways between the modes."""

    def __init__(self, state: State) -> None:
        self._state = state

    def leave(self, at_ns: int) -> None:
        """Whatever was going on on the air ends."""
        for stop in self._state.stop:
            stop(at_ns)

    def settle(self, at_ns: int, mode: int) -> None:
        """In a mode at once. STDBY_RC and sleep switch the 32 MHz off."""
        state = self._state
        state.mode = mode
        state.meter.enter(at_ns, _CONSUMES[mode])
        if mode in (MODE_STDBY_RC, SLEEP_COLD, SLEEP_WARM):
            state.clock.running = False

    def busy_for(self, at_ns: int, duration_ns: int) -> None:
        """BUSY is high, the mode stays."""
        self._state.busy = True
        self._state.timeline.at("busy", at_ns + duration_ns, self._ready)

    def standby(self, at_ns: int) -> None:
        """STDBY_RC, from wherever."""
        self.leave(at_ns)
        self.settle(at_ns, MODE_STDBY_RC)

    def timed_out(self, at_ns: int) -> None:
        """STDBY_RC, because a time-out ended it (sections 13.1.4, 13.1.5)."""
        self.standby(at_ns)
        self._state.interrupts.happened(IRQ_TIMEOUT)
        self._state.status = STATUS_TIMEOUT

    def switch(
        self,
        at_ns: int,
        mode: int,
        arrived: Callable[[int], None] | None = None,
        *,
        consumes: str | None = None,
        ramp_ns: int = 0,
    ) -> int | None:
        """To a mode with 32 MHz: the TCXO's delay, then table 8-2, for sending also the PA's ramp; BUSY is high until then.

        Returns when the chip is there; None: the clock does not start, and the chip ends in STDBY_RC with an error.
        """
        state = self._state
        wait_ns, obstacle = 0, None
        if not state.clock.running:
            wait_ns, obstacle = state.clock.delay_ns, state.clock.obstacle()
        arrival_ns = at_ns + wait_ns + _switch_ns(state.mode, mode) + ramp_ns
        state.busy = True
        if obstacle is not None:
            state.complain(obstacle)
            state.meter.enter(at_ns, "standby_xosc")
            state.timeline.at("busy", arrival_ns, self._no_clock)
            return None
        state.clock.running = True
        there = consumes or _CONSUMES[mode]
        ahead = [(arrival_ns - ramp_ns, there)]
        if wait_ns and mode != MODE_STDBY_XOSC:
            ahead.insert(0, (at_ns + wait_ns, "fs"))
        state.meter.enter(at_ns, "standby_xosc" if wait_ns or mode == MODE_STDBY_XOSC else "fs", ahead)

        def arrive(now_ns: int) -> None:
            state.mode = mode
            state.busy = False
            if arrived is not None:
                arrived(now_ns)

        state.timeline.at("busy", arrival_ns, arrive)
        return arrival_ns

    def _ready(self, at_ns: int) -> None:
        self._state.busy = False

    def _no_clock(self, at_ns: int) -> None:
        state = self._state
        state.busy = False
        state.errors |= ERROR_XOSC_START
        state.status = STATUS_EXECUTION_FAILURE
        self.settle(at_ns, MODE_STDBY_RC)


def _switch_ns(here: int, there: int) -> int:
    # Where the table has nothing the PLL is running already: as from FS.
    duration_ns = timing.SWITCH.get((here, there)) or timing.SWITCH.get((MODE_FS, there))
    return duration_ns or timing.COMMAND
