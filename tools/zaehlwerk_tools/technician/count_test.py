"""`zaehlwerk count-test`: a person counts beside a node, and what both say is signed off, kept and published."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.slug import slug
from zaehlwerk_tools.technician.broker_line import BrokerLine, open_line
from zaehlwerk_tools.technician.cable_watch import watching
from zaehlwerk_tools.technician.keyboard import Keys, pressed_keys
from zaehlwerk_tools.technician.node_observer import read_observer
from zaehlwerk_tools.technician.node_state import WIDTH, NodeState, utc_text
from zaehlwerk_tools.technician.passages import ChannelResult, Share, compared
from zaehlwerk_tools.technician.troubles import NoBrokerError, NotRunningError, Status, TechnicianError
from zaehlwerk_tools.technician.unit_record import keep_record, read_record, record_path

BACK, END, GIVE_UP, YES, NO = "-", "e", "q", "y", "n"
LOOK_S = 0.1
FIRST_S = 15.0
"""So long the node may take to tell of itself for the first time."""
SECOND_S = 1.0
"""The node tells of itself once a second: a count that is new came half of that before, on average."""
TESTS = "count_tests"
"""Where they are in a unit's record."""
TOPIC = "{prefix}/v1/{station}/count-test"


class GivenUpError(TechnicianError):
    """The test was not signed off; nothing is kept."""


@dataclass(frozen=True, slots=True)
class CountTest:
    """What is asked for. `by`: who counts; `address` None: nothing is published."""

    port: str
    build: Path
    records: Path
    by: str
    note: str
    window_s: float
    address: MqttAddress | None
    prefix: str
    keys_from: Path | None


@dataclass(slots=True)
class Tally:
    """The times of both, per channel: Unix seconds."""

    names: list[str]
    hand: list[list[float]] = field(init=False)
    node: list[list[float]] = field(init=False)
    _counts: list[int] | None = None
    _pressed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hand = [[] for _ in self.names]
        self.node = [[] for _ in self.names]

    def press(self, key: str, at: float) -> None:
        """A digit counts a passage of its channel, BACK takes the last one back; any other key is none of ours."""
        if key == BACK and self._pressed:
            self.hand[self._pressed.pop()].pop()
        elif key.isdigit() and 1 <= int(key) <= len(self.names):
            self.hand[int(key) - 1].append(at)
            self._pressed.append(int(key) - 1)

    def see(self, state: NodeState) -> None:
        """What the node says now. Its totals begin anew only with another epoch; then nothing is taken from that step."""
        counts = [channel.count or 0 for channel in state.channels]
        if self._counts is not None and state.heard_at is not None:
            for times, before, now in zip(self.node, self._counts, counts, strict=True):
                times.extend([state.heard_at - SECOND_S / 2] * max(0, now - before))
        self._counts = counts

    def results(self, window_s: float) -> list[ChannelResult]:
        """Per channel."""
        return [
            compared(name, hand, node, window_s)
            for name, hand, node in zip(self.names, self.hand, self.node, strict=True)
        ]


