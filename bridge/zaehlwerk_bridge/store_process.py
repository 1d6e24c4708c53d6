"""The store in a process of its own: what it computes then takes no turns with the event loop for one interpreter.

The process is `store_host`, what they say to each other `store_link`.
"""

import asyncio
import contextlib
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_link import ENDING, LENGTH, packed

_P = ParamSpec("_P")
_T = TypeVar("_T")

_BUFFER_BYTES = 1 << 20
_KILLED_S = 5.0


class StoreGone(Exception):
    """The store's process has ended without being told to. What it did not commit was undone, as after a power cut."""


class StoreProcess:
    """A workplace of the store, see `store_access.Workplace`; `open_store` can be pickled, and so can all calls.

    Of a SQLite file, which no other bridge works on.
    """

    shared = False
    holds_back = False
    left_alone = False  # it can be killed

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._gone: StoreGone | None = None

    async def open(self) -> None:
        """Start the process if there is none, and open the store there; raises what that raises."""
        if self._process is None:
            await self._start()
        await self._ask(None, (self._open_store,), {})

    async def touch(self) -> None:
        """Return when what was asked before is done."""
        if self._writer is not None:
            await self._ask(_nothing, (), {})

    async def call(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return `function(store, *args)`. Raises StoreGone if the process has ended, and then always."""
        value: _T = await self._ask(function, args, kwargs)
        return value

    async def close(self, within_s: float) -> bool:
        """Finish what was begun, close the store and end the process, or kill it. Whether that was done in time."""
        process, writer = self._process, self._writer
        if process is None or writer is None:
            return True
        closing = asyncio.create_task(self._ask(_close, (), {}))
        await asyncio.wait((closing,), timeout=within_s)
        in_time = closing.done()
        try:
            if in_time:
                with contextlib.suppress(StoreGone):
                    closing.result()
            else:
                closing.cancel()
        finally:
            if self._reading is not None:
                self._reading.cancel()
                await asyncio.gather(self._reading, return_exceptions=True)
            writer.close()  # the process ends when it sees that
            if not in_time:
                process.kill()
            try:
                await asyncio.to_thread(process.wait, _KILLED_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return in_time

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        words = [sys.executable, "-P", "-m", "zaehlwerk_bridge.store_host", str(theirs.fileno())]
        try:
            # It inherits that they are held back, until it has said that it does not want them.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
            try:
                with theirs:
                    # On this thread: the kernel ends it with the thread that started it.
                    self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - a moment, once; words of ours
                        words, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),)
                    )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            reader, self._writer = await asyncio.open_connection(sock=ours, limit=_BUFFER_BYTES)
        except BaseException:
            ours.close()
            raise
        self._reading = asyncio.create_task(self._read(reader))

    async def _ask(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._gone is not None:
            raise self._gone
        assert self._writer is not None
        request = packed((function, args, kwargs))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._writer.write(request)
        return await answer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand the answers to who waits for them, until the process is gone."""
        try:
            await self._hand_on(reader)
        except (asyncio.IncompleteReadError, OSError):
            reason = f"the store's process has ended: {await self._why()}"
        except Exception as error:  # noqa: BLE001 - what it has done is not known: as if it had not answered
            reason = (
                f"the store's process is ended, its answer cannot be read: {type(error).__name__}: {error}"
            )
            assert self._process is not None
            self._process.kill()
        self._gone = StoreGone(reason)
        while self._asked:
            asked = self._asked.popleft()
            if not asked.cancelled():
                asked.set_exception(self._gone)

    async def _hand_on(self, reader: asyncio.StreamReader) -> None:
        while True:
            (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
            done, value = pickle.loads(await reader.readexactly(length))  # noqa: S301 - our own process
            asked = self._asked.popleft()
            if asked.cancelled():
                continue
            if done:
                asked.set_result(value)
            else:
                asked.set_exception(value)

    async def _why(self) -> str:
        assert self._process is not None
        try:
            status = await asyncio.to_thread(self._process.wait, _KILLED_S)
        except subprocess.TimeoutExpired:
            return "it speaks no more"
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def _nothing(_store: Store) -> None:
    """Be asked."""


def _close(store: Store | None) -> None:
    if store is not None:
        store.close()
