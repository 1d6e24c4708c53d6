"""What makes a virtual board, and what can befall it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from zaehlwerk_tools.simulator.hardware import Hardware
from zaehlwerk_tools.simulator.hardware_sx1262 import HELTEC_V3
from zaehlwerk_tools.simulator.inputs import PulseInputs
from zaehlwerk_tools.simulator.scheduler import NS

BOOT_NS = 300_000_000
"""From reset to the first line of main.py on an ESP32, about."""

RTC_MEMORY = 2048

NAME_TABLE = {32: 8_890, 64: 0}
"""Bytes of heap of the table of names of a node that has 630 to 1,270 of them: MicroPython doubles it when it is full."""

STUB_HEAP = {32: 49_920 - NAME_TABLE[32], 64: 54_970}
"""Bytes of heap that the stand-ins for the ESP32's modules take, which cost a real one (almost) nothing; measured. On 32
bit, where heap is looked at, the stub makes the table large enough for everybody's names; the node pays for its own."""


INTERRUPT_HEAP = {32: 6_350, 64: 13_250}
"""The same for the interrupts of those boards that play trains of edges or serial lines; measured."""


SLEEP_HEAP = {32: 1_650, 64: 3_300}
"""The same for light sleep, of those boards that have a `sleep_ppm`; measured."""


class BoardError(RuntimeError):
    """A board's program crashed, ended or did what no board can; the text names board, time and traceback."""


class ResetCause(IntEnum):
    """machine.reset_cause() of the ESP32."""

    POWER_ON = 1
    HARD = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4
    SOFT = 5


@dataclass(frozen=True, slots=True)
class PowerCut:
    """The supply fails at `at_ns` and comes back at `restart_ns` (None: never). UTC Unix ns."""

    at_ns: int
    restart_ns: int | None


@dataclass(frozen=True, slots=True)
class FlashCut:
    """During boot number `boot` (0 is the first) the supply fails in the middle of the `operation`-th writing flash
    operation (1 is the first) and comes back `off_ns` later."""

    operation: int
    off_ns: int = NS
    boot: int = 0


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late a board's code may run, milliseconds: `code_ms` after a sleep (garbage collection, a slow interpreter),
    `irq_ms` an interrupt handler after its edge (a flash write). Drawn anew each time; `always`: as late as it may.
    `gc_ms` (at most 255): how long a `gc.collect()` takes, during which no handler runs; where trains of edges are played."""

    code_ms: int = 0
    irq_ms: int = 0
    always: bool = False
    gc_ms: int = 0


PUNCTUAL = Lateness()


@dataclass(frozen=True, slots=True)
class BoardSpec:
    """What makes one board. `number` > 0 is its name in the simulator; `files` are put on a new flash image.

    `ticks_ms`, `ticks_us`: what the ticks are at boot. `head_start_ns`: how far it may run ahead of the scheduler
    (None: as far as it can). `heap`: bytes for the node's own program, the stub's share comes on top (None: MicroPython's
    default, 1 or 2 MB). `hardware`: chips and pins. `analog_uv`: pin to µV. `may_end`: main.py may return (a node's never does).
    `strict`: an interrupt handler that allocates ends the program with a MemoryError. `probe`: every new peak of live heap
    is written to the board's log, with MicroPython's own account of its blocks. `hoard`: nothing is ever collected, and
    every hour the log is told what is allocated. `sleep_ppm`: how much faster than the time the ticks go in light sleep (None: 0,
    and the memory that light sleep takes in the stub is charged to the program).
    """

    number: int
    files: Mapping[str, bytes]
    inputs: PulseInputs
    boot_ns: int
    bits: int = 64
    heap: int | None = None
    crystal_ppb: int = 0
    ticks_ms: int = 0
    ticks_us: int = 0
    head_start_ns: int | None = 3600 * NS
    power_cuts: tuple[PowerCut, ...] = ()
    flash_cuts: tuple[FlashCut, ...] = ()
    hardware: Hardware = HELTEC_V3
    lateness: Lateness = PUNCTUAL
    battery_mv: int | None = None
    temperature_dc: int = 215
    analog_uv: Mapping[int, int] = field(default_factory=dict)
    may_end: bool = False
    seed: int | str = 0
    strict: bool = False
    probe: bool = False
    hoard: bool = False
    sleep_ppm: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """A board went down at `at_ns`: why ("power", or a ResetCause's name), and when it booted again."""

    at_ns: int
    cause: str
    boot_ns: int | None
