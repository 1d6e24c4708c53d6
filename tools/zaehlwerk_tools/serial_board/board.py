"""A virtual board whose program runs in real time behind a serial line.

The simulator's board, with two differences. It is no gate: the world goes by the clock and waits for nobody, so what
the board says is taken as said now, should it come late. And its process does what a REPL tells it, from `boot.py` on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.serial_board.process import SerialProcess
from zaehlwerk_tools.serial_board.repl import Repl, SoftResetError
from zaehlwerk_tools.serial_board.session import Asking, Turn, Wants
from zaehlwerk_tools.serial_board.wire import (
    ASK_STDIN,
    ASK_TURN,
    STDIN,
    STDIN_MOST,
    TURN,
    WAITED,
    Flag,
    Kind,
    Op,
    Result,
)
from zaehlwerk_tools.simulator import board_wire as wire
from zaehlwerk_tools.simulator.air import Air
from zaehlwerk_tools.simulator.board import Board
from zaehlwerk_tools.simulator.board_spec import BOOT_NS, BoardSpec, ResetCause
from zaehlwerk_tools.simulator.board_wire import Message
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.simulator.local_clock import LocalClock
from zaehlwerk_tools.simulator.scheduler import FOREVER, Handle, Scheduler

CTRL_C = 3
PATIENCE_NS = 50_000_000
"""So long a program may go on after Ctrl-C before a signal stops it: it then asks nothing of the simulator."""
LAST_PATIENCE_NS = 1_000_000_000
"""So long it may say nothing after the signal."""
_MACHINES = {"esp32": "Generic ESP32 module with ESP32", "esp32s3": "Generic ESP32S3 module with ESP32S3"}
RELEASE = "MicroPython v1.26.0 on 2025-08-09"


@dataclass(frozen=True, slots=True)
class _LiveClock(LocalClock):
    """What the board says is not said before now."""

    scheduler: Scheduler | None = None

    def world_ns(self, ms: int, us: int = 0) -> int:
        assert self.scheduler is not None
        return max(LocalClock.world_ns(self, ms, us), self.scheduler.now_ns)


class SerialBoard(Board):
    """A board whose line says `say(data)` and hears `hear(data)`. `slow_flash`: writing takes as long as on NOR flash."""

    def __init__(
        self,
        spec: BoardSpec,
        say: Callable[[bytes], None],
        *,
        scheduler: Scheduler,
        air: Air,
        tree: NodeTree,
        micropython: Path,
        folder: Path,
        slow_flash: bool = True,
        raw_paste: bool = True,
    ) -> None:
        super().__init__(
            spec, scheduler=scheduler, air=air, tree=tree, micropython=micropython, folder=folder
        )
        self.bound_ns = FOREVER
        self._say = say
        self._slow_flash = slow_flash
        self._machine = _MACHINES[spec.hardware.mcu]
        self._raw_paste = raw_paste
        self.prompt = asyncio.Event()
        """Set while it waits for what is typed, at the friendly or the raw prompt."""
        self._input: deque[int] = deque()
        self._new_session()
        self._dog = (0, 0)
        self._asked: tuple[Message, Handle] | None = (
            None  # what the board waits on, and when it is answered anyway
        )
        self._interrupt_due = False
        self._interrupt_main = False  # Ctrl-C came while the board starts
        self._struck = False  # by a signal, in this turn
        self._output_ended = False  # of this turn
        self._keep_session = False
        self._restarting = False
        self._untold = False  # there is input that the program was not woken by
        self._alive = False  # the program has begun to ask
        self._handlers.update(
            {
                Op.TURN: self._turn_asked,
                Op.WAIT: self._wait_asked,
                Op.STDIN: self._stdin_asked,
                Op.RAW: self._raw_output,
                Op.END_OF_OUTPUT: self._end_of_output,
                Op.BROKEN: lambda message: self._recover(),
            }
        )

    # -- the line ------------------------------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        """Bytes that came over the line. Without power nobody hears them; a board that starts does so a little later."""
        if self._process is None and not self._restarting:
            return
        for byte in data:
            if byte != CTRL_C or self.prompt.is_set():
                self._input.append(byte)
                self._untold = True
            elif self._running:
                self._interrupt()
            else:
                self._interrupt_main = True
        self._go_on()

    def room(self, there_is: bool) -> None:
        """Whether the line takes more output; without it the program waits in `print`."""
        if isinstance(self._process, SerialProcess):
            self._process.listen(there_is)

    def power_off(self) -> None:
        """As when the cable that feeds it is pulled."""
        if self._process is not None or self._restarting:
            self._down(self._scheduler.now_ns, "power", None)
        self._restarting = False

    def power_on(self) -> None:
        """And put in again. A flash image that is there is used as it is."""
        if not self.has_power:
            self._boot(self._scheduler.now_ns, ResetCause.POWER_ON)

    @property
    def has_power(self) -> bool:
        """Whether its program runs, or is about to."""
        return self._process is not None or self._restarting

    # -- life ----------------------------------------------------------------------------------------------------

    def _new_session(self) -> None:
        self._repl = Repl(self._say, f"{RELEASE}; {self._machine}", raw_paste=self._raw_paste)
        self._open_session()

    def _open_session(self) -> None:
        self._session: Asking[None] = self._repl.boot()
        self._wanted: Wants | Turn = next(self._session)
        self._running = False
        self.prompt.clear()

    def _boot(self, at_ns: int, cause: ResetCause) -> None:
        if cause is not ResetCause.SOFT:
            self._new_session()
            self._dog = (0, 0)
        elif not self._keep_session:
            self._open_session()
        self._keep_session = self._struck = False
        if cause is ResetCause.POWER_ON:
            self._input.clear()
        self._forget_question()
        self._interrupt_due = False
        self._restarting = False
        self._alive = False
        super()._boot(at_ns, cause)
        self._clock = _LiveClock(at_ns, self.spec.crystal_ppb, self._scheduler)

    def _start_process(self, command: list[str], record: bytes) -> SerialProcess:
        return SerialProcess(
            [
                *command,
                str(self._tree.node / "main.py"),
                "{in}",
                "{out}",
                str(self.flash),
                str(self._tree.node),
                self._machine,
                str(int(self._slow_flash)),
                str(self._dog[0]),
                str(self._dog[1]),
            ],
            path=self._tree.stub,
            log=self.log,
            boot_record=record,
            readable=self._readable,
            printed=self._printed,
        )

    def _set_bound(self, bound_ns: int) -> None:
        """The world does not wait for a board in real time."""

    def _fail(self, what: str, cause: Exception | None = None) -> None:
        if cause is None and self._struck:
            self._recover()
        elif cause is None and self._alive:
            # Its process ended: an ESP32 panics, and starts again.
            self._restart(ResetCause.HARD, 0)
        else:
            super()._fail(what, cause)

    def _reset(self, message: Message) -> None:
        cause, pause_ms = wire.RESET.unpack(message.payload)
        if cause == ResetCause.SOFT:
            self._soft_reset()
        else:
            self._restart(ResetCause(cause), pause_ms)

    def _restart(self, cause: ResetCause, pause_ms: int) -> None:
        self._drain()
        now = self._scheduler.now_ns
        boot_ns = now + pause_ms * 1_000_000 + BOOT_NS
        self._down(now, cause.name, boot_ns)
        self._input.clear()
        self._restarting = True
        self._interrupt_main = self._interrupt_due

        def start() -> None:
            if self._restarting:
                self._boot(boot_ns, cause)

        self._scheduler.at(boot_ns, start, owner=self.spec.number)

    def _soft_reset(self) -> None:
        self._drain()
        if self._running and isinstance(self._wanted, Turn) and self._wanted.delimited:
            self._say(b"\x04\x04")  # machine.soft_reset() ends the turn that calls it
        self._say(b"MPY: soft reboot\r\n")
        now = self._scheduler.now_ns
        self._down(now, ResetCause.SOFT.name, now)
        self._boot(now, ResetCause.SOFT)

    def _down(self, at_ns: int, cause: str, boot_ns: int | None) -> None:
        self._forget_question()
        super()._down(at_ns, cause, boot_ns)

    def _idle(self, message: Message) -> None:
        """Nothing but a byte or an interrupt will wake it."""

    # -- questions -----------------------------------------------------------------------------------------------

    def _turn_asked(self, message: Message) -> None:
        result, ms, us, *dog = ASK_TURN.unpack(message.payload)
        self._dog = (dog[0], dog[1])
        self._alive = True
        self._drain()
        self._turn_outran_interrupt()
        if self._struck and result != Result.INTERRUPTED:
            # The signal came too late for the turn, and nobody knows where it strikes or struck.
            self._replace_process(result)
            return
        self._struck = False
        if self._running:
            assert isinstance(self._wanted, Turn)
            if self._wanted.delimited:
                self._say(b"\x04")
            self._running = False
            self._advance(result)
        self._ask(message, ms, us)
        self._go_on()

    def _wait_asked(self, message: Message) -> None:
        self._ask(message, *wire.MOMENT.unpack(message.payload))
        if self._interrupt_due:
            self._reply(Flag.INTERRUPT)
        elif self._untold:
            self._reply(Flag.INPUT)

    def _stdin_asked(self, message: Message) -> None:
        _, ms, us = ASK_STDIN.unpack(message.payload)
        self._ask(message, ms, us)
        if self._interrupt_due:
            self._reply(Flag.INTERRUPT)
        elif self._input:
            self._reply(Flag.INPUT)

    def _raw_output(self, message: Message) -> None:
        self._drain()
        self._say(message.payload)
        self._answer(b"\1")

    def _end_of_output(self, message: Message) -> None:
        self._drain()
        if isinstance(self._wanted, Turn) and self._wanted.delimited:
            self._say(b"\x04")
        self._output_ended = True
        self._turn_outran_interrupt()
        self._answer(b"\1")

    def _turn_outran_interrupt(self) -> None:
        """Ctrl-C came just before the end. What ended is ended; after boot.py it is main.py that is meant."""
        if self._interrupt_due and self._running and isinstance(self._wanted, Turn):
            self._interrupt_main = self._wanted.kind is Kind.FILE
        self._interrupt_due = False

    def _ask(self, message: Message, ms: int, us: int) -> None:
        """The board waits, until it is so late on its clock."""
        until_ns = max(self._scheduler.now_ns, self._clock.world_ns(ms, us))
        handle = self._scheduler.at(until_ns, lambda: self._reply(Flag(0)), owner=self.spec.number)
        self._asked = (message, handle)

    def _forget_question(self) -> None:
        if self._asked is not None:
            self._asked[1].cancel()
        self._asked = None

    def _reply(self, flags: Flag, turn: Turn | None = None) -> None:
        """Answer what the board waits on."""
        if self._asked is None:
            return
        message = self._asked[0]
        self._forget_question()
        if flags & Flag.INTERRUPT:
            self._interrupt_due = False
        if message.op == Op.STDIN or flags & Flag.INPUT:
            self._untold = False
        moment = self._moment(self._scheduler.now_ns)
        if message.op == Op.TURN:
            kind, source = (Kind.WAITING, b"") if turn is None else (turn.kind, turn.source)
            self._answer(TURN.pack(*moment, flags, kind, len(source)) + source)
        elif message.op == Op.WAIT:
            self._answer(WAITED.pack(*moment, flags))
        else:
            most = ASK_STDIN.unpack(message.payload)[0]
            if most:
                count = 0 if flags & Flag.INTERRUPT else min(most, len(self._input))
                data = bytes(self._input.popleft() for _ in range(count))
            else:
                count, data = min(STDIN_MOST, len(self._input)), b""
            self._answer(STDIN.pack(*moment, flags, count) + data)

    def _go_on(self) -> None:
        """Do what can be done with the bytes that are there."""
        asked = None if self._asked is None else self._asked[0].op
        if (asked == Op.STDIN and self._input) or (asked == Op.WAIT and self._untold):
            self._reply(Flag.INPUT)
            return
        while asked == Op.TURN and not self._running:
            if isinstance(self._wanted, Turn):
                self._running = True
                self._output_ended = False
                self.prompt.clear()
                self._reply(Flag(0), self._wanted)
                if self._interrupt_main and self._wanted.source == b"main.py":
                    self._interrupt_main = False
                    self._interrupt()
            elif self._input:
                try:
                    self._advance(self._input.popleft())
                except SoftResetError:
                    self._soft_reset()
                    return
            else:
                self._interrupt_main = False
                self.prompt.set()
                return

    def _advance(self, sent: int) -> None:
        self._wanted = self._session.send(sent)

    # -- interrupts and output -----------------------------------------------------------------------------------

    def _interrupt(self) -> None:
        """Ctrl-C while a program runs."""
        if self._asked is not None:
            self._reply(Flag.INTERRUPT)
            return
        # A board that waits for its radio's lines is told of them, and asks to wait again.
        self.radio.chip.on_world_change(self._scheduler.now_ns)
        self._interrupt_due = True
        process = self._process

        def strike() -> None:
            if self._interrupt_due and self._process is process and isinstance(process, SerialProcess):
                self._interrupt_due = False
                self._struck = True
                messages = self.messages
                process.interrupt()
                self._at(LAST_PATIENCE_NS, lambda: give_up(messages))

        def give_up(messages: int) -> None:
            if self._process is not process or not self._struck:
                return
            if self.messages == messages and self._asked is None:
                self._recover()
            else:
                now = self.messages
                self._at(LAST_PATIENCE_NS, lambda: give_up(now))

        self._at(PATIENCE_NS, strike)

    def _at(self, pause_ns: int, callback: Callable[[], None]) -> None:
        self._scheduler.at(self._scheduler.now_ns + pause_ns, callback, owner=self.spec.number)

    def _recover(self) -> None:
        """The interrupted program is torn apart: the process is another one now, and the REPL goes on as if nothing was.

        What the program had in memory is lost; what was on flash is as a power cut would have left it.
        """
        self._drain()
        delimited = isinstance(self._wanted, Turn) and self._wanted.delimited
        if delimited and not self._output_ended:
            self._say(b"\x04")
        self._say(b"Traceback (most recent call last):\r\nKeyboardInterrupt: \r\n")
        self._replace_process(Result.INTERRUPTED)

    def _replace_process(self, result: int) -> None:
        """The turn has ended with `result`; the process is another one from now on, and the REPL goes on."""
        if isinstance(self._wanted, Turn) and self._wanted.delimited:
            self._say(b"\x04")
        now = self._scheduler.now_ns
        self._down(now, "INTERRUPTED", now)
        self._running = False
        self._advance(result)
        self._keep_session = True
        self._boot(now, ResetCause.SOFT)

    def _drain(self) -> None:
        if isinstance(self._process, SerialProcess):
            self._process.drain()

    def _printed(self, data: bytes) -> None:
        self._say(data.replace(b"\n", b"\r\n"))
