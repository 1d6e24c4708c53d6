"""One program at a time works on a database as its bridge: a lock beside it, which ends with whoever holds it."""

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from zaehlwerk_bridge.errors import BridgeError

SUFFIX = "-lock"
PATIENCE_S = 6.0
"""A bridge that was told to stop is gone within 5 s."""
_LOOK_S = 0.1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class StoreInUse(BridgeError):
    """Another program holds the lock."""


class StoreLock:
    """Held as long as it is entered. Entering raises StoreInUse after `patience_s`, BridgeError if there can be no lock.

    The file stays: it is the same one for everybody. It is not the database itself, for closing that a second time would
    end SQLite's own locks of it.
    """

    def __init__(self, database: Path, patience_s: float = PATIENCE_S) -> None:
        self._database = database
        self._patience_s = patience_s
        self._file = -1

    def __enter__(self) -> Self:
        path = self._database.with_name(self._database.name + SUFFIX)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in _FULL:
                return self  # a full disk is waited for, and told, by who opens the database
            raise BridgeError(f"{path}: {error.strerror}; setting `database` names the bridge's") from None
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    self._close()
                    raise BridgeError(f"{path}: cannot be locked: {error.strerror}") from None
            else:
                return self
            if time.monotonic() >= deadline:
                self._close()
                raise StoreInUse(f"{self._database}: a bridge is at work on it; stop that one first")
            time.sleep(_LOOK_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
