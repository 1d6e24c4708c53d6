"""No frame that a device has to refuse changes more than the count of refusals; more than 10,000 of them in
each run."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from firmware.tests.oracle import mutations
from firmware.tests.oracle.device import APP_KEY, Device, state_of
from firmware.tests.oracle.mutations import Scene, Session
from firmware.tests.oracle.network import Accept, Data, Keys
from firmware.tests.oracle.server import NET_ID, Server

EACH = 500
SEEDS = range(5)
# Data rates of the windows: the uplink's in the first (RX1DROffset 0), RX2DataRate in the second, with their
# N.
LONGEST = {1: 242, 2: 51}
REFUSALS = frozenset({"refused"})


class World:
    """A device whose session before this one was its own too, with downlinks taken in both; its network; an
    attacker."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.server = Server(APP_KEY)
        self.device = Device(seed)
        self.accepts: list[bytes] = []
        self.taken: list[bytes] = []
        self.join()
        self.take()
        self.before = Session(self.server.address, self.server.keys, 0)
        self.join()
        self.take()
        # Somewhere in the life of a session: the counters' upper halves 0, 1, 2, … and the lower near their
        # end.
        self.device.mac.session.fcnt_down = seed * 0x10000 + 0xFFFA - 1
        self.server.next_down = seed * 0x10000 + 0xFFFA
        for _ in range(12):
            self.take()

    def join(self) -> None:
        """A session under which nothing was heard yet."""

        def accepted(request: bytes) -> bytes:
            self.accepts.append(self.server.join(request))
            return self.accepts[-1]

        assert self.device.join(5, accepted).joined
        self.last = -1

    def take(self) -> None:
        """A genuine downlink is taken."""
        self.taken.append(self.following().phy(self.server.keys))
        self.last = self.server.next_down
        self.server.next_down += 1
        assert self.device.send(1, b"", self.taken[-1]).heard

    def following(self) -> Data:
        """The downlink that the network would send next: any shape."""
        dice = self.dice
        port = dice.choice([None, 0, 1, 100, 223])
        fopts = b"" if port == 0 else dice.choice([b"", b"\x06", b"\x02\x05\x01"])
        payload = (
            b""
            if port is None
            else b"\x06" * dice.randrange(1, 4)
            if port == 0
            else dice.randbytes(dice.randrange(30))
        )
        confirmed, control = bool(dice.randrange(2)), dice.choice([0, 0x10, 0x20, 0x80])
        return Data(self.server.address, self.server.next_down, confirmed, control, fopts, port, payload)

    def scene(self, window: int) -> Scene:
        """What is on the air around the device in this window."""
        other = Session(0x26FFFFFF, Keys(self.dice.randbytes(16), self.dice.randbytes(16)), 0)
        mine = Session(self.server.address, self.server.keys, self.last)
        accept = Accept(
            self.dice.randbytes(3), NET_ID, 0x26123456, 0x02, 1, self.dice.choice([b"", bytes(16)])
        )
        return Scene(
            APP_KEY,
            mine,
            other,
            self.before,
            self.following(),
            accept,
            self.taken,
            self.accepts,
            self.device.sent[-1],
            LONGEST[window],
        )

    def begin(self, transaction: str, device: Device | None = None) -> Any:
        """The first operation of a transaction."""
        device = device or self.device
        mac, now = device.mac, device.now
        return mac.join(now, 5) if transaction == "join" else mac.send(now, 3, b"\x01\x02", confirmed=True)


def judged(transaction: str) -> tuple[Any, Any]:
    if transaction == "join":
        return mutations.OF_ACCEPTS, mutations.accept_refusal
    return mutations.OF_DATA, mutations.refusal


