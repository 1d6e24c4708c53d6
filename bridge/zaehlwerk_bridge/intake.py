"""Takes an event into the tables: decode, then fold counts, report the rest, and keep what cannot be read with its reason."""

import sqlite3
from collections.abc import Iterable

from zaehlwerk_bridge import reports, station
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger import frame_cells
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.ledger.epochs import Epoch, epoch_of
from zaehlwerk_bridge.ledger.fold import Fold
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.station import Station, StationError
from zaehlwerk_bridge.stations import Stations
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


class Intake:
    """Works in the transaction of `database`. Its methods return what the platform has to be told."""

    def __init__(self, database: sqlite3.Connection, chains: Chains, fold: Fold, messages: Messages) -> None:
        self._database = database
        self._chains = chains
        self._fold = fold
        self._messages = messages
        self._stations = Stations(database)

    def take(self, event: Event, now_ns: int) -> tuple[list[Message], str]:
        """Take an event that was not taken before; returns messages, and why it was rejected or an empty text."""
        if event.problem:
            return [self._reject(event, event.problem)], event.problem
        if event.kind != "up" or not event.f_port or not event.payload:
            return [], ""
        try:
            place = station.from_tags(event.tags, event.device_name)
            frame = frames.decode(event.f_port, event.payload)
        except (StationError, FrameError) as error:
            return [self._reject(event, str(error))], str(error)
        told = [self._messages.meta(place)] if self._stations.is_new(place, event) else []
        if self._stations.serve(event):
            for chain in self._chains.epochs(event.dev_eui):
                told += self._fold.renew(chain, now_ns)
        try:
            told += self._frame(event, place, frame, now_ns)
        except ContradictionError as error:
            return [*told, self._reject(event, str(error))], str(error)
        return told, ""

    def _frame(
        self,
        event: Event,
        place: Station,
        frame: Intervals | Status | Alarm | Answer | Command,
        now_ns: int,
    ) -> Iterable[Message]:
        if isinstance(frame, Counts | Backfill | Flow):
            chains = self._chains.epochs(event.dev_eui)
            chain = epoch_of(frame.state & GENERATION, event.received_ns, chains)
            if chain is None:
                self._database.execute(
                    "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?)",
                    (event.dev_eui, event.received_ns, event.f_port, event.payload),
                )
                return []
            return self._intervals(chain, frame, event.received_ns, now_ns)
        if isinstance(frame, Status):
            told = [self._report(place, "status", reports.status(frame, event.received_ns), event)]
            return told + self._status(event, frame, place, now_ns)
        if isinstance(frame, Alarm):
            return [self._report(place, "alarm", reports.alarm(frame, event.received_ns, place), event)]
        if isinstance(frame, Answer):
            return [self._report(place, "result", reports.answer(frame, event.received_ns), event)]
        raise ContradictionError("a command came up from a node; commands only go down")

    def _status(self, event: Event, frame: Status, place: Station, now_ns: int) -> list[Message]:
        told: list[Message] = []
        chain = self._chains.name(event.dev_eui, frame, event.received_ns, place.max_rate)
        if frame.mapping is not None and self._chains.map(chain, frame.mapping, event.received_ns):
            told += self._fold.renew(chain, now_ns)
        told += self._waited(event, now_ns)
        if frame.anchor is not None:
            if not self._chains.has_channels(chain.chain, len(frame.anchor[1])):
                raise ContradictionError("an anchor of another number of channels than its epoch has")
            unsynced = bool(frame.state & UNSYNCED)
            line = self._chains.timeline(chain, unsynced=unsynced)
            cells = frame_cells.of_anchor(frame, event.received_ns, line)
            told += self._fold.add(chain, cells, now_ns, unsynced=unsynced)
        return told

    def _waited(self, event: Event, now_ns: int) -> list[Message]:
        """Take the frames whose epoch can be told now."""
        told: list[Message] = []
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
                told += self._intervals(chain, frame, received_ns, now_ns)
            except ContradictionError as error:
                late = Event(
                    event.source, event.dev_eui, "up", "", "", received_ns, f_port=f_port, payload=payload
                )
                told.append(self._reject(late, str(error)))
        return told

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

    def _report(self, place: Station, kind: str, content: reports.Content, event: Event) -> Message:
        identity = f"{place.slug}.{kind}.{event.received_ns}"
        return self._messages.about(place.slug, kind, content, identity, reports.utc(event.received_ns))

    def _reject(self, event: Event, reason: str) -> Message:
        row = self._database.execute(
            "INSERT INTO rejected (dev_eui, received_ns, f_port, payload, reason, topic) VALUES (?, ?, ?, ?, ?, '')",
            (event.dev_eui, event.received_ns, event.f_port, event.payload, reason),
        )
        content = {
            "device": event.device_name or None,
            "received": reports.utc(event.received_ns),
            "kind": event.kind,
            "port": event.f_port,
            "payload": event.payload.hex(),
            "reason": reason,
        }
        return self._messages.rejected(content, f"event.{row.lastrowid}")
