"""The store on a thread of its own: SQLite's waits for the disk stay off the event loop, and all work stays in order."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from zaehlwerk_bridge.store import Store

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreThread:
    """A workplace of the store, see `store_access.Workplace`."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._executor = ThreadPoolExecutor(1, "store")
        self._store: Store | None = None

    async def open(self) -> None:
        """Open the store; raises what that raises."""
        opening = asyncio.get_running_loop().run_in_executor(self._executor, self._open_store)
        try:
            self._store = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise

    @property
    def shared(self) -> bool:
        """Whether other bridges may work on the database as well."""
        return self._store is not None and self._store.shared

    @property
    def holds_back(self) -> bool:
        """Whether messages may wait for other bridges'. May be asked from any thread."""
        return self._store is not None and self._store.holds_back

    async def touch(self) -> None:
        """Return when what was asked before is done."""
        await asyncio.get_running_loop().run_in_executor(self._executor, lambda: None)

    async def call(
        self, function: Callable[Concatenate[Store, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Return `function(store, *args)`."""
        store = self._store
        assert store is not None
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: function(store, *args, **kwargs)
        )

    async def close(self, within_s: float) -> bool:
        """Finish what was begun and close the store. Whether that was done in time; else the thread goes on alone."""
        try:
            if self._store is None:
                return True
            closing = asyncio.get_running_loop().run_in_executor(self._executor, self._store.close)
            await asyncio.wait((closing,), timeout=within_s)
            if closing.done():
                closing.result()
                return True
            closing.cancel()
            return False
        finally:
            self._executor.shutdown(wait=False)

    @property
    def left_alone(self) -> bool:
        """Whether what is not done in time holds up the end of the program."""
        return True


def _close_late(opening: asyncio.Future[Store]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
