"""A broker of our own on the loopback interface, for one run: started, watched, asked what it dropped, stopped."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from zaehlwerk_tools import plan
from zaehlwerk_tools.broker_program import BrokerProgram, find_program
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.free_port import free_port

HOST = "127.0.0.1"
READY_S = 10.0
STOP_S = 5.0
_TRIES = 3  # for a free port that somebody else takes before the broker does

MOSQUITTO_CONF = """\
listener {port} {host}
allow_anonymous true
persistence false
# The default keeps 1000 messages for a client and silently drops the rest, also for one that is connected.
max_queued_messages 0
# $SYS/broker/publish/messages/dropped is read at the end; it is as fresh as this many seconds.
sys_interval 1
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
"""

IOTCORE_CONF = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
"""


class BrokerProcess:
    """A running broker. Use as `async with await BrokerProcess.start(workdir) as broker`."""

    def __init__(
        self, program: BrokerProgram, port: int, process: asyncio.subprocess.Process, log: Path
    ) -> None:
        self.program = program
        self.address = plan.Broker(HOST, port)
        self._process = process
        self._log = log
        self._stopping = False

    @classmethod
    async def start(
        cls, workdir: Path, port: int | None = None, program: BrokerProgram | None = None
    ) -> BrokerProcess:
        """Starts it with its files in `workdir`, on `port` or any free one, and waits until it accepts connections.

        Raises BrokerError if the port is in use, or the program cannot be started or ends at once.
        """
        program = program or find_program()
        if port is not None:
            _require_free(port)
            return await cls._start(program, workdir, port)
        for left in range(_TRIES - 1, -1, -1):
            try:
                return await cls._start(program, workdir, free_port())
            except BrokerError:
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")

    @classmethod
    async def _start(cls, program: BrokerProgram, workdir: Path, port: int) -> BrokerProcess:
        conf = workdir / ("mosquitto.conf" if program.is_mosquitto else "iotcore.toml")
        log = workdir / "broker.log"
        text = (MOSQUITTO_CONF if program.is_mosquitto else IOTCORE_CONF).format(host=HOST, port=port)
        if program.is_mosquitto and hasattr(os, "geteuid") and os.geteuid() == 0:
            text += "# Started by root it would become nobody, who may read none of our files.\nuser root\n"
        conf.write_text(text, encoding="utf-8")
        option = "-c" if program.is_mosquitto else "--config"
        with log.open("wb") as sink:
            try:
                process = await asyncio.create_subprocess_exec(
                    program.path, option, conf, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink
                )
            except OSError as error:
                raise BrokerError(f"the broker {program.path} cannot be started: {error.strerror}") from error
        broker = cls(program, port, process, log)
        try:
            await broker._ready()
        except BaseException:
            await broker.stop()
            raise
        return broker

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(READY_S):
                await self._accepts()
        except TimeoutError:
            raise BrokerError(self._told(f"accepted no connection within {READY_S:.0f} s")) from None

    async def _accepts(self) -> None:
        while True:
            self.check()
            try:
                _, writer = await asyncio.open_connection(self.address.host, self.address.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return

    def check(self) -> None:
        """Raises BrokerError if the broker has died."""
        if self._process.returncode is not None and not self._stopping:
            raise BrokerError(self._told(f"ended with status {self._process.returncode}"))

    async def watch(self) -> NoReturn:
        """Waits for the broker's death, which it raises as BrokerError; cancel it before `stop`."""
        await self._process.wait()
        self._stopping = False
        raise BrokerError(self._told(f"ended with status {self._process.returncode}"))

    async def stop(self) -> None:
        """Ends it. Safe to call twice."""
        self._stopping = True
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    @property
    def pid(self) -> int:
        """Of the broker's process."""
        return self._process.pid

    def _told(self, what: str) -> str:
        last = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        said = f": {last[0]}" if last else ""
        return f"the broker {self.program.path} on {self.address.host}:{self.address.port} {what}{said}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            why = (
                "is in use"
                if getattr(error, "errno", None) == errno.EADDRINUSE
                else f"cannot be used ({error})"
            )
            raise BrokerError(f"port {port} on {HOST} {why}: choose another one for the broker") from None
