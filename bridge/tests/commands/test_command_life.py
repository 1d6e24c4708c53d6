"""The life of a command, whatever the server and the node say and in whatever order: pure, without any store."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zaehlwerk_bridge.commands import life as lives
from zaehlwerk_bridge.commands.life import ENDS, MAX_SENDINGS, MAX_TRIES, Downlink, Fate, Life, Stage
from zaehlwerk_protocol import answer as answers

HOUR_NS = 3600 * 10**9
RESULTS = (answers.OK, answers.INCOMPLETE, answers.REFUSED, answers.NO_RECORD, 77)
ORDER = tuple(Fate)
ITEMS_BACK = st.sampled_from([0, 0, 0, 1, 2])
"""How many items ago: mostly the last one."""


def command(frames: int = 1, *, confirmed: bool = True, one_answer: bool = False) -> Life:
    downlinks = tuple(Downlink(part, 100 + part, bytes([part])) for part in range(frames))
    return Life(confirmed, HOUR_NS, downlinks, one_answer=one_answer)


def queued(life: Life, part: int = 0, item: str = "i0") -> Life:
    return lives.enqueued(lives.begun(life, part, (), 1), part, item, 2)


def test_the_usual_way() -> None:
    life = command()
    fates = [life.fate]
    life = lives.begun(life, 0, ["other"], 1)
    assert life.fate is Fate.ACCEPTED
    for change in (
        lambda life: lives.enqueued(life, 0, "i", 2),
        lambda life: lives.sent(life, "i", 3),
        lambda life: lives.acknowledged(life, "i", 4),
        lambda life: lives.answered(life, 100, answers.OK, b"a", 5),
    ):
        life = change(life)
        fates.append(life.fate)
    assert fates == ["accepted", "queued", "sent", "acknowledged", "answered"]


def test_reports_may_come_in_any_order() -> None:
    """The answer is there before the server's own reports of the downlink: there is nothing left to tell."""
    life = lives.answered(queued(command()), 100, answers.OK, b"a", 3)
    assert life.fate is Fate.ANSWERED
    for late in (lives.sent(life, "i0", 4), lives.acknowledged(life, "i0", 4), lives.missed(life, "i0", 4)):
        assert late.fate is Fate.ANSWERED
        assert late.downlinks[0].stage is Stage.ACKNOWLEDGED


def test_one_frame_at_a_time_is_with_the_server_and_parts_follow_as_soon_as_one_is_sent() -> None:
    life = queued(command(2))
    assert lives.next_downlink([life, command()]) is None
    life = lives.sent(life, "i0", 3)
    assert lives.next_downlink([life, command()]) == (0, life.downlinks[1])
    life = lives.sent(queued(life, 1, "i1"), "i1", 4)
    assert lives.next_downlink([life, command()]) is None, "they are not acknowledged yet"
    life = lives.acknowledged(lives.acknowledged(life, "i0", 5), "i1", 5)
    assert lives.next_downlink([life, command()]) == (1, command().downlinks[0])


def test_after_an_unconfirmed_command_the_next_one_waits_for_its_sending_only() -> None:
    life = lives.sent(queued(command(confirmed=False)), "i0", 3)
    assert lives.next_downlink([life, command()]) == (1, command().downlinks[0])


def test_a_fate_that_was_told_is_not_taken_back() -> None:
    life = lives.missed(lives.sent(queued(command()), "i0", 3), "i0", 4)
    assert life.downlinks[0].stage is Stage.WAITING
    assert life.fate is Fate.SENT
    life = lives.refused(queued(command()), "for a reason")
    assert lives.answered(life, 100, answers.OK, b"a", 5).fate is Fate.REFUSED


def test_what_was_not_heard_is_sent_again_until_it_is_given_up_and_others_follow() -> None:
    life = command()
    for number in range(MAX_SENDINGS):
        assert lives.next_downlink([life]) is not None
        life = lives.missed(lives.sent(queued(life, item=f"i{number}"), f"i{number}", 3), f"i{number}", 4)
    assert life.downlinks[0].stage is Stage.GIVEN_UP
    assert life.open, "the node may have heard it, and answer"
    assert lives.next_downlink([life, command()]) == (1, command().downlinks[0])
    assert lives.expired(life).reason == "sent 3 times and never acknowledged"


