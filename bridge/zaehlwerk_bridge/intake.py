"""Takes an event into the tables: decode, then fold counts, report the rest, and keep what cannot be read with its reason."""

import enum
from dataclasses import dataclass, field, replace

from zaehlwerk_bridge import reports
from zaehlwerk_bridge.commands import results
from zaehlwerk_bridge.commands.register import Register
from zaehlwerk_bridge.database import Database
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger import frame_cells
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.epochs import Epoch, epoch_of
from zaehlwerk_bridge.ledger.fold import Fold
from zaehlwerk_bridge.ledger.memory import Memory
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.rejected import Cause, Rejected
from zaehlwerk_bridge.station import Station, StationError
from zaehlwerk_bridge.stations import Stations, place_of
from zaehlwerk_protocol import frames
from zaehlwerk_protocol.alarm import Alarm
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.backfill import Backfill
from zaehlwerk_protocol.command import Command
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.flow import Flow
from zaehlwerk_protocol.state import GENERATION, UNSYNCED
from zaehlwerk_protocol.status import Status

Intervals = Counts | Backfill | Flow
"""Frames about intervals of an epoch that they name by its generation only."""


class ContradictionError(Exception):
    """A frame that can be read and cannot be true."""


class Fate(enum.StrEnum):
    """What became of an event."""

    DECODED = "decoded"
    WAITING = "waiting"
    """Decoded; its epoch is not named yet, so it waits for a status frame."""
    DUPLICATE = "duplicate"
    """Taken before."""
    DOWNLINK = "downlink"
    """Said what became of a command's frame."""
    IGNORED = "ignored"
    """Nothing that is for the bridge: a join, an acknowledgement, an uplink without payload."""
    REJECTED = "rejected"


@dataclass(slots=True)
class Taken:
    """What one event did: its fate, what the platform has to be told, the kind of frame if it was one."""

    fate: Fate
    told: list[Message] = field(default_factory=list)
    frame: str = ""
    cause: Cause | None = None  # of its rejection
    reason: str = ""
    late: list[Cause] = field(default_factory=list)  # rejections of frames that had waited for it


def _refused(cause: Cause, reason: str) -> Taken:
    return Taken(Fate.REJECTED, cause=cause, reason=reason)


