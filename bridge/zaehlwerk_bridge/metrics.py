"""What the bridge tells Prometheus: one table that names, describes and reads every metric; METRICS.md is made from it.

Everything is read when it is asked for. Counters count since the start of the process.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from zaehlwerk_bridge import store_figures
from zaehlwerk_bridge.commands.life import Fate as CommandFate
from zaehlwerk_bridge.database import FAULTS
from zaehlwerk_bridge.distribution import Distribution
from zaehlwerk_bridge.intake import Fate
from zaehlwerk_bridge.rejected import Cause
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.store_figures import StoreFigures

PREFIX = "zaehlwerk_bridge_"
NS = 1_000_000_000
DOUBTS = ("found", "absent")
FRAMES = ("counts", "status", "flow", "backfill", "alarm", "answer")

Labelled = Mapping[str, float]
"""Values by the value of the metric's one label."""
Value = float | Labelled | None
"""None: there is nothing to tell now, and the metric is left out."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one scrape looks at. `figures` None: the store cannot be read now."""

    bridge: Bridge
    figures: StoreFigures | None
    now_ns: int


@dataclass(frozen=True, slots=True)
class Counter:
    """A value that only rises; its name gets `_total`."""

    name: str
    meaning: str
    read: Callable[[Look], Value]
    label: str = ""
    label_meaning: str = ""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that goes up and down."""

    name: str
    meaning: str
    read: Callable[[Look], Value]
    label: str = ""
    label_meaning: str = ""


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often a value was how large."""

    name: str
    meaning: str
    read: Callable[[Look], Distribution]
    label: str = ""
    label_meaning: str = ""


Described = Counter | Gauge | Histogram


def _each(names: Iterable[str], counts: Mapping[str, int]) -> Labelled:
    """Zero where nothing was counted: a rate needs a beginning."""
    return {str(name): float(counts.get(name, 0)) for name in names} | {
        str(name): float(count) for name, count in dict(counts).items()
    }


def _oldest_s(look: Look) -> Value:
    if look.figures is None:
        return None
    if not look.figures.outbox_messages:
        return 0.0
    made_ns = look.figures.outbox_oldest_ns
    return None if made_ns is None else max(0, look.now_ns - made_ns) / NS


def _figure(read: Callable[[StoreFigures], Value]) -> Callable[[Look], Value]:
    return lambda look: None if look.figures is None else read(look.figures)


def _of_the_disk(read: Callable[[Path], float]) -> Callable[[Look], Value]:
    def tried(look: Look) -> Value:
        path = look.bridge.settings.database_file
        if path is None:
            return None
        try:
            return read(path)
        except OSError:
            return None

    return tried


def _publishes(look: Look) -> Labelled:
    return {"0": 0.0} | {
        str(code): float(count) for code, count in dict(look.bridge.publisher.counts.results).items()
    }


COMING_IN: Sequence[Described] = (
    Counter(
        "events",
        "Events of the server that were stored, by what became of them.",
        lambda look: _each(Fate, look.bridge.counts.fates),
        "fate",
        "; ".join(str(fate) for fate in Fate),
    ),
    Counter(
        "frames",
        "Uplinks that were decoded.",
        lambda look: _each(FRAMES, look.bridge.counts.frames),
        "frame",
        "; ".join(FRAMES),
    ),
    Counter(
        "rejected",
        "Events that could not be taken, and frames that had waited in vain. They are kept: `zaehlwerk-bridge rejected`.",
        lambda look: _each(
            (cause for cause in Cause if cause not in (Cause.UNKNOWN, Cause.UNPUBLISHABLE)),
            look.bridge.counts.causes,
        ),
        "cause",
        "; ".join(str(cause) for cause in Cause if cause not in (Cause.UNKNOWN, Cause.UNPUBLISHABLE)),
    ),
    Histogram(
        "event_delay_seconds",
        "From the server's reception of an event that is newer than all before to its commit.",
        lambda look: look.bridge.counts.delay,
    ),
    Gauge(
        "last_event_timestamp_seconds",
        "When the server received the newest event, Unix time; absent before the first one.",
        lambda look: look.bridge.counts.newest_ns / NS or None,
    ),
)

