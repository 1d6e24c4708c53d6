"""The life of a command, as a pure state machine: what is known of each of its frames, and the fate that follows.

Reports of the server come in any order, more than once, or never. So a frame's stage only moves forward, except that
one that was certainly not done, or not heard, is tried again with the same bytes; and the fate of a command only rises.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from zaehlwerk_protocol import answer as answers

SERVER_EXPIRED = "EXPIRED"
"""ChirpStack's code of a log event: a queue item whose `expires_at` has passed."""
MAX_SENDINGS = 3
"""So often a confirmed downlink that the node does not acknowledge is put into the queue, with the same token."""
MAX_TRIES = 5
"""So often an Enqueue that fails in a way that may be of this command is begun."""


class Fate(enum.StrEnum):
    """What became of a command, in the order in which it may change."""

    ACCEPTED = "accepted"
    """Stored by the bridge."""
    QUEUED = "queued"
    """In the network server's queue."""
    SENT = "sent"
    """A gateway has taken all of its frames."""
    ACKNOWLEDGED = "acknowledged"
    """The node has acknowledged all of its frames."""
    ANSWERED = "answered"
    """The node, or the bridge for what it does itself, has answered; the answer says what it did."""
    EXPIRED = "expired"
    """Its time is over, and there is no answer."""
    REFUSED = "refused"
    """Not done, and will not be."""


ENDS = frozenset((Fate.ANSWERED, Fate.EXPIRED, Fate.REFUSED))
_PROGRESS = (Fate.ACCEPTED, Fate.QUEUED, Fate.SENT, Fate.ACKNOWLEDGED)


class Stage(enum.StrEnum):
    """How far a frame is."""

    WAITING = "waiting"
    """Not given to the server."""
    TRYING = "trying"
    """An Enqueue was begun, and whether it had effect is not known yet."""
    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    GIVEN_UP = "given up"
    """Sent as often as is allowed, never acknowledged."""


AT_THE_SERVER = frozenset((Stage.TRYING, Stage.QUEUED))
_SENT = frozenset((Stage.SENT, Stage.ACKNOWLEDGED, Stage.GIVEN_UP))


@dataclass(frozen=True, slots=True)
class Downlink:
    """One frame of a command. `item`: its id in the server's queue, empty if not known."""

    part: int
    token: int
    payload: bytes
    stage: Stage = Stage.WAITING
    item: str = ""
    tries: int = 0
    sendings: int = 0
    since_ns: int = 0
    others: tuple[str, ...] = ()
    """Items that stood in the queue before it was tried, and so are not it."""
    result: int | None = None
    """Of the node's answer."""
    data: bytes | None = None
    """The node's answer, its frame."""


@dataclass(frozen=True, slots=True)
class Life:
    """A command with its frames."""

    confirmed: bool
    expires_ns: int
    downlinks: tuple[Downlink, ...]
    fate: Fate = Fate.ACCEPTED
    reason: str = ""
    complete: bool = True
    """Whether all frames are there; further ones may follow from an answer."""
    one_answer: bool = False
    """Whether the frames are parts of one thing, so that one good answer is the answer to all of them."""
    patience_ns: int | None = None
    """So long after its sending an answer is waited for; None: until it expires."""

    @property
    def open(self) -> bool:
        """Whether it is not at its end."""
        return self.fate not in ENDS


def next_downlink(lives: Sequence[Life]) -> tuple[int, Downlink] | None:
    """Which command of a node, by its place in `lives`, and which of its frames may be given to the server now.

    A command waits for those before it, until the node has acknowledged them or they are given up; of an unconfirmed
    one, until it is sent. One frame at a time is in the server's queue.
    """
    if any(downlink.stage in AT_THE_SERVER for life in lives if life.open for downlink in life.downlinks):
        return None
    for place, life in enumerate(lives):
        if not life.open:
            continue
        for downlink in life.downlinks:
            if downlink.stage is Stage.WAITING:
                return place, downlink
        if life.confirmed and any(downlink.stage is Stage.SENT for downlink in life.downlinks):
            return None
    return None