class Intake:
    """Works in the transaction of `database`."""

    def __init__(
        self,
        database: Database,
        chains: Chains,
        fold: Fold,
        messages: Messages,
        commands: Register,
        stations: Stations,
        memory: Memory,
    ) -> None:
        self.rejected = Rejected(database)
        self._database = database
        self._chains = chains
        self._fold = fold
        self._messages = messages
        self._commands = commands
        self._stations = stations
        self._memory = memory

    def take(self, event: Event, now_ns: int) -> Taken:
        """Take an event that was not taken before; one that is rejected is kept with its reason, and told."""
        taken = self.attempt(event, now_ns)
        if taken.cause is not None:
            taken.told.append(self._reject(event, taken.cause, taken.reason, now_ns))
        return taken

    def served(self, event: Event) -> Event | None:
        """The event with the tags of the nearest one of its device that was taken; None: there is none."""
        return self._stations.with_known_tags(event)

    def attempt(self, event: Event, now_ns: int) -> Taken:
        """Take an event; one that is rejected is not kept."""
        if event.problem:
            return _refused(Cause.INTERNAL if event.internal else Cause.UNREADABLE, event.problem)
        if event.queue_item or event.kind == "join":
            return self._downlink(event, now_ns)
        if event.kind != "up" or not event.f_port or not event.payload:
            return Taken(Fate.IGNORED)
        usual = self._fold.steady.take(event)
        if usual is not None:
            return Taken(Fate.DECODED, usual, "counts")
        return self._uplink(event, now_ns)

    def _uplink(self, event: Event, now_ns: int) -> Taken:
        try:
            place = place_of(event)
        except StationError as error:
            return _refused(Cause.NO_STATION, str(error))
        try:
            frame = frames.decode(event.f_port, event.payload)
        except FrameError as error:
            return _refused(Cause.UNDECODABLE, str(error))
        taken = Taken(Fate.DECODED, frame=type(frame).__name__.lower())
        if self._stations.is_new(place, event):
            taken.told.append(self._messages.meta(place))
        if self._stations.serve(event):
            for chain in self._chains.epochs(event.dev_eui):
                taken.told += self._fold.renew(chain, now_ns)
        try:
            self._frame(event, place, frame, taken, now_ns)
        except ContradictionError as error:
            taken.fate, taken.cause, taken.reason = Fate.REJECTED, Cause.CONTRADICTION, str(error)
        return taken

    def _downlink(self, event: Event, now_ns: int) -> Taken:
        self._memory.flush()  # commands read the tables themselves
        if event.kind == "join":
            return Taken(Fate.IGNORED, self._commands.joined(event.dev_eui, now_ns))
        told = self._commands.reported(event, now_ns)
        return Taken(Fate.IGNORED) if told is None else Taken(Fate.DOWNLINK, told)

    def _frame(
        self,
        event: Event,
        place: Station,
        frame: Intervals | Status | Alarm | Answer | Command,
        taken: Taken,
        now_ns: int,
    ) -> None:
        if isinstance(frame, Counts | Backfill | Flow):
            chains = self._chains.epochs(event.dev_eui)
            chain = epoch_of(frame.state & GENERATION, event.received_ns, chains)
            if chain is None:
                self._database.execute(
                    "INSERT INTO waiting VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (event.dev_eui, event.received_ns, event.f_port, event.payload),
                )
                taken.fate = Fate.WAITING
            else:
                taken.told += self._intervals(chain, frame, event.received_ns, now_ns)
        elif isinstance(frame, Status):
            content = reports.status(frame, event.received_ns, place)
            taken.told.append(self._report(place, "status", content, event))
            self._status(event, frame, place, taken, now_ns)
        elif isinstance(frame, Alarm):
            content = reports.alarm(frame, event.received_ns, place)
            taken.told.append(self._report(place, "alarm", content, event))
        elif isinstance(frame, Answer):
            self._memory.flush()  # commands read the tables themselves
            told = self._commands.answered(event.dev_eui, frame, event.received_ns, now_ns)
            if told is None:
                told = [self._foreign(event, place, frame)]
            taken.told += told
        else:
            raise ContradictionError("a command came up from a node; commands only go down")

    def _status(self, event: Event, frame: Status, place: Station, taken: Taken, now_ns: int) -> None:
        self._fold.steady.end(event.dev_eui)
        chain = self._chains.name(event.dev_eui, frame, event.received_ns, place.max_rate)
        if frame.mapping is not None and self._chains.map(chain, frame.mapping, event.received_ns):
            taken.told += self._fold.renew(chain, now_ns)
        self._waited(event, taken, now_ns)
        if frame.anchor is not None:
            if not self._chains.has_channels(chain.chain, len(frame.anchor[1])):
                raise ContradictionError("an anchor of another number of channels than its epoch has")
            unsynced = bool(frame.state & UNSYNCED)
            line = self._chains.timeline(chain, unsynced=unsynced)
            cells = frame_cells.of_anchor(frame, event.received_ns, line)
            taken.told += self._fold.add(chain, cells, now_ns, unsynced=unsynced)

    def _waited(self, event: Event, taken: Taken, now_ns: int) -> None:
        """Take the frames whose epoch can be told now."""
        waiting = self._database.execute(
            "SELECT received_ns, f_port, payload FROM waiting WHERE dev_eui = ? ORDER BY received_ns, f_port, payload",
            (event.dev_eui,),
        ).fetchall()
        epochs = self._chains.epochs(event.dev_eui) if waiting else []
        for received_ns, f_port, payload in waiting:
            frame = frames.decode(f_port, payload)
            assert isinstance(frame, Counts | Backfill | Flow)
            chain = epoch_of(frame.state & GENERATION, received_ns, epochs)
            if chain is None:
                continue
            self._database.execute(
                "DELETE FROM waiting WHERE dev_eui = ? AND received_ns = ? AND f_port = ? AND payload = ?",
                (event.dev_eui, received_ns, f_port, payload),
            )
            try:
                taken.told += self._intervals(chain, frame, received_ns, now_ns)
            except ContradictionError as error:
                late = replace(event, received_ns=received_ns, f_port=f_port, payload=payload)
                taken.late.append(Cause.CONTRADICTION)
                taken.told.append(self._reject(late, Cause.CONTRADICTION, str(error), now_ns))

    def _intervals(self, chain: Epoch, frame: Intervals, received_ns: int, now_ns: int) -> list[Message]:
        unsynced = bool(frame.state & UNSYNCED)
        line = self._chains.timeline(chain, unsynced=unsynced)
        if isinstance(frame, Flow):
            end_s = line.end_s(line.number(frame.index, received_ns, unsynced=unsynced), unsynced=unsynced)
            place = self._stations.at(chain.dev_eui, received_ns)
            content = reports.flow(frame, end_s, place)
            identity = f"{place.slug}.flow.{received_ns}"
            return [self._messages.about(place.slug, "flow", content, identity, reports.utc(received_ns))]
        channels = len(frame.totals) if isinstance(frame, Counts) else frame.channels
        if not self._chains.has_channels(chain.chain, channels):
            raise ContradictionError(f"{channels} channels, but the epoch has another number of them")
        cells = (
            frame_cells.of_counts(frame, received_ns, line)
            if isinstance(frame, Counts)
            else frame_cells.of_backfill(frame, received_ns, line)
        )
        return self._fold.add(chain, cells, now_ns, unsynced=unsynced)

    def _foreign(self, event: Event, place: Station, frame: Answer) -> Message:
        content = results.foreign(frame, event.received_ns)
        identity = f"{place.slug}.result.{event.received_ns}"
        return self._messages.result(place.slug, content, identity, reports.utc(event.received_ns))

    def _report(self, place: Station, kind: str, content: reports.Content, event: Event) -> Message:
        identity = f"{place.slug}.{kind}.{event.received_ns}"
        return self._messages.about(place.slug, kind, content, identity, reports.utc(event.received_ns))

    def _reject(self, event: Event, cause: Cause, reason: str, now_ns: int) -> Message:
        row = self.rejected.add_event(event, cause, reason, now_ns)
        content = {
            "device": event.device_name or None,
            "received": reports.utc(event.received_ns),
            "kind": event.kind,
            "port": event.f_port,
            "payload": event.payload.hex(),
            "reason": reason,
        }
        return self._messages.rejected(content, f"event.{row}")