def test_an_enqueue_that_fails_for_a_reason_of_its_own_is_not_tried_for_ever() -> None:
    life = command()
    for _ in range(MAX_TRIES):
        assert life.open
        life = lives.absent(lives.begun(life, 0, (), 1), 0, 2, again="INTERNAL odd")
    assert (life.fate, life.reason) == (Fate.REFUSED, "INTERNAL odd")


def test_a_server_that_cannot_be_reached_refuses_nothing() -> None:
    life = command()
    for _ in range(3 * MAX_TRIES):
        life = lives.absent(lives.begun(life, 0, (), 1), 0, 2)
    assert life.fate is Fate.ACCEPTED


def test_what_is_said_of_an_earlier_item_is_not_taken_for_the_present_one() -> None:
    life = lives.missed(lives.sent(queued(command()), "i0", 3), "i0", 4)
    life = lives.begun(life, 0, ["foreign"], 5)
    assert life.downlinks[0].others == ("i0", "foreign")
    assert lives.acknowledged(life, "i0", 6) == life


def test_one_answer_is_that_of_all_parts_if_it_is_good_or_bad_but_not_if_parts_are_missing() -> None:
    life = queued(command(3, one_answer=True))
    assert lives.answered(life, 101, answers.INCOMPLETE, b"a", 3).fate is Fate.QUEUED
    assert lives.answered(life, 102, answers.OK, b"a", 3).fate is Fate.ANSWERED
    assert lives.answered(life, 102, answers.BAD_ARGS, b"a", 3).fate is Fate.ANSWERED
    several = queued(command(3))
    assert lives.answered(several, 102, answers.OK, b"a", 3).fate is Fate.QUEUED


def test_an_answer_may_tell_of_further_frames() -> None:
    life = replace(queued(command()), complete=False)
    life = lives.answered(life, 100, answers.OK, b"a", 3)
    assert life.fate is Fate.ACKNOWLEDGED
    assert lives.extended(life, (), 4).fate is Fate.ANSWERED
    life = lives.extended(life, (Downlink(1, 101, b"b"),), 4)
    assert life.open
    assert lives.answered(life, 101, answers.OK, b"b", 5).fate is Fate.ANSWERED


def test_a_question_waits_for_its_answer_no_longer_than_its_patience() -> None:
    life = replace(command(confirmed=False), patience_ns=100)
    assert queued(life).expires_ns == HOUR_NS
    assert lives.sent(queued(life), "i0", 50).expires_ns == 150