def refused_by_both(scene: Scene, phy: bytes) -> str:
    """While the network has not been heard under the new session, the one before holds too; the reason is the
    new's."""
    before = replace(scene, session=scene.before)
    return mutations.refusal(before, phy) and mutations.refusal(scene, phy)


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two states differ."""
    if one == other:
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            line
            for key in sorted(one.keys() | other.keys(), key=str)
            for line in differences(one.get(key, "absent"), other.get(key, "absent"), f"{path}.{key}")
        ]
    return [f"{path}: {one!r} instead of {other!r}"]


def assert_refused_like_silence(world: World, transaction: str, window: int, judge: Any = None) -> None:
    """500 frames in this window: session, records, duty cycle, transaction, random numbers, what the device
    does next."""
    device = world.device
    device.on_air(world.begin(transaction))
    if window == 2:
        device.hear(None)
    scene = world.scene(window)
    device.sent.clear()
    device.transmits.clear()
    deaf = device.twin()
    next_of_deaf = state_of(deaf.hear(None))
    silence = state_of(deaf, REFUSALS)
    before = Counter(device.mac.refused)
    used = Counter[str]()
    kinds, usual = judged(transaction)
    frames = mutations.mutants(scene, kinds, judge or usual, world.dice)
    for _, (mutation, phy, why) in zip(range(EACH), frames, strict=False):
        hearing = device.twin()
        following = hearing.hear(phy)
        what = f"{mutation.__name__}: {phy.hex()}"
        assert Counter(hearing.mac.refused) - before == Counter({why: 1}), what
        assert state_of(following) == next_of_deaf, what
        assert not differences(state_of(hearing, REFUSALS), silence), what
        used[mutation.__name__] += 1
        scene.following = world.following()
    assert sum(used.values()) == EACH
    assert used.keys() == {mutation.__name__ for mutation in kinds}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("transaction", ["join", "data"])
def test_a_frame_that_has_to_be_refused_changes_nothing_that_silence_would_not(
    transaction: str, window: int, seed: int
) -> None:
    assert_refused_like_silence(World(seed), transaction, window)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", [1, 2])
def test_nor_does_it_while_a_new_session_is_in_doubt_and_the_one_before_is_kept(
    window: int, seed: int
) -> None:
    world = World(seed)
    world.before = Session(world.server.address, world.server.keys, world.last)
    world.join()
    world.server.next_down = 5
    assert_refused_like_silence(world, "data", window, refused_by_both)


def test_an_older_join_accept_played_back_does_not_cost_the_device_its_network() -> None:
    """Its MIC does not cover the DevNonce: it may be taken, but the session that works is not lost by it."""
    world = World(0)
    genuine = world.following().phy(world.server.keys)
    world.device.join(5, world.accepts[0])
    assert world.device.send(1, b"", genuine).heard
    world.server.last_up = -1
    world.device.send(7, b"still here")
    assert world.server.read(world.device.sent[-1]).payload == b"still here"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_device_under_fire_lives_like_a_deaf_one_and_then_hears_its_network(seed: int) -> None:
    """100 transactions of both kinds, each window of each repetition with a frame to refuse; ADR backs off
    meanwhile."""
    world = World(seed)
    device = world.device
    deaf = device.twin()
    dice = random.Random(seed)
    expected = Counter(device.mac.refused)
    frames = {
        (transaction, window): mutations.mutants(world.scene(window), *judged(transaction), dice)
        for transaction in ("join", "data")
        for window in (1, 2)
    }

    def fire(transaction: str, window: int, _: bytes) -> bytes:
        _, phy, why = next(frames[transaction, window])
        expected[why] += 1
        return phy

    for number in range(100):
        transaction = "join" if number % 10 == 9 else "data"
        device.run(world.begin(transaction), *(partial(fire, transaction, window) for window in (1, 2)))
        deaf.run(world.begin(transaction, deaf))
        assert not differences(state_of(device, REFUSALS), state_of(deaf, REFUSALS)), number
    assert Counter(device.mac.refused) == expected
    assert sum(device.mac.refused.values()) >= 200
    data = world.following()
    done = device.send(1, b"", data.phy(world.server.keys))
    assert done.heard
    assert device.mac.session.fcnt_down == data.counter
    assert (done.port or 0, done.payload) == (data.port or 0, data.payload if data.port else b"")
