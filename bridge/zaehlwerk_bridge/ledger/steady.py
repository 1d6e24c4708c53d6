"""The usual case, made short: a node of which nothing is missing tells its next interval.

The fold would look at the neighbourhood of that interval and find that what stood there stands, and that one record is new.
While a run lasts that is known beforehand, and the record is made at once, just as the fold would make it. Whatever is not
the usual case ends the run, or is left to the fold; so nothing here decides what stands, only how fast that is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from operator import add, sub

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger.cell import Cell, Row
from zaehlwerk_bridge.ledger.cell_table import Line
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.epochs import Epoch
from zaehlwerk_bridge.ledger.frame_cells import WHOLE
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.ledger.plain_frame import plain_counts
from zaehlwerk_bridge.ledger.record import Published, utc
from zaehlwerk_bridge.ledger.record_table import RecordTable
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.station import Station
from zaehlwerk_bridge.stations import Served, Stations
from zaehlwerk_protocol import ports
from zaehlwerk_protocol.receiver import MODULUS, newest_slot, unwrap
from zaehlwerk_protocol.state import GENERATION, UNSYNCED

NS = 1_000_000_000


@dataclass(slots=True)
class Run:
    """Intervals `first` to `last` of a line: all totals are known in full, `last` is the newest, and each interval after
    `first` has a record of its own that says what the totals say. No other record lies there, and no gap."""

    chain: Epoch
    line: Line
    first: int
    last: int
    served: Served
    station: Station
    channels: int
    begin: str
    """Of a record's text, up to its number."""
    heads: Sequence[str]
    """Of a record's text, for each channel what stands before its count."""


class Steady:
    """The runs of all devices: remembered, so they end with everything else that is."""

    def __init__(
        self, chains: Chains, stations: Stations, records: RecordTable, messages: Messages, memory: Memory
    ) -> None:
        self._chains = chains
        self._stations = stations
        self._records = records
        self._messages = messages
        self._memory = memory
        self._runs: dict[str, Run] = memory.kind()

    def end(self, dev_eui: str) -> Run | None:
        """Something else happens to the device's intervals. Returns the run that this ends."""
        return self._runs.pop(dev_eui, None)

    def begin(
        self, chain: Epoch, line: Line, first: int, last: int, channels: int, before: Run | None
    ) -> None:
        """The fold has just found intervals `first` to `last` of `line` to be what a run is. `before`: what it ended."""
        served = self._stations.served(chain.dev_eui)
        if (
            served is None
            or not self._memory.trusted
            or self._records.has_foreign
            or self._chains.epochs(chain.dev_eui)[-1] != chain
        ):
            return
        if before is not None and before.line is line and before.first <= first <= before.last:
            first = before.first
        station = served.station
        heads = []
        for number in range(channels):
            channel = station.channel(number)
            name, kind, direction = map(
                encode_basestring, (channel.name, channel.traffic_class, channel.direction)
            )
            heads.append(f'{{"name":{name},"class":{kind},"direction":{direction},"count":')
        begin = f'"{station.slug}.{chain.epoch:08x}.'
        self._runs[chain.dev_eui] = Run(
            chain, line, first, last, served, station, channels, begin, tuple(heads)
        )

    def take(self, event: Event) -> list[Message] | None:
        """Take a frame that goes on with its device's run; None: it is for the fold, and nothing was changed."""
        run = self._runs.get(event.dev_eui)
        if run is None or event.f_port != ports.COUNTS:
            return None
        frame = plain_counts(event.payload)
        if frame is None:
            return None
        chain, last, received_ns = run.chain, run.last, event.received_ns
        if (
            frame.state & UNSYNCED
            or frame.state & GENERATION != chain.generation
            or received_ns < chain.named_ns
            or len(frame.totals) != run.channels
            or unwrap(frame.index16, newest_slot(received_ns // NS, chain.interval_s)) != last + 1
            or last - len(frame.history) < run.first
            or self._records.has_foreign
            or self._chains.line(chain, unsynced=False) is not run.line
            or not self._stations.still(event, run.served)
        ):
            return None
        tail = run.line.newest(len(frame.history) + 1)
        known = _told_again(tail, frame.history, last, received_ns)
        if known is None:
            return None
        newest = tail[-1]
        assert newest.total is not None
        assert newest.whole is not None
        counts = tuple([(now - then) % MODULUS for now, then in zip(frame.totals, newest.total, strict=True)])
        whole = tuple(map(add, newest.whole, counts))
        self._stations.note(event, run.served)
        for cell in known:
            run.line.put(cell)
        number = run.last = last + 1
        run.line.put(Cell(number, None, WHOLE, False, frame.totals, received_ns, received_ns, None, whole))
        return [self._told(run, number, counts, whole)]

    def _told(self, run: Run, number: int, counts: Row, whole: Row) -> Message:
        """The record of a new interval, observed for all of its time, and its message."""
        slug, interval_s = run.station.slug, run.chain.interval_s
        end_s = (number + 1) * interval_s
        end = utc(end_s)
        channels = "},".join(
            [
                f'{head}{count},"total":{total},"coverage":1.0,"quality":"ok"'
                for head, count, total in zip(run.heads, counts, whole, strict=True)
            ]
        )
        name = f'{run.begin}{number}"'
        rest = (
            f'"start":"{utc(end_s - interval_s)}","end":"{end}","clock":"utc","resolution":"interval",'
            f'"intervals":1,"channels":[{channels}}}]}}'
        )
        record = name[1:-1]
        revision = self._records.put(run.line, record, slug, number, end_s, f'{{"id":{name},{rest}')
        text = f'{{"id":{name},"revision":{revision},{rest}'
        return self._messages.records(slug, (Published(record, revision, "interval", end, text),), ())


def _told_again(
    tail: Sequence[Cell], history: Sequence[Row], last: int, received_ns: int
) -> list[Cell] | None:
    """What a frame's `history` adds to the cells `tail`, the newest of which is `last`: counts that are known as differences.

    None if it says anything else, or if not all that is needed to see that is in `tail`.
    """
    rows = len(history)
    if len(tail) <= rows or tail[-1].number != last or tail[-1 - rows].number != last - rows:
        return None
    added = []
    for back, row in enumerate(history):
        cell, before = tail[-1 - back], tail[-2 - back]
        assert cell.whole is not None
        assert before.whole is not None
        if (
            tuple(map(sub, cell.whole, before.whole)) != row
            or cell.cover is None
            or received_ns < cell.heard_ns
        ):
            return None
        if cell.counts is None:
            added.append(cell.told(row))
        elif cell.counts != row:
            return None
    return added
