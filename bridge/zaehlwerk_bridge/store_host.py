"""The process in which a bridge's store works, see `store_process`: `python -m zaehlwerk_bridge.store_host SOCKET`.

It lives and dies with its bridge. Signals that end a bridge are for the bridge, which then closes the store; whatever
else ends the bridge ends this process at once, in the middle of what it does, as if they were one.
"""

import faulthandler
import os
import pickle
import signal
import socket
import sys
import traceback
from typing import Any

from zaehlwerk_bridge import failpoints
from zaehlwerk_bridge.collecting import collect_seldom
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_link import ENDING, LENGTH, packed

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Serve the bridge that started this process."""
    faulthandler.enable()
    bridge = os.getppid()
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    _die_with(bridge)
    failpoints.dies_as_well(bridge)
    collect_seldom()
    with socket.socket(fileno=int(sys.argv[1])) as link:
        _serve(link)
    os._exit(0)


def _serve(link: socket.socket) -> None:
    """Answer until the bridge has closed its end."""
    store: Store | None = None
    while True:
        request = _receive(link)
        if request is None:
            return
        answer: tuple[bool, Any]
        try:
            function, args, kwargs = pickle.loads(request)  # noqa: S301 - of the bridge that started this
            if function is None:
                store = args[0]()
                answer = True, None
            else:
                answer = True, function(store, *args, **kwargs)
            said = packed(answer)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            said = _told(error)
        link.sendall(said)


def _told(error: Exception) -> bytes:
    """`error` for who asked, with where it was raised; one that cannot be carried over, by its text."""
    where = "in the store's process:\n" + "".join(traceback.format_tb(error.__traceback__))
    error.add_note(where)
    try:
        said = packed((False, error))
        pickle.loads(said[LENGTH.size :])  # noqa: S301 - just made
    except Exception:  # noqa: BLE001 - what an error's class does when it is carried over is its own affair
        stands_for_it = RuntimeError(f"{type(error).__name__}: {error}")
        stands_for_it.add_note(where)
        said = packed((False, stands_for_it))
    return said


def _receive(link: socket.socket) -> bytearray | None:
    """One request; None at the end."""
    head = _exactly(link, LENGTH.size)
    return None if head is None else _exactly(link, LENGTH.unpack(head)[0])


def _exactly(link: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view = memoryview(data)
    at = 0
    while at < size:
        got = link.recv_into(view[at:])
        if not got:
            return None
        at += got
    return data


def _die_with(bridge: int) -> None:
    """Let the kernel end this process as soon as the bridge is gone, where it can (Linux)."""
    try:
        import ctypes  # noqa: PLC0415 - where no memory may be written and run it cannot be had: MemoryError

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (ImportError, MemoryError, OSError, AttributeError):
        pass  # it ends when it has read to the end of what the bridge asked for
    if os.getppid() != bridge:
        os._exit(0)  # it was gone before that


if __name__ == "__main__":
    main()
