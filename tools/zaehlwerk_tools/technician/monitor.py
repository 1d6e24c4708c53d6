"""`zaehlwerk monitor`: a node as it is now, over its cable or through MQTT, once or for as long as somebody looks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.slug import slug
from zaehlwerk_tools.technician.broker_line import open_line
from zaehlwerk_tools.technician.cable_watch import look_once, watching
from zaehlwerk_tools.technician.node_observer import read_observer
from zaehlwerk_tools.technician.node_state import WIDTH, NodeState, lines_of
from zaehlwerk_tools.technician.station_news import StationNews
from zaehlwerk_tools.technician.troubles import NoBrokerError, Status

REFRESH_S = 1.0
NOTES = 3
"""Lines of the node's own that are shown, the newest."""
RETAINED_S = 3.0
"""So long `--once` waits for what the broker has kept; it comes at once."""

Show = Callable[[NodeState, list[str]], None]


def monitor_cable(port: str, build: Path, *, once: bool, as_json: bool, seconds: float | None) -> int:
    """Watch the node at `port`, which runs `build`; the exit status. Raises TechnicianError."""
    observer = read_observer(build)
    if once:
        _print(look_once(port, observer, time.time), [], as_json=as_json)
        return int(Status.DONE)
    # Ctrl-C ends it as time does: everything was seen then.
    with (
        watching(port, observer, time.time) as watch,
        _view(as_json=as_json) as show,
        suppress(KeyboardInterrupt),
    ):
        for _ in _until(seconds):
            for state in watch.news(REFRESH_S):
                show(state, watch.notes[-NOTES:])
    return int(Status.DONE)


def monitor_station(
    station: str, address: MqttAddress, prefix: str, *, once: bool, as_json: bool, seconds: float | None
) -> int:
    """Watch a station through MQTT; the exit status. Raises NoBrokerError, TechnicianError."""
    news = StationNews(slug(station), prefix)
    with open_line(address) as line:
        line.subscribe(news.topics)
        if once:
            _taken(news, line.message, RETAINED_S if seconds is None else seconds)
            if not news.state.channels and news.state.heard_at is None:
                raise NoBrokerError(
                    f"the broker {address} has nothing of the station {news.station}: check its name, --prefix, and "
                    "whether this user may read there"
                )
            _print(news.state, [], as_json=as_json)
            return int(Status.DONE)
        with _view(as_json=as_json) as show, suppress(KeyboardInterrupt):
            show(news.state, [])
            for _ in _until(seconds):
                if _taken(news, line.message, REFRESH_S) or not as_json:
                    show(news.state, [])
    return int(Status.DONE)


def _taken(news: StationNews, message: Callable[[float], tuple[str, object] | None], seconds: float) -> bool:
    """Whether there was news of the station within `seconds`."""
    until, told = time.monotonic() + seconds, False
    while (left := until - time.monotonic()) > 0:
        came = message(left)
        if came is not None:
            told = news.take(*came, time.time()) or told
    return told


def _until(seconds: float | None) -> Iterator[None]:
    """Again and again, for so long."""
    until = None if seconds is None else time.monotonic() + seconds
    while until is None or time.monotonic() < until:
        yield


@contextmanager
def _view(*, as_json: bool) -> Iterator[Show]:
    console = Console(highlight=False, no_color=True)
    if as_json or not console.is_terminal:
        yield lambda state, notes: _print(state, notes, as_json=as_json)
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(state: NodeState, notes: list[str]) -> None:
            live.update(Text("\n".join(_page(state, notes)), no_wrap=True), refresh=True)

        yield show


def _page(state: NodeState, notes: list[str]) -> list[str]:
    told = [f"it says     {note}"[:WIDTH] for note in notes]
    return [*lines_of(state, time.time()), *told, "", "Ctrl-C ends this; the node goes on."]


def _print(state: NodeState, notes: list[str], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(state.document(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(lines_of(state, time.time())) + "\n\n")
    sys.stdout.flush()