def begun(life: Life, part: int, others: Sequence[str], now_ns: int) -> Life:
    """An Enqueue of frame `part` begins; from here on it may have had effect."""

    def begin(downlink: Downlink) -> Downlink:
        if downlink.stage is not Stage.WAITING or not life.open:
            return downlink
        return replace(
            downlink,
            stage=Stage.TRYING,
            item="",
            tries=downlink.tries + 1,
            since_ns=now_ns,
            others=tuple(dict.fromkeys((*downlink.others, *others))),
        )

    return _changed(life, part, begin, now_ns)


def enqueued(life: Life, part: int, item: str, now_ns: int) -> Life:
    """The server has frame `part` in its queue as `item`: it said so, or it was found there."""

    def found(downlink: Downlink) -> Downlink:
        if downlink.stage is not Stage.TRYING:
            return downlink
        return replace(downlink, stage=Stage.QUEUED, item=item, since_ns=now_ns)

    return _changed(life, part, found, now_ns)


def absent(life: Life, part: int, now_ns: int, *, again: str = "") -> Life:
    """The Enqueue of frame `part` had no effect, or the server has lost it unsent: it may be tried again.

    `again`: why it failed, if that may lie in the command itself; then it is refused after MAX_TRIES.
    """

    def free(downlink: Downlink) -> Downlink:
        if downlink.stage not in AT_THE_SERVER:
            return downlink
        return replace(_without_item(downlink), stage=Stage.WAITING, since_ns=now_ns)

    freed = _changed(life, part, free, now_ns)
    if again and any(
        d.part == part and d.stage is Stage.WAITING and d.tries >= MAX_TRIES for d in freed.downlinks
    ):
        return refused(freed, again)
    return freed


def doubted(life: Life, now_ns: int) -> Life:
    """What the server's queue held may be gone unsent: the device has joined anew."""

    def doubt(downlink: Downlink) -> Downlink:
        if downlink.stage is not Stage.QUEUED:
            return downlink
        return replace(downlink, stage=Stage.TRYING, since_ns=now_ns)

    return replace(life, downlinks=tuple(doubt(downlink) for downlink in life.downlinks))


def sent(life: Life, item: str, now_ns: int) -> Life:
    """A gateway has taken `item`."""

    def move(downlink: Downlink) -> Downlink:
        if downlink.stage not in AT_THE_SERVER:
            return downlink
        return replace(downlink, stage=Stage.SENT, sendings=downlink.sendings + 1, since_ns=now_ns)

    return _changed(life, _part(life, item), move, now_ns)


def acknowledged(life: Life, item: str, now_ns: int) -> Life:
    """The node has acknowledged `item`."""

    def move(downlink: Downlink) -> Downlink:
        if downlink.stage is Stage.WAITING:
            return downlink
        return replace(downlink, stage=Stage.ACKNOWLEDGED, since_ns=now_ns)

    return _changed(life, _part(life, item), move, now_ns)


def missed(life: Life, item: str, now_ns: int) -> Life:
    """The node has not acknowledged `item`: it is sent again, with the same token, at most MAX_SENDINGS times in all."""

    def move(downlink: Downlink) -> Downlink:
        if downlink.stage not in (Stage.QUEUED, Stage.TRYING, Stage.SENT):
            return downlink
        # The report of its sending may be missing: what was not acknowledged was sent.
        sendings = downlink.sendings + (downlink.stage is not Stage.SENT)
        if downlink.result is not None:
            return replace(downlink, stage=Stage.ACKNOWLEDGED, sendings=sendings, since_ns=now_ns)
        if sendings >= MAX_SENDINGS:
            return replace(downlink, stage=Stage.GIVEN_UP, sendings=sendings, since_ns=now_ns)
        return replace(
            _without_item(downlink), stage=Stage.WAITING, sendings=sendings, tries=0, since_ns=now_ns
        )

    return _changed(life, _part(life, item), move, now_ns)


def answered(life: Life, token: int, result: int, data: bytes, now_ns: int) -> Life:
    """The node's answer to the frame with `token` is there; its first answer counts. Whether it ends the command is
    seen from all answers: further parts missing, it does not."""
    part = next((downlink.part for downlink in life.downlinks if downlink.token == token), None)

    def move(downlink: Downlink) -> Downlink:
        if downlink.result is not None:
            return downlink
        # What was answered was heard, whatever the server's reports say.
        return replace(downlink, stage=Stage.ACKNOWLEDGED, result=result, data=data, since_ns=now_ns)

    return _changed(life, part, move, now_ns)


