"""Points at which the program can be told to kill itself, so that tests can try a crash between any two steps.

`ZAEHLWERK_FAILPOINT=NAME[:COUNT]` in the environment: the bridge ends by SIGKILL, as in a power cut, when it comes to
the point NAME for the COUNTth time (1 if not given). Without the variable a point is a call of an empty function.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping

VARIABLE = "ZAEHLWERK_FAILPOINT"
EXIT_BAD_INPUT = 2

FAILPOINTS: Mapping[str, str] = {
    "source.read": "entries were read from Redis, nothing of them is stored",
    "transaction.before-begin": "a transaction of the store is about to begin",
    "transaction.begun": "it has begun, nothing is written in it",
    "commit.in-the-middle": "an event of several is folded into the ledger, others are not",
    "transaction.before-commit": "everything of it is written, nothing is durable",
    "transaction.committed": "it is durable, nobody has been told",
    "commit.before-acknowledge": "events are durable, the source does not know it",
    "redis.before-xack": "entries are about to be acknowledged",
    "redis.after-xack": "Redis has taken the acknowledgement",
    "reconcile.before-commit": "what the broker holds of a station is compared, nothing is durable",
    "publish.before": "a message is about to be handed to the connection",
    "publish.sent": "messages were written to the socket",
    "puback.received": "the broker has taken a message, its row is still in the outbox",
    "last.received": "the broker has taken a newest interval, which is in no outbox",
    "delete.before": "acknowledged rows are about to be deleted",
    "delete.before-commit": "they are deleted, that is not durable",
    "delete.after": "they are gone",
    "quarantine.before": "a message that the broker can never take is about to be put among the rejected ones",
    "quarantine.before-commit": "it is there and no more in the outbox, that is not durable",
    "quarantine.after": "it is durable, the publisher still holds the message",
    "command.before-acknowledge": "a command of the platform is durable, the broker does not know it",
    "enqueue.begun": "it is durable that a frame is being put into the server's queue, the server was not asked",
    "enqueue.taken": "the server has put it there, the store does not know it",
    "enqueue.noted": "the store knows it",
    "takeover.done": "messages of a bridge that is gone are this one's, durably, and nothing of them is published",
    "migration.before-commit": "a step of the schema is done, nothing is durable",
    "migration.after": "a step is durable, others follow",
    "housekeeping.forgetting": "old rows are deleted, that is not durable",
    "housekeeping.forgotten": "they are gone",
}
"""What has happened at each point."""


def armed(value: str) -> tuple[str, int]:
    """The point and the count that a value of the variable names. Raises ValueError."""
    name, _, count = value.partition(":")
    if name not in FAILPOINTS:
        raise ValueError(f"there is no point {name!r}; known are {', '.join(FAILPOINTS)}")
    if count and (not count.isdecimal() or int(count) < 1):
        raise ValueError(f"{count!r} is no count, which is 1 or more")
    return name, int(count or 1)


_WITH_IT: list[int] = []


def dies_as_well(pid: int) -> None:
    """Say that this process and `pid` are one program: a point ends both, `pid` first."""
    _WITH_IT.append(pid)


def killing(name: str, count: int) -> Callable[[str], None]:
    """A function that kills the process when it is called with `name` for the `count`th time, from any thread."""
    left = count
    lock = threading.Lock()

    def reached(point: str) -> None:
        nonlocal left
        if point != name:
            return
        with lock:
            left -= 1
            if not left:
                for pid in (*_WITH_IT, os.getpid()):
                    os.kill(pid, signal.SIGKILL)

    return reached


def _nothing(point: str) -> None:
    """Say that the program is at `point`."""


failpoint: Callable[[str], None] = _nothing
"""Say that the program is at a point of FAILPOINTS."""
if os.environ.get(VARIABLE):
    try:
        failpoint = killing(*armed(os.environ[VARIABLE]))
    except ValueError as _error:
        sys.stderr.write(f"{VARIABLE}: {_error}\n")
        raise SystemExit(EXIT_BAD_INPUT) from None
