"""Which faults happen when: drawn from a seed, so that a run can be told beforehand and repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

PAUSE_S = (1.0, 4.0)
"""Between the beginnings of two faults."""
LASTING_S = (0.5, 4.0)
LONG_S = (4.0, 9.0)
"""Stopped so long, a bridge is taken for dead by others, and a server's clients have given up waiting."""
RECOVERY_S = 2.0
"""Before the same part fails again."""
DELAYS_S = (0.02, 0.2)
CRASH_POINTS = (
    "source.read",
    "transaction.begun",
    "commit.in-the-middle",
    "transaction.before-commit",
    "transaction.committed",
    "commit.before-acknowledge",
    "redis.before-xack",
    "redis.after-xack",
    "publish.before",
    "publish.sent",
    "puback.received",
    "last.received",
    "delete.before",
    "delete.before-commit",
    "delete.after",
)
"""Failpoints of the bridge (its module `failpoints`) that working passes again and again."""
CRASH_MOST = 12
"""A bridge dies when it is at the point for so many times at most: of three each has a third of the work."""

OF_REDIS = ("source.read", "redis.before-xack", "redis.after-xack")
"""Those of them that a bridge that reads from gRPC never passes."""
STEPS_S = (-86_400, -3600, -60, -5, 5, 60, 3600, 86_400)
"""By which a bridge's clock is put forwards or back."""
SERVER_STEPS_S = (-86_400, -3600, -30, 30, 3000, 14_000)
"""The same of the clock of network server and Redis; never so far that what is offered would be of the future."""
SERVER = "server"
"""The network server, with the machine that it and its Redis run on."""

SERVERS_KINDS = ("kill", "stop", "cut", "refuse", "stall", "delay", "half-open")
BRIDGE_KINDS = ("kill", "stop", "crash")
CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Fault:
    """At `at_s` of the run `kind` happens to `target` for `lasting_s`; `how`: more about it, by kind."""

    at_s: float
    kind: str
    target: str
    lasting_s: float
    how: str = ""

    def __str__(self) -> str:
        return (
            f"{self.at_s:7.1f} s  {self.kind} {self.target} {self.how}".rstrip()
            + f" for {self.lasting_s:.1f} s"
        )


def possible(
    bridges: Sequence[str], *, postgresql: bool, disk: bool, grpc: bool = False
) -> list[tuple[str, str]]:
    """(kind, target) of everything that can be done in a run. `grpc`: the bridges read from the network server itself."""
    servers = ["broker", "redis", *([SERVER] if grpc else []), *(["postgresql"] if postgresql else [])]
    # From gRPC no bridge has a connection to Redis, only the network server has.
    kinds = [
        (kind, server)
        for server in servers
        for kind in (("kill", "stop") if grpc and server == "redis" else SERVERS_KINDS)
    ]
    # The bridge itself twice as often as each of the others: it is what is tried.
    kinds += 2 * [(kind, bridge) for bridge in bridges for kind in BRIDGE_KINDS]
    kinds += [(CLOCK, one) for one in (*bridges, SERVER)]
    kinds.append(("acl", "broker"))
    if disk:
        kinds.append(("fill", "postgresql" if postgresql else "disk"))
    return kinds


def server_steps(faults: Sequence[Fault]) -> list[tuple[float, float, float]]:
    """From when until when the server's clock is off, and by how many seconds."""
    return [
        (fault.at_s, fault.at_s + fault.lasting_s, float(fault.how))
        for fault in faults
        if (fault.kind, fault.target) == (CLOCK, SERVER)
    ]


def schedule(
    seed: int, seconds: float, kinds: Sequence[tuple[str, str]], *, points: Sequence[str] = CRASH_POINTS
) -> list[Fault]:
    """The faults of a run, by their beginning. None ends later than `seconds`; each kind comes before one comes again.

    `points`: where bridges crash. Parts fail beside each other, but no part fails while it has failed already.
    """
    dice = random.Random(f"faults {seed}")
    whole_s: dict[str, float] = {}
    faults: list[Fault] = []
    at_s = dice.uniform(*PAUSE_S)
    waiting: list[tuple[str, str]] = []
    while at_s < seconds - LASTING_S[0]:
        if not waiting:
            waiting = list(kinds)
            dice.shuffle(waiting)
        free = [one for one in waiting if whole_s.get(one[1], 0.0) <= at_s]
        if free:
            kind, target = free[0]
            waiting.remove(free[0])
            lasting_s = min(_lasting_s(dice, kind), seconds - at_s)
            faults.append(
                Fault(round(at_s, 2), kind, target, round(lasting_s, 2), _how(dice, kind, target, points))
            )
            whole_s[target] = at_s + lasting_s + RECOVERY_S
        at_s += dice.uniform(*PAUSE_S)
    return faults


def _lasting_s(dice: random.Random, kind: str) -> float:
    return dice.uniform(*(LONG_S if kind == CLOCK or (kind == "stop" and dice.random() < 0.5) else LASTING_S))


def _how(dice: random.Random, kind: str, target: str, points: Sequence[str]) -> str:
    if kind == "crash":
        return f"{dice.choice(points)}:{dice.randrange(1, CRASH_MOST)}"
    if kind == "delay":
        return f"{dice.uniform(*DELAYS_S):.2f}"
    if kind == CLOCK:
        return str(dice.choice(SERVER_STEPS_S if target == SERVER else STEPS_S))
    return ""