SOURCE: Sequence[Described] = (
    Gauge(
        "source_streams",
        "Streams of the source: one a device, or the one of Redis.",
        lambda look: {name: float(count) for name, count in look.bridge.source.states().items()},
        "state",
        "closed; opening; open; waiting (ended or refused, will be opened again)",
    ),
    Counter(
        "source_items",
        "Items that streams delivered, replayed ones included.",
        lambda look: look.bridge.source.counts.items,
    ),
    Counter("source_opens", "Streams opened, again included.", lambda look: look.bridge.source.counts.opened),
    Counter(
        "source_reopens",
        "Streams closed and opened again because the device was heard and the stream silent, or its ids began again.",
        lambda look: look.bridge.source.counts.reopened,
    ),
    Counter(
        "source_failures",
        "Streams that ended or were refused.",
        lambda look: look.bridge.source.counts.failed,
    ),
    Counter("source_lists", "Complete lists of the devices.", lambda look: look.bridge.source.counts.lists),
    Counter(
        "source_trimmed",
        "Events that the server deleted before they were stored: Redis' stream, or a device's history, is too short. Of a history it does not tell how many; each time that it begins behind what was stored last counts one.",
        lambda look: look.bridge.source.counts.trimmed,
    ),
    Counter(
        "source_claimed",
        "Events that another reader of the group had taken and not stored.",
        lambda look: look.bridge.source.counts.claimed,
    ),
    Gauge(
        "source_short_histories",
        "Devices (gRPC) or streams (Redis) of which the server keeps too little for an outage of outage_h hours.",
        lambda look: look.bridge.source.counts.short,
    ),
    Gauge(
        "source_lag_events",
        "Events that the server has and that were not read yet; absent where it does not tell.",
        lambda look: look.bridge.source.lag,
    ),
)

LEDGER: Sequence[Described] = (
    Counter(
        "records",
        "Records put into the outbox, each revision counted.",
        lambda look: _each(("interval", "span"), look.bridge.counts.told),
        "resolution",
        "interval; span (only the sum of several intervals is known)",
    ),
    Counter(
        "records_superseded",
        "Records, nearly all of them spans, that others took the place of: what was healed.",
        lambda look: look.bridge.counts.superseded,
    ),
    Gauge(
        "ledger_pending_gaps",
        "Gaps that history may still resolve before they become spans.",
        _figure(lambda store: store.pending_gaps),
    ),
    Gauge(
        "ledger_wanted_gaps",
        "Gaps for which nodes are asked to send again.",
        _figure(lambda store: store.wanted_gaps),
    ),
    Gauge(
        "ledger_spans",
        "Spans that stand: sums without their split into intervals.",
        _figure(lambda store: store.spans),
    ),
    Gauge(
        "ledger_waiting_frames",
        "Frames whose epoch no status frame has named yet.",
        _figure(lambda store: store.waiting_frames),
    ),
    Gauge("ledger_stations", "Stations known.", _figure(lambda store: store.stations)),
    Gauge(
        "ledger_unverified_stations",
        "Stations of which nothing is published until the broker was asked what another store has published of them.",
        _figure(lambda store: store.unverified),
    ),
    Gauge(
        "ledger_contested_stations",
        "Stations that several devices claim: all are counted, so a street may be counted twice. The log names the devices.",
        lambda look: len(look.bridge.claims.contested),
    ),
)