class Server(RuleBasedStateMachine):
    """A server and a node that do and say anything, against what must hold of a command all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.life = command()
        self.now_ns = 0
        self.told: list[Fate] = []
        self.items = 0
        self.began: dict[int, int] = {}
        self.before = self.life

    def take(self, life: Life) -> None:
        self.now_ns += 1
        self.before, self.life = self.life, life
        if life.fate is not self.before.fate:
            self.told.append(life.fate)

    @precondition(lambda self: self.now_ns == 0)
    @rule(frames=st.integers(1, 4), confirmed=st.booleans(), one_answer=st.booleans())
    def ask(self, frames: int, confirmed: bool, one_answer: bool) -> None:
        self.before = self.life = command(frames, confirmed=confirmed, one_answer=one_answer)

    @rule()
    def enqueue(self) -> None:
        """As the dispatcher does it: only what it is told to."""
        found = lives.next_downlink([self.life])
        if found is not None:
            part = found[1].part
            self.began[part] = self.began.get(part, 0) + 1
            self.take(lives.begun(self.life, part, (), self.now_ns))

    @rule(others=st.booleans())
    def answer_to_enqueue(self, others: bool) -> None:
        """Of what was begun; or one that nobody asked for."""
        self.items += 1
        for downlink in self.life.downlinks:
            if downlink.stage is Stage.TRYING or others:
                self.take(lives.enqueued(self.life, downlink.part, f"i{self.items}", self.now_ns))

    @rule(part=st.integers(0, 3), why=st.sampled_from(["", "INTERNAL"]))
    def nothing_there(self, part: int, why: str) -> None:
        self.take(lives.absent(self.life, part % len(self.life.downlinks), self.now_ns, again=why))

    @rule(back=ITEMS_BACK, what=st.sampled_from([lives.sent, lives.acknowledged, lives.missed]))
    def report(self, back: int, what: Callable[[Life, str, int], Life]) -> None:
        self.take(what(self.life, f"i{self.items - back}", self.now_ns))

    @rule(back=ITEMS_BACK, code=st.sampled_from(["EXPIRED", "DOWNLINK_PAYLOAD_SIZE"]))
    def drop(self, back: int, code: str) -> None:
        self.take(lives.dropped(self.life, f"i{self.items - back}", code, ""))

    @rule()
    def join(self) -> None:
        self.take(lives.doubted(self.life, self.now_ns))

    @rule(part=st.integers(0, 3), result=st.sampled_from(RESULTS), foreign=st.integers(0, 9))
    def answer(self, part: int, result: int, foreign: int) -> None:
        token = 99 if foreign == 0 else 100 + part % len(self.life.downlinks)
        self.take(lives.answered(self.life, token, result, b"a", self.now_ns))

    @rule()
    def time_is_over(self) -> None:
        self.take(lives.expired(self.life))

    @invariant()
    def each_fate_is_told_once_and_they_rise(self) -> None:
        assert len(set(self.told)) == len(self.told)
        progress = [ORDER.index(fate) for fate in self.told]
        # The one way back: an answer that was heard after the end of the command's time.
        if self.told[-2:] == [Fate.EXPIRED, Fate.ANSWERED]:
            progress.pop()
        assert progress == sorted(progress)

    @invariant()
    def nothing_follows_an_end_but_a_late_answer(self) -> None:
        ends = [fate for fate in self.told if fate in ENDS]
        assert len(ends) <= 1 or ends == [Fate.EXPIRED, Fate.ANSWERED]
        assert not ends or self.told[-1] in ENDS

    @invariant()
    def at_most_one_frame_is_with_the_server(self) -> None:
        with_it = [d for d in self.life.downlinks if d.stage in (Stage.TRYING, Stage.QUEUED)]
        assert len(with_it) <= 1 or not self.life.open

    @invariant()
    def an_enqueue_is_begun_again_only_after_it_is_known_that_it_did_nothing_or_was_not_heard(self) -> None:
        for was, present in zip(self.before.downlinks, self.life.downlinks, strict=False):
            if present.tries > was.tries and self.before is not self.life:
                assert was.stage is Stage.WAITING
            assert present.sendings <= MAX_SENDINGS
        # One that fails for a reason of its own ends; a server that cannot be reached may be tried for ever.
        if self.life.reason == "INTERNAL":
            assert any(downlink.tries >= MAX_TRIES for downlink in self.life.downlinks)

    @invariant()
    def an_answered_command_has_an_answer_and_what_the_node_answered_is_not_sent_again(self) -> None:
        if self.life.fate is Fate.ANSWERED:
            assert any(d.result is not None for d in self.life.downlinks)
        for downlink in self.life.downlinks:
            assert downlink.result is None or downlink.stage is Stage.ACKNOWLEDGED

    @invariant()
    def why_it_expired_can_always_be_said(self) -> None:
        assert lives.why_expired(self.life)
        assert (self.life.fate in (Fate.EXPIRED, Fate.REFUSED)) == bool(self.life.reason)


Server.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestServer = Server.TestCase


@given(st.lists(st.sampled_from(["sent", "acknowledged", "answered"]), max_size=8))
def test_a_report_twice_is_a_report_once(reports: list[str]) -> None:
    def apply(life: Life, report: str) -> Life:
        if report == "answered":
            return lives.answered(life, 100, answers.OK, b"a", 9)
        return (lives.sent if report == "sent" else lives.acknowledged)(life, "i0", 9)

    life = queued(command())
    for report in reports:
        life = apply(life, report)
        assert apply(life, report) == life
