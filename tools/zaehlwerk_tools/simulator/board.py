"""A virtual board: one MicroPython process that runs the node's own program, and everything of the board outside it.

The process runs freely up to its next reception. What it does on the air is registered at once under the time it
happens at; only what it hears has to wait until everybody else has come that far. Power cuts and the head start are
known to the process beforehand, so that they happen exactly in time.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from zaehlwerk_tools.simulator import board_wire as wire
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.board_process import BoardProcess, log_tail
from zaehlwerk_tools.simulator.board_radio import BoardRadio
from zaehlwerk_tools.simulator.board_spec import (
    BOOT_NS,
    INTERRUPT_HEAP,
    RTC_MEMORY,
    SLEEP_HEAP,
    STUB_HEAP,
    BoardError,
    BoardSpec,
    FlashCut,
    PowerCut,
    Reset,
    ResetCause,
)
from zaehlwerk_tools.simulator.board_wire import NEVER_MS, Message, Op
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.flash_image import write_files
from zaehlwerk_tools.simulator.local_clock import LocalClock
from zaehlwerk_tools.simulator.nvs import Nvs
from zaehlwerk_tools.simulator.scheduler import FOREVER, NS, Handle, Scheduler
from zaehlwerk_tools.simulator.serial_line import SerialLine, SerialReceiver

__all__ = ["Board", "BoardError", "BoardSpec", "FlashCut", "PowerCut", "Reset", "ResetCause"]


class Board:
    """Runs one board of `spec` from `start()` to `stop()`. A gate of the scheduler."""

    def __init__(
        self,
        spec: BoardSpec,
        *,
        scheduler: Scheduler,
        air: Air,
        tree: NodeTree,
        micropython: Path,
        folder: Path,
    ) -> None:
        if spec.number < 1:
            raise ValueError(f"board number {spec.number}: must be positive")
        if spec.bits not in (32, 64):
            raise ValueError(f"bits {spec.bits}: MicroPython is 32 or 64")
        self.spec = spec
        self.name = f"board {spec.number}"
        self.flash = folder / f"board-{spec.number:03}.flash"
        self.log = folder / f"board-{spec.number:03}.log"
        self.bound_ns = spec.boot_ns
        self.resets: list[Reset] = []
        self.outputs: list[tuple[int, int, int]] = []  # (ns, pin, level)
        self.ended = False
        self.messages = 0
        self.light_sleep_ns = 0
        """How long its processor has been in light sleep; what a power cut ended is left out."""
        self.light_sleeps = 0
        self.serial_out: dict[int, bytes] = {}
        """What the program has written to each UART since the start."""
        self._receivers: dict[int, SerialReceiver] = {}
        self._scheduler = scheduler
        self.radio = BoardRadio(spec.hardware, air, spec.number, spec.battery_mv)
        self._outputs: dict[int, int] = {}
        self._spi_fits = False
        self._down_ns = 0
        self._tree = tree
        self._micropython = micropython
        self._nvs: Nvs | None = None
        self._process: BoardProcess | None = None
        self._buffer = bytearray()
        self._clock = LocalClock(spec.boot_ns, spec.crystal_ppb)
        self._cuts = sorted(spec.power_cuts, key=lambda cut: cut.at_ns)
        self._boots = 0
        self._memory = bytearray()
        self._rtc: tuple[int, int] | None = None  # (ns, µs since 2000) at which the clock was set
        self._peak_kib = 0
        self._cpu_s = 0.0
        self._handlers: dict[int, Callable[[Message], object]] = {
            Op.NOTICE: lambda message: None,
            Op.BEGGING: lambda message: None,
            Op.COUNT: self._count,
            Op.LEVEL: self._level,
            Op.EDGES: self._edges,
            Op.UART_OPEN: self._uart_open,
            Op.UART_READ: self._uart_read,
            Op.UART_STALL: self._uart_stall,
            Op.UART_WRITE: self._uart_write,
            Op.LINE: self._line,
            Op.LINE_LOW: self._line_low,
            Op.SPI_SETUP: self._spi_setup,
            Op.SPI: self._spi,
            Op.SPI_READ: self._spi_read,
            Op.SETTLE: self._settle,
            Op.I2C: self._i2c,
            Op.RESET: self._reset,
            Op.POWER_OFF: self._power_off,
            Op.ENDED: self._program_ended,
            Op.IDLE: self._idle,
            Op.LEASE: self._lease,
            Op.MEMORY_READ: self._memory_read,
            Op.MEMORY_WRITE: self._memory_write,
            Op.CLOCK_SET: self._clock_set,
            Op.NVS: self._nvs_request,
            Op.ANALOG: self._analog,
            Op.OUTPUT: self._output,
            Op.SLEPT: self._slept,
        }

    # -- the outside's view --------------------------------------------------------------------------------------

    @property
    def memory_peak_kib(self) -> int:
        """The most memory a process of this board has used (VmHWM), KiB."""
        if self._process is not None:
            self._peak_kib = max(self._peak_kib, self._process.memory_peak_kib())
        return self._peak_kib

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all of the board's processes so far."""
        return self._cpu_s + (self._process.cpu_s() if self._process is not None else 0.0)

    def start(self) -> None:
        """Make the flash image if there is none, and power the board up at its boot time."""
        if not self.flash.exists():
            write_files(self._micropython, self._tree.stub, self.flash, self.spec.files)
        self._nvs = Nvs(self.flash.with_suffix(".nvs"))
        self._scheduler.add_gate(self)
        self._boot(self.spec.boot_ns, ResetCause.POWER_ON)

    def stop(self) -> None:
        """Kill the process. The flash image keeps what was written."""
        self._kill()
        self._set_bound(FOREVER)

    def cut_power(self, at_ns: int, restart_ns: int | None) -> None:
        """Schedule a power cut while running. BoardError if the board can have run past `at_ns` already."""
        lead = self.spec.head_start_ns
        if lead is None or at_ns < self._scheduler.now_ns + lead:
            raise BoardError(
                f"{self.name}: a cut at {at_ns} ns is not certain to lie ahead of it; name it in BoardSpec.power_cuts, "
                "or bound head_start_ns and cut at least that far ahead"
            )
        self._cuts = sorted([*self._cuts, PowerCut(at_ns, restart_ns)], key=lambda cut: cut.at_ns)

    # -- life ----------------------------------------------------------------------------------------------------

    def _boot(self, at_ns: int, cause: ResetCause) -> None:
        spec = self.spec
        assert self._nvs is not None
        self._nvs.power_up()
        self._outputs.clear()
        if cause is ResetCause.POWER_ON:
            self._memory.clear()
            self._rtc = None
            # The program begins when the chips have had their supply for as long as the ESP32 takes to boot.
            self.radio.power_up(max(at_ns - BOOT_NS, self._down_ns))
        else:
            self.radio.released(at_ns)
        self._clock = LocalClock(at_ns, spec.crystal_ppb)
        self._buffer.clear()
        while self._cuts and self._cuts[0].at_ns <= at_ns:
            self._cuts.pop(0)
        boot = self._boots
        self._boots += 1
        digest = hashlib.sha256(f"{spec.seed}/boot/{spec.number}/{boot}".encode()).digest()
        record = wire.BOOT.pack(
            spec.ticks_ms if boot == 0 else 0,
            spec.ticks_us if boot == 0 else 0,
            *self._next_cut(),
            next((cut.operation for cut in spec.flash_cuts if cut.boot == boot), 0),
            NEVER_MS if spec.head_start_ns is None else 0,
            int.from_bytes(digest[:4], "little") & 0x3FFFFFFF,
            *self._time_of_day(at_ns),
            cause,
            spec.hardware.pcnt_units,
            hashlib.sha256(f"{spec.seed}/uid/{spec.number}".encode()).digest()[:8],
            _pins(self.radio.line_pins),
            _pins(self.radio.output_pins),
            0 if self.radio.chip.listening else NEVER_MS,
            spec.lateness.code_ms,
            spec.lateness.irq_ms,
            spec.lateness.always
            | spec.strict << 1
            | spec.probe << 2
            | spec.hoard << 3
            | spec.inputs.interrupting << 4
            | (spec.sleep_ppm is not None) << 5,
            spec.lateness.gc_ms,
            spec.sleep_ppm or 0,
        )
        self._receivers.clear()
        command = [str(self._micropython.with_name("micropython32" if spec.bits == 32 else "micropython"))]
        if spec.heap is not None:
            stub = STUB_HEAP[spec.bits] + spec.inputs.interrupting * INTERRUPT_HEAP[spec.bits]
            stub += (spec.sleep_ppm is not None) * SLEEP_HEAP[spec.bits]
            command += ["-X", f"heapsize={spec.heap + stub}"]
        with self.log.open("a") as log:
            log.write(f"--- boot {boot} at {at_ns / NS:.6f} s UTC, reset cause {cause.name}\n")
        self._set_bound(at_ns)
        self._process = self._start_process(command, record)

    def _start_process(self, command: list[str], record: bytes) -> BoardProcess:
        return BoardProcess(
            command,
            [str(self.flash), str(self._tree.node)],
            self._tree.stub,
            self.log,
            record,
            self._readable,
        )

    def _next_cut(self) -> tuple[int, int]:
        return self._clock.moment(self._cuts[0].at_ns if self._cuts else None, NEVER_MS)

    def _time_of_day(self, at_ns: int) -> tuple[int, int]:
        if self._rtc is None:
            return 0, 0
        set_ns, set_us = self._rtc
        now_us = set_us + (at_ns - set_ns) // 1000
        return now_us // 1_000_000, now_us % 1_000_000

    def _kill(self) -> None:
        if self._process is None:
            return
        self._peak_kib = self.memory_peak_kib
        self._cpu_s += self._process.cpu_s()
        self._process.kill()
        self._process = None

    def _fail(self, what: str, cause: Exception | None = None) -> None:
        self._kill()
        at = self.bound_ns / NS if self.bound_ns < FOREVER else self._scheduler.now_ns / NS
        error = BoardError(f"{self.name} at {at:.6f} s UTC: {what}; log {self.log}\n{log_tail(self.log)}")
        error.__cause__ = cause
        self._scheduler.fail(error)

    def _down(self, at_ns: int, cause: str, boot_ns: int | None) -> None:
        if cause == "power":
            self._down_ns = at_ns
            self.radio.power_down(at_ns)
        self._kill()
        self.resets.append(Reset(at_ns, cause, boot_ns))

    # -- messages ------------------------------------------------------------------------------------------------

    def _readable(self, data: bytes) -> None:
        if not data:
            self._fail("its MicroPython process ended")
            return
        self._buffer += data
        process = self._process
        for message in wire.split(self._buffer):
            self.messages += 1
            at_ns = self._clock.world_ns(message.ms, message.us)
            try:
                self._handlers[message.op](message)
            except (ValueError, LookupError, RuntimeError, struct.error) as error:
                self._fail(f"message {message.op}: {error!r}", error)
                return
            if self._process is not process or process is None:
                return
            if self.bound_ns < at_ns:
                self._set_bound(at_ns)

    def _set_bound(self, bound_ns: int) -> None:
        self.bound_ns = bound_ns
        self._scheduler.moved(bound_ns)

    def _answer(self, data: bytes) -> None:
        if self._process is not None:
            self._process.answer(data)

    def _moment(self, t_ns: int | None) -> tuple[int, int]:
        return self._clock.moment(t_ns, NEVER_MS)

    def _count(self, message: Message) -> None:
        pin, edge, filter_ns = wire.FILTERED.unpack(message.payload)
        now = self._clock.world_ns(message.ms, message.us)
        count, following = self.spec.inputs.count_and_next(pin, now, edge, filter_ns)
        self._answer(wire.COUNT.pack(count, *self._moment(following)))

    def _level(self, message: Message) -> None:
        if len(message.payload) == 1:
            pin, ms, us = message.payload[0], message.ms, message.us
        else:
            pin, ms, us = wire.LEVEL_AT.unpack(message.payload)
        battery = self.spec.hardware.battery
        if battery is not None and battery.enable is not None and pin == battery.enable[0]:
            level, following = 1 - battery.enable[1], None  # a pull resistor holds the divider off
        else:
            level, following = self.spec.inputs.level_and_next(pin, self._clock.world_ns(ms, us))
        self._answer(wire.LEVEL.pack(level, *self._moment(following)))

    def _edges(self, message: Message) -> None:
        pin, ms, us = wire.EDGES_AFTER.unpack(message.payload)
        after_ns = self._clock.world_ns(ms, us)
        train = self.spec.inputs.train(pin)
        moments = [self._moment(at) for at in train.after(after_ns, wire.EDGES_MOST)]
        moments += [(NEVER_MS, 0)] * (wire.EDGES_MOST - len(moments))
        level = train.level(after_ns)
        self._answer(wire.EDGES.pack(level, *(ms for ms, _ in moments), *(us for _, us in moments)))

    def _uart_open(self, message: Message) -> None:
        unit, pin, baud, room, idle = wire.UART_OPEN.unpack(message.payload)
        line = self.spec.inputs.serial.get(pin, SerialLine([], baud))
        self._receivers[unit] = SerialReceiver(line, self._now(message), baud, room, idle)
        self._answer_uart(message, unit, 0)

    def _uart_read(self, message: Message) -> None:
        self._answer_uart(message, *wire.UART_READ.unpack(message.payload))

    def _uart_stall(self, message: Message) -> None:
        unit, ms, us = wire.UART_STALL.unpack(message.payload)
        self._receivers[unit].deaf(self._clock.world_ns(ms, us), self._now(message))
        self._answer_uart(message, unit, 0)

    def _answer_uart(self, message: Message, unit: int, most: int) -> None:
        now, receiver = self._now(message), self._receivers[unit]
        data = receiver.read(now, most)
        left = receiver.waiting(now)
        self._answer(wire.UART.pack(left, len(data), *self._moment(receiver.next_interrupt())) + data)

    def _uart_write(self, message: Message) -> None:
        unit = message.payload[0]
        self.serial_out[unit] = self.serial_out.get(unit, b"") + message.payload[1:]

    def _now(self, message: Message) -> int:
        return self._clock.world_ns(message.ms, message.us)

    def _line(self, message: Message) -> None:
        now = self._line_low(message)
        self._answer(wire.LINES.pack(self.radio.levels(now), *self._moment(self.radio.known_ns())))

    def _line_low(self, message: Message) -> int:
        pin, level = message.payload
        now = self._now(message)
        self.radio.output(now, pin, level)
        return now

    def _spi_setup(self, message: Message) -> None:
        radio = self.spec.hardware.radio
        self._spi_fits = tuple(message.payload) == (radio.sck, radio.mosi, radio.miso, 0)

    def _spi(self, message: Message) -> bytes:
        end_ns = self._clock.world_ns(*wire.MOMENT.unpack_from(message.payload))
        out = message.payload[wire.MOMENT.size :]
        return self.radio.transfer(self._now(message), out, end_ns) if self._spi_fits else bytes(len(out))

    def _spi_read(self, message: Message) -> None:
        self._answer(self._spi(message))

    def _i2c(self, message: Message) -> None:
        sda, scl, address, count = message.payload[:4]
        chip = self.spec.hardware.power_chip
        now = self._now(message)
        if chip is None or (sda, scl, address) != (chip.sda, chip.scl, chip.address):
            self._answer(bytes(1 + count))
        else:
            self._answer(b"\1" + self.radio.i2c(now, message.payload[4:], count))

    def _settle(self, message: Message) -> None:
        now = self._now(message)
        until_ns = max(now, self._clock.world_ns(*wire.MOMENT.unpack(message.payload)))
        process, radio = self._process, self.radio
        waiting: list[Handle] = []

        def answer(at_ns: int) -> None:
            at = self._moment(max(at_ns, now))
            levels = radio.levels(max(at_ns, now))
            self._answer(wire.SETTLED.pack(levels, *at, *self._moment(radio.known_ns())))

        def reached(at_ns: int) -> None:
            # The world has come here, or what was heard has changed a line.
            radio.chip.on_world_change = lambda at_ns: None
            for handle in waiting:
                handle.cancel()
            if self._process is process:
                self._set_bound(self._scheduler.now_ns)
                answer(at_ns)

        if not radio.chip.listening:
            answer(min(until_ns, max(now, radio.known_ns() or until_ns)))
            return
        target_ns = min(until_ns, max(now, radio.chip.next_change()))
        target_ns = max(target_ns, self._scheduler.now_ns)
        waiting.append(self._scheduler.at(target_ns, lambda: reached(target_ns), owner=self.spec.number))
        radio.chip.on_world_change = reached
        self._set_bound(FOREVER)

    def _reset(self, message: Message) -> None:
        cause, pause_ms = wire.RESET.unpack(message.payload)
        at_ns = self._clock.world_ns(message.ms, message.us)
        # After a reception the world may have moved on a little already.
        boot_ns = max(at_ns + pause_ms * 1_000_000 + BOOT_NS, self.bound_ns)
        self._down(at_ns, ResetCause(cause).name, boot_ns)
        cut = next((cut for cut in self._cuts if cut.at_ns < boot_ns), None)
        if cut is not None:
            self._off(cut.restart_ns)
        else:
            self._boot(boot_ns, ResetCause(cause))

    def _power_off(self, message: Message) -> None:
        at_ns = self._clock.world_ns(message.ms, message.us)
        if self._cuts and self._cuts[0].at_ns <= at_ns + 1000:
            cut = self._cuts.pop(0)
            at_ns = min(at_ns, max(cut.at_ns, self._clock.boot_ns))
            restart_ns = cut.restart_ns
        else:
            flash_cut = next(cut for cut in self.spec.flash_cuts if cut.boot == self._boots - 1)
            restart_ns = at_ns + flash_cut.off_ns
        self._down(at_ns, "power", restart_ns)
        self._off(restart_ns)

    def _off(self, restart_ns: int | None) -> None:
        if restart_ns is not None:
            restart_ns = max(restart_ns, self._scheduler.now_ns)
            at_ns = restart_ns
            self._scheduler.at(at_ns, lambda: self._boot(at_ns, ResetCause.POWER_ON), owner=self.spec.number)
        self._set_bound(FOREVER)

    def _program_ended(self, message: Message) -> None:
        if message.payload[0]:
            self._fail("its program crashed")
        elif not self.spec.may_end:
            self._fail("main.py returned, a node never does")
        else:
            self.ended = True
            self._kill()
            self._set_bound(FOREVER)

    def _idle(self, message: Message) -> None:
        self._set_bound(FOREVER)

    def _lease(self, message: Message) -> None:
        lead = self.spec.head_start_ns
        assert lead is not None
        now = self._clock.world_ns(message.ms, message.us)
        process = self._process

        def go_on() -> None:
            if self._process is process:
                self._set_bound(now)
                until = self._moment(self._scheduler.now_ns + lead)
                self._answer(wire.MOMENT.pack(*until) + wire.MOMENT.pack(*self._next_cut()))

        self._scheduler.at(max(now - lead // 2, self._scheduler.now_ns), go_on, owner=self.spec.number)
        self._set_bound(FOREVER)

    def _memory_read(self, message: Message) -> None:
        (at,) = struct.unpack("<H", message.payload)
        part = bytes(self._memory[at : at + wire.MEMORY_PART])
        self._answer(struct.pack("<HH", len(self._memory), len(part)) + part)

    def _memory_write(self, message: Message) -> None:
        at, total = struct.unpack_from("<HH", message.payload)
        if total > RTC_MEMORY:
            raise ValueError(f"RTC memory of {total} B: the ESP32 has {RTC_MEMORY}")
        del self._memory[at:]
        self._memory += message.payload[4:]

    def _clock_set(self, message: Message) -> None:
        seconds, microseconds = wire.CLOCK.unpack(message.payload)
        at_ns = self._clock.world_ns(message.ms, message.us)
        self._rtc = (at_ns, seconds * 1_000_000 + microseconds)

    def _nvs_request(self, message: Message) -> None:
        assert self._nvs is not None
        self._answer(self._nvs.answer(message.payload))

    def _analog(self, message: Message) -> None:
        kind, number = message.payload
        spec = self.spec
        self._answer(wire.ANALOG.pack(spec.temperature_dc if kind else self._voltage_uv(number)))

    def _voltage_uv(self, pin: int) -> int:
        # The battery behind its divider, if the pin measures it and the program has switched the divider on.
        battery, millivolts = self.spec.hardware.battery, self.spec.battery_mv
        if battery is None or battery.pin != pin or millivolts is None:
            return self.spec.analog_uv.get(pin, 0)
        if battery.enable is not None and self._outputs.get(battery.enable[0]) != battery.enable[1]:
            return 0
        return millivolts * 1000 * battery.num // battery.den

    def _slept(self, message: Message) -> None:
        begun_ns = self._clock.world_ns(*wire.MOMENT.unpack(message.payload))
        self.light_sleep_ns += self._clock.world_ns(message.ms, message.us) - begun_ns
        self.light_sleeps += 1

    def _output(self, message: Message) -> None:
        pin, level = message.payload
        self._outputs[pin] = level
        self.outputs.append((self._clock.world_ns(message.ms, message.us), pin, level))


def _pins(pins: Sequence[int]) -> bytes:
    # Six places in the boot record; 255 is no pin.
    return bytes(pins).ljust(6, b"\xff")