COMMANDS: Sequence[Described] = (
    Gauge(
        "commands_listening",
        "1 while commands of the platform come in; 0 also if that is switched off.",
        lambda look: float(look.bridge.listener is not None and look.bridge.listener.subscribed),
    ),
    Counter(
        "commands",
        "Commands of the platform, by the fates that they came to; each is counted once for each.",
        lambda look: _each(CommandFate, look.bridge.commands.counts.fates),
        "fate",
        "; ".join(CommandFate),
    ),
    Counter(
        "questions",
        "Commands of the bridge's own, by the fates that they came to.",
        lambda look: _each(CommandFate, look.bridge.commands.counts.questions),
        "fate",
        "; ".join(CommandFate),
    ),
    Counter(
        "backfill_requests",
        "Of these, questions to send again what is missing.",
        lambda look: look.bridge.commands.counts.asked["backfill"],
    ),
    Counter(
        "status_requests",
        "Of these, questions for a status frame that ends an ambiguity.",
        lambda look: look.bridge.commands.counts.asked["status"],
    ),
    Counter(
        "downlinks",
        "Frames put into the network server's queue.",
        lambda look: look.bridge.commands.counts.enqueued,
    ),
    Counter(
        "downlink_doubts",
        "Frames of which it was not known whether the server had taken them, by what was found out.",
        lambda look: _each(DOUBTS, look.bridge.commands.counts.resolved),
        "outcome",
        "found (it had); absent (it had not)",
    ),
    Gauge(
        "commands_open",
        "Commands that are not at their end, the bridge's own included.",
        _figure(lambda store: store.open_commands),
    ),
    Gauge(
        "commands_failing",
        "1 while it is known that commands cannot be sent or do not come in.",
        lambda look: float(
            bool(look.bridge.commands.trouble)
            or (look.bridge.listener is not None and bool(look.bridge.listener.trouble))
        ),
    ),
)

GOING_OUT: Sequence[Described] = (
    Gauge(
        "broker_connected",
        "1 if the broker has accepted the connection.",
        lambda look: float(look.bridge.publisher.connected),
    ),
    Counter(
        "broker_connections",
        "Connections that the broker accepted.",
        lambda look: look.bridge.publisher.counts.connections,
    ),
    Counter(
        "publishes",
        "Answers of the broker to messages of the outbox, each retry counted; and refusals of newest intervals (`last`), which hold nothing up and are not sent again.",
        _publishes,
        "reason_code",
        "of the PUBACK (MQTT 5.0, 3.4.2.1): 0 success; 16 accepted, but nobody has subscribed; from 128 on refused (135 not authorized, 151 quota exceeded)",
    ),
    Counter(
        "messages_quarantined",
        "Messages put aside because the broker can never take them.",
        lambda look: look.bridge.publisher.counts.quarantined,
    ),
    Histogram(
        "message_wait_seconds",
        "From the making of a message to its acknowledgement.",
        lambda look: look.bridge.publisher.counts.wait,
    ),
    Gauge(
        "publisher_in_flight",
        "Messages sent and not answered yet.",
        lambda look: look.bridge.publisher.in_flight,
    ),
    Gauge(
        "publisher_window",
        "Messages that may be in flight; 0 without a connection.",
        lambda look: look.bridge.publisher.window,
    ),
    Gauge(
        "publisher_held_stations",
        "Stations whose messages wait because the broker refuses them, or nobody has subscribed.",
        lambda look: len(look.bridge.publisher.held),
    ),
    Gauge(
        "outbox_messages",
        "Messages that wait for their acknowledgement.",
        _figure(lambda store: store.outbox_messages),
    ),
    Gauge(
        "outbox_oldest_age_seconds",
        "Age of the oldest of them; 0 if there is none. The figure to be alarmed by.",
        _oldest_s,
    ),
    Gauge(
        "quarantine",
        "Rows of the table of what was rejected.",
        _figure(lambda store: _each(Cause, store.rejected)),
        "cause",
        "; ".join(str(cause) for cause in Cause),
    ),
)