def extended(life: Life, more: Sequence[Downlink], now_ns: int) -> Life:
    """An answer has told which further frames there are; now all are known."""
    if life.complete or not life.open:
        return life
    return _judged(replace(life, downlinks=(*life.downlinks, *more), complete=True), now_ns)


def dropped(life: Life, item: str, code: str, description: str) -> Life:
    """The server has thrown `item` away unsent, for the reason that its log event names (`code`)."""
    if _part(life, item) is None:
        return life
    if code == SERVER_EXPIRED:
        return expired(life, why_expired(life))
    return refused(life, f"the server has dropped it: {code} {description}".rstrip())


def refused(life: Life, reason: str) -> Life:
    """It will not be done."""
    return replace(life, fate=Fate.REFUSED, reason=reason) if life.open else life


def expired(life: Life, reason: str = "") -> Life:
    """Its time is over."""
    return replace(life, fate=Fate.EXPIRED, reason=reason or why_expired(life)) if life.open else life


def why_expired(life: Life) -> str:
    """How far a command came whose time is over."""
    stages = [downlink.stage for downlink in life.downlinks]
    frames = "" if len(stages) == 1 else f"{sum(stage in _SENT for stage in stages)} of {len(stages)} frames "
    if Stage.GIVEN_UP in stages:
        return f"sent {MAX_SENDINGS} times and never acknowledged"
    if stages and all(stage is Stage.ACKNOWLEDGED for stage in stages):
        return "acknowledged, but no answer was heard"
    if stages and all(stage in _SENT for stage in stages):
        return "sent, but no answer was heard"
    if Stage.TRYING in stages:
        return f"{frames}not known to be sent: the server did not say whether it had taken it"
    if Stage.QUEUED in stages:
        return f"{frames}sent: the node was not heard in time" if frames else "the node was not heard in time"
    return (
        f"{frames}sent in time"
        if frames
        else "not sent in time: the server could not be reached, or others came first"
    )


def _without_item(downlink: Downlink) -> Downlink:
    """What comes late of its item is not of the next one."""
    past = (downlink.item,) if downlink.item else ()
    return replace(downlink, item="", others=(*downlink.others, *past))


def _part(life: Life, item: str) -> int | None:
    return next((downlink.part for downlink in life.downlinks if item and downlink.item == item), None)


def _changed(life: Life, part: int | None, change: Callable[[Downlink], Downlink], now_ns: int) -> Life:
    downlinks = tuple(change(d) if d.part == part else d for d in life.downlinks)
    if downlinks == life.downlinks:
        return life
    return _judged(replace(life, downlinks=downlinks), now_ns)


def _judged(life: Life, now_ns: int) -> Life:
    """The fate that follows from the frames; it never falls, and an answer comes in time however late it is."""
    if life.fate in (Fate.ANSWERED, Fate.REFUSED):
        return life
    if _is_answered(life):
        return replace(life, fate=Fate.ANSWERED, reason="")
    if life.fate is Fate.EXPIRED:
        return life
    stages = [downlink.stage for downlink in life.downlinks]
    if stages and all(stage is Stage.ACKNOWLEDGED for stage in stages):
        reached = Fate.ACKNOWLEDGED
    elif stages and all(stage in _SENT for stage in stages):
        reached = Fate.SENT
    elif any(stage in _SENT or stage is Stage.QUEUED for stage in stages):
        reached = Fate.QUEUED
    else:
        reached = Fate.ACCEPTED
    risen = max(reached, life.fate, key=_PROGRESS.index)
    expires_ns = life.expires_ns
    if life.patience_ns is not None and all(stage in _SENT for stage in stages):
        expires_ns = min(expires_ns, now_ns + life.patience_ns)
    return replace(life, fate=risen, expires_ns=expires_ns)


def _is_answered(life: Life) -> bool:
    results = [downlink.result for downlink in life.downlinks]
    if any(result not in (None, answers.OK, answers.INCOMPLETE) for result in results):
        return True  # no further part makes it good
    if life.one_answer and answers.OK in results:
        return True
    return life.complete and None not in results