def run_count_test(asked: CountTest, *, as_json: bool) -> int:
    """Count, sign off, keep and publish; the exit status. Raises TechnicianError."""
    observer = read_observer(asked.build)
    # The broker is tried before anybody has counted for an hour.
    with ExitStack() as stack:
        line = None if asked.address is None else stack.enter_context(open_line(asked.address))
        with watching(asked.port, observer, time.time) as watch:
            first = _first(watch.news, asked.port)
            path = record_path(asked.records, str(first.dev_eui))
            record = read_record(path)
            tally = Tally(_names(record, first))
            tally.see(first)
            begun = time.time()
            try:
                with pressed_keys(asked.keys_from) as keys:
                    with _view(as_json=as_json) as show:
                        ended = _count(asked, tally, keys, watch.news, show)
                    results = tally.results(asked.window_s)
                    _tell(results, as_json=as_json)
                    _require_signed(asked, keys, as_json=as_json)
            except KeyboardInterrupt:
                raise GivenUpError("given up: nothing is kept; the node goes on") from None
        test = _document(asked, record, first, results, (begun, ended))
        record.setdefault(TESTS, []).append(test)
        keep_record(path, record)
        if line is not None:
            _publish(line, asked.prefix, record, path)
    if as_json:
        sys.stdout.write(json.dumps(test, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(f"signed off by {asked.by}; kept in {path}{'' if line is None else ', published'}\n")
    return int(Status.DONE)


def _first(news: Callable[[float], list[NodeState]], port: str) -> NodeState:
    until = time.monotonic() + FIRST_S
    while time.monotonic() < until:
        for state in news(LOOK_S):
            if state.dev_eui is not None:
                return state
    raise NotRunningError(f"{port}: the node is not yet put together: try again in a minute")


def _names(record: dict[str, Any], state: NodeState) -> list[str]:
    """As the station's tags name the channels, else as the node does."""
    station = record.get("station") or {}
    given = [name for name in str(station.get("tags", {}).get("channels", "")).split(",") if name]
    return given if len(given) == len(state.channels) else [channel.name for channel in state.channels]


def _count(
    asked: CountTest,
    tally: Tally,
    keys: Keys,
    news: Callable[[float], list[NodeState]],
    show: Callable[[list[str]], None],
) -> float:
    """Until END and the node's last counts; when END was pressed."""
    begun, ended = time.time(), None
    shown = 0.0
    while ended is None or time.time() < ended + asked.window_s:
        # What a file says after its end is the answer to the question that follows; a hasty person's is not.
        key = keys(LOOK_S) if ended is None or asked.keys_from is None else None
        if key == GIVE_UP:
            raise GivenUpError("given up: nothing is kept; the node goes on")
        if key == END and ended is None:
            ended = time.time()
        elif key and ended is None:
            tally.press(key, time.time())
        for state in news(0.0 if ended is None else LOOK_S):
            tally.see(state)
        if key or time.monotonic() - shown > SECOND_S:
            shown = time.monotonic()
            show(live_lines(tally, asked.window_s, (ended or time.time()) - begun, ending=ended is not None))
    return ended


def live_lines(tally: Tally, window_s: float, seconds: float, *, ending: bool) -> list[str]:
    """Hand against node, for people; each line at most WIDTH characters."""
    lines = [f"{'key':<5}{'channel':<36}{'hand':>10}{'node':>10}{'difference':>12}"]
    for number, result in enumerate(tally.results(window_s), 1):
        lines.append(
            f"{number:<5}{result.name:<36.36}{result.hand:>10}{result.node:>10}{result.difference:>+12}"
        )
    minutes, rest = divmod(int(seconds), 60)
    keys = (
        f"waiting {window_s:.0f} s for the node's last counts"
        if ending
        else f"{BACK} takes the last one back, {END} ends, {GIVE_UP} gives up"
    )
    return [line[:WIDTH] for line in [*lines, "", f"{minutes}:{rest:02d}   {keys}"]]


def result_lines(results: Sequence[ChannelResult]) -> list[str]:
    """The result for people, each line at most WIDTH characters."""
    lines = []
    for result in results:
        lines.append(
            f"{result.name}: by hand {result.hand}, node {result.node}, difference {result.difference:+d}"
        )
        lines.append(f"  missed {result.missed} of the hand's{_percent(result.missed_share)}")
        lines.append(f"  extra {result.extra} of the node's{_percent(result.extra_share)}")
    return [line[:WIDTH] for line in lines]


def _percent(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return ""
    return f": {share.value:.1%} (95 %: {share.low:.1%} to {share.high:.1%})"


def _tell(results: Sequence[ChannelResult], *, as_json: bool) -> None:
    out = sys.stderr if as_json else sys.stdout
    out.write("\n".join(["", *result_lines(results), ""]) + "\n")
    out.flush()


def _require_signed(asked: CountTest, keys: Keys, *, as_json: bool) -> None:
    """Raises GivenUpError unless it is signed off."""
    out = sys.stderr if as_json else sys.stdout
    out.write(f"Sign off as {asked.by}? {YES} keeps and publishes it, {NO} throws it away\n")
    out.flush()
    until = time.monotonic() + asked.window_s
    while True:
        key = keys(LOOK_S)
        if key == YES:
            return
        # A file has no more keys after a while; a person may take their time.
        late = asked.keys_from is not None and time.monotonic() > until
        if key in (NO, GIVE_UP) or late:
            raise GivenUpError("not signed off: nothing is kept; the node goes on")


def _document(
    asked: CountTest,
    record: dict[str, Any],
    first: NodeState,
    results: Sequence[ChannelResult],
    times: tuple[float, float],
) -> dict[str, Any]:
    """As data/count-test.json lays it down; what is published names no DevEUI."""
    station = record.get("station") or {}
    return {
        "station": slug(str(station.get("name", ""))) or None,
        "begin": utc_text(times[0]),
        "end": utc_text(times[1]),
        "by": asked.by,
        "note": asked.note,
        "firmware": first.firmware,
        "window_s": asked.window_s,
        "confidence": 0.95,
        "interval": "wilson-score",
        "channels": [result.document() for result in results],
        "published": None,
    }


def _publish(line: BrokerLine, prefix: str, record: dict[str, Any], path: Path) -> None:
    """All tests of the unit that are not published yet, this one and what an earlier run could not. Raises NoBrokerError."""
    for test in record[TESTS]:
        if test["published"] is not None:
            continue
        if test["station"] is None:
            raise NoBrokerError(
                f"kept in {path}, but not published: the record names no station; provision it with one"
            )
        topic = TOPIC.format(prefix=prefix, station=test["station"])
        try:
            line.publish(topic, {key: value for key, value in test.items() if key != "published"})
        except NoBrokerError as error:
            raise NoBrokerError(
                f"kept in {path}, but not published: {error}; the unit's next count test publishes it too"
            ) from None
        test["published"] = topic
        keep_record(path, record)


@contextmanager
def _view(*, as_json: bool) -> Iterator[Callable[[list[str]], None]]:
    console = Console(highlight=False, no_color=True, stderr=as_json)
    if not console.is_terminal:
        yield lambda lines: None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda lines: live.update(Text("\n".join(lines), no_wrap=True), refresh=True)