STORE: Sequence[Described] = (
    Counter("commits", "Transactions with events.", lambda look: look.bridge.counts.transactions),
    Histogram(
        "store_commit_seconds",
        "Duration of the transactions that take events or settle gaps.",
        lambda look: look.bridge.counts.commit,
    ),
    Gauge(
        "store_failing",
        "1 while the database cannot be written, or no events are read because its disk is nearly full.",
        lambda look: float(bool(look.bridge.disk_trouble)),
    ),
    Gauge(
        "store_wal_bytes",
        "Size of the write-ahead log.",
        _of_the_disk(store_figures.wal_bytes),
    ),
    Gauge(
        "store_database_bytes",
        "Size of the database without it.",
        _figure(lambda store: store.pages * store.page_bytes),
    ),
    Gauge(
        "store_free_pages",
        "Pages of the database that hold nothing.",
        _figure(lambda store: store.free_pages),
    ),
    Gauge(
        "store_disk_free_bytes",
        "What is free on the disk of the database.",
        _of_the_disk(store_figures.disk_free_bytes),
    ),
    Gauge(
        "store_low_water_bytes",
        "Below so much free space no more events are read.",
        lambda look: look.bridge.settings.store.low_water_mb * 1e6,
    ),
)

BRIDGE: Sequence[Described] = (
    Gauge(
        "build_info",
        "Always 1.",
        lambda _look: {version("zaehlwerk-bridge"): 1.0},
        "version",
        "of the bridge",
    ),
    Gauge(
        "ready",
        "1 for each side that is ready, as `/readyz` says it.",
        lambda look: {
            side: float(side not in look.bridge.troubles()) for side in ("source", "broker", "store")
        },
        "side",
        "source; broker; store",
    ),
    Gauge("queue_events", "Events read and not yet stored.", lambda look: look.bridge.queued),
    Gauge(
        "loop_lag_seconds",
        "So much later than asked the event loop came to its last beat.",
        lambda look: look.bridge.heartbeat.lag_s,
    ),
    Gauge(
        "loop_age_seconds",
        "Since the last beat of the event loop.",
        lambda look: look.bridge.heartbeat.loop_age_s,
    ),
    Gauge(
        "store_thread_age_seconds",
        "Since the last beat of the store's thread.",
        lambda look: look.bridge.heartbeat.store_age_s,
    ),
)

TABLE: Mapping[str, Sequence[Described]] = {
    "What comes in": COMING_IN,
    "The source": SOURCE,
    "The ledger": LEDGER,
    "Commands": COMMANDS,
    "What goes out": GOING_OUT,
    "The store": STORE,
    "The bridge itself": BRIDGE,
}


class BridgeCollector(Collector):
    """Reads the metrics of `bridge`, on whatever thread asks."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that has a value now."""
        try:
            figures = store_figures.read(self._bridge.store_place, self._bridge.settings.id)
        except FAULTS:
            figures = None
        look = Look(self._bridge, figures, self._bridge.now_ns())
        for metrics in TABLE.values():
            for metric in metrics:
                yield from _family(metric, look)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: then the registry does not scrape a bridge that has not begun."""
        return iter(())


def registry(bridge: Bridge) -> CollectorRegistry:
    """Return a registry of the bridge's metrics and of its process; nothing global."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    made.register(BridgeCollector(bridge))
    return made


def _family(metric: Described, look: Look) -> Iterator[Metric]:
    name = PREFIX + metric.name
    if isinstance(metric, Histogram):
        seen = metric.read(look)
        yield HistogramMetricFamily(name, metric.meaning, buckets=seen.cumulative(), sum_value=seen.sum)
        return
    value = metric.read(look)
    if value is None:
        return
    made = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
    if isinstance(value, Mapping):
        family = made(name, metric.meaning, labels=[metric.label])
        for label, one in value.items():
            family.add_metric([label], one)
        yield family
    else:
        yield made(name, metric.meaning, value=float(value))
