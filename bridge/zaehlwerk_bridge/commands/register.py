"""Commands in the store: taken once by their id, changed by what the server and the node say, each fate told."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zaehlwerk_bridge.commands import life as lives
from zaehlwerk_bridge.commands import results
from zaehlwerk_bridge.commands.entry_table import Entry, EntryTable
from zaehlwerk_bridge.commands.life import Downlink, Fate, Life, Stage
from zaehlwerk_bridge.commands.planning import Arguments, Impossible, Plan, frame, further_parts, plan
from zaehlwerk_bridge.commands.report_table import ReportTable
from zaehlwerk_bridge.commands.request import BadRequest, RepublishRequest, Request, read_request, seconds
from zaehlwerk_bridge.database import Database, again
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.ledger.chains import Chains
from zaehlwerk_bridge.messages import Message, Messages
from zaehlwerk_bridge.reports import utc
from zaehlwerk_bridge.station import Station
from zaehlwerk_bridge.stations import Stations
from zaehlwerk_protocol import answer as answers
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.command import GET_CONFIG, Command

if TYPE_CHECKING:  # what reads settings takes 15 MB, which the store's process does without
    from zaehlwerk_bridge.settings import CommandsSettings

NS = 1_000_000_000
GRACE_NS = 60 * NS
"""So long after its end a command's time is over here: what the server did before its end is heard by then."""
LONGEST_S = 30 * 86400
"""Seconds that a command may wait: as long as a node keeps its intervals."""
KEPT_NS = 90 * 86400 * NS
"""So long an id is known after the command's end."""
KEPT_MOST = 1000
"""Commands of a station that are kept after their end."""
KEPT_OWN_NS = 7 * 86400 * NS
"""So long the bridge's own questions are kept after their end."""
FORGET_AT_ONCE = 500
_PUT_BACK = "the bridge's database was put back from a copy: whether this was done is not known"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SLUG_MOST = 100
_SHOWN = 200


class Register:
    """Commands in the transactions of a store.

    `transaction(now_ns)` is one, `send` puts messages into its outbox. Methods that return messages work in a
    transaction that is open; all others make their own.
    """

    def __init__(
        self,
        database: Database,
        chains: Chains,
        stations: Stations,
        messages: Messages,
        transaction: Callable[[int], AbstractContextManager[None]],
        send: Callable[[Sequence[Message]], None],
    ) -> None:
        self.table = EntryTable(database)
        self._reports = ReportTable(database)
        self._database = database
        self._chains = chains
        self._stations = stations
        self._messages = messages
        self._transaction = transaction
        self._send = send
        self._touched: set[str] = set()
        self._fates: Counter[tuple[str, Fate]] = Counter()
        self._uncommitted: tuple[set[str], Counter[tuple[str, Fate]]] = (set(), Counter())
        self.ended: Callable[[Entry], None] = lambda _entry: None
        """Told, in the transaction, of the bridge's own questions that have come to their end."""

    # What has changed, for those outside the store.

    def begin(self) -> None:
        """A transaction begins."""
        self._uncommitted = (set(), Counter())

    def committed(self) -> None:
        """It is durable."""
        touched, fates = self._uncommitted
        self._touched |= touched
        self._fates += fates
        self.begin()

    @property
    def has_changed(self) -> bool:
        """Whether `changes` would tell anything."""
        return bool(self._touched or self._fates)

    def changes(self) -> tuple[set[str], Counter[tuple[str, Fate]]]:
        """Devices whose commands have changed (empty text: the bridge itself), and fates since the
        last call: (kind of the bridge's own question or empty, fate)."""
        changed = (self._touched, self._fates)
        self._touched, self._fates = set(), Counter()
        return changed

    # Taking.

    @again
    def take(
        self, topic: str, station: str, payload: bytes, limits: "CommandsSettings", now_ns: int
    ) -> Mapping[str, Any]:
        """Take a message of `topic`, which names `station`: whatever is wrong with it, the outbox says so.

        Returns what it says.
        """
        with self._transaction(now_ns):
            self._database.touches(station)
            told = self._taken(topic, station, payload, limits, now_ns)
            self._send(told)
            self.table.forget_beyond(station, KEPT_MOST, FORGET_AT_ONCE)
            self.forget(now_ns)
        content: Mapping[str, Any] = json.loads(told[0].payload)
        return content

    def forget(self, now_ns: int) -> None:
        """Delete some of what is long past, in a transaction that is open."""
        self.table.forget(now_ns - KEPT_NS, FORGET_AT_ONCE, own=False)
        self.table.forget(now_ns - KEPT_OWN_NS, FORGET_AT_ONCE, own=True)
        self._reports.forget(now_ns)

    def _taken(
        self, topic: str, station: str, payload: bytes, limits: "CommandsSettings", now_ns: int
    ) -> list[Message]:
        if len(station) > _SLUG_MOST or not SLUG.fullmatch(station):
            content = {"topic": topic[:_SHOWN], "bytes": len(payload), "reason": "no station has such a name"}
            return [self._messages.rejected(content, f"command.{now_ns}")]
        place = self._stations.present(station)
        try:
            request = read_request(payload, limits.max_bytes)
        except BadRequest as error:
            return self._refusal(station, place, error.id, str(error), now_ns)
        known = self.table.known(station, request.id)
        if known is not None:
            return [self._result(known, now_ns)]
        try:
            if place is None:
                raise Impossible("there is no station of that name")
            entry = self._entry(place, request, limits, now_ns)
        except Impossible as error:
            return self._refusal(station, place, request.id, str(error), now_ns)
        return self.begun(entry, now_ns)

    def _entry(self, place: Station, request: Request, limits: "CommandsSettings", now_ns: int) -> Entry:
        if self.table.open_count(place.slug) >= limits.open_per_station:
            raise Impossible(
                f"{limits.open_per_station} commands of the station are open; wait for their fates"
            )
        if self.table.taken_since(place.slug, now_ns - 3600 * NS) >= limits.per_hour:
            raise Impossible(f"{limits.per_hour} commands of the station were taken within an hour; wait")
        expires_ns = now_ns + int(limits.expire_s * NS)
        if request.expires is not None:
            expires_ns = seconds(request.expires) * NS
            if expires_ns <= now_ns:
                raise Impossible("expires is in the past")
            if expires_ns > now_ns + LONGEST_S * NS:
                raise Impossible(f"expires is more than {LONGEST_S // 86400} days away")
        content = request.model_dump(
            mode="json", by_alias=True, exclude={"id", "command", "expires", "settings"}
        )
        if isinstance(request, RepublishRequest):
            begin, end = (None if at is None else seconds(at) for at in (request.begin, request.end))
            if begin is not None and end is not None and begin >= end:
                raise Impossible("from must be before to")
            life = Life(False, expires_ns, ())
            return Entry(place.slug, request.id, request.command, "", now_ns, life, request=content)
        dev_eui = self.device(place.slug)
        if dev_eui is None:
            raise Impossible("no node is known to serve the station")
        epochs = self._chains.epochs(dev_eui)
        planned = plan(request, place, epochs[-1].interval_s if epochs else None, now_ns)
        life = self.life(planned, dev_eui, expires_ns, now_ns, confirmed=True)
        return Entry(place.slug, request.id, request.command, dev_eui, now_ns, life, request=content)

    def life(
        self,
        planned: Plan,
        dev_eui: str,
        expires_ns: int,
        now_ns: int,
        *,
        confirmed: bool,
        patience_ns: int | None = None,
    ) -> Life:
        """The beginning of a command. Raises Impossible if its arguments are none."""
        self._database.touches(dev_eui)
        return Life(
            confirmed,
            expires_ns,
            self._downlinks(planned.kind, planned.frames, dev_eui, now_ns),
            complete=planned.complete,
            one_answer=planned.one_answer,
            patience_ns=patience_ns,
        )

    def _downlinks(
        self, kind: int, frames: Sequence[Arguments], dev_eui: str, now_ns: int, first: int = 0
    ) -> tuple[Downlink, ...]:
        # By the time, so that a copy of the store that was brought back uses no token that the node remembers.
        tokens = self.table.tokens(dev_eui, now_ns // NS, len(frames))
        return tuple(
            Downlink(first + at, token, frame(kind, arguments, token), since_ns=now_ns)
            for at, (token, arguments) in enumerate(zip(tokens, frames, strict=True))
        )

    def begun(self, entry: Entry, now_ns: int) -> list[Message]:
        """Keep a new command."""
        kept = self.table.add(replace(entry, fate_ns=now_ns))
        self._note(kept)
        return [] if kept.own else [self._result(kept, now_ns)]

    def device(self, station: str) -> str | None:
        """The device that served a station last; None: none did."""
        rows = self._database.execute(
            "SELECT dev_eui, (SELECT max(at_ns) FROM tagging WHERE tagging.dev_eui = known.dev_eui) AS at_ns"
            " FROM (SELECT dev_eui FROM chain UNION SELECT dev_eui FROM waiting) AS known ORDER BY at_ns DESC",
        )
        for dev_eui, at_ns in rows:
            if at_ns is not None and self._stations.at(dev_eui, at_ns).slug == station:
                return str(dev_eui)
        return None

    # What the server and the node say.

    def reported(self, event: Event, now_ns: int) -> list[Message] | None:
        """Take a "txack", "ack" or "log" of an item of the server's queue; None: it is of nobody that is known."""
        entry = self.table.of_item(event.dev_eui, event.queue_item)
        if entry is None:
            if not any(_tries(known.life) for known in self.table.open_of(event.dev_eui)):
                return None
            # The answer to its Enqueue may be on its way, or be lost.
            self._reports.keep(event.dev_eui, event.queue_item, event.kind, event.report, now_ns)
            self._uncommitted[0].add(event.dev_eui)
            return []
        changed = _with_report(entry.life, event.queue_item, event.kind, event.report, now_ns)
        return self._changed(entry, changed, now_ns)

    def joined(self, dev_eui: str, now_ns: int) -> list[Message]:
        """The device has joined anew: the server may have thrown its queue away."""
        told = []
        for entry in self.table.open_of(dev_eui):
            told += self._changed(entry, lives.doubted(entry.life, now_ns), now_ns)
        return told

    def answered(self, dev_eui: str, answer: Answer, received_ns: int, now_ns: int) -> list[Message] | None:
        """Take a node's answer; None: to a command that is not known."""
        entry = self.table.of_token(dev_eui, answer.token)
        asked = None
        if entry is not None:
            asked = next(one for one in entry.life.downlinks if one.token == answer.token)
        if entry is None or asked is None or Command.decode(asked.payload).kind != answer.kind:
            return None
        changed = lives.answered(entry.life, answer.token, answer.result, answer.encode(), now_ns)
        if answer.kind == GET_CONFIG and answer.result == answers.OK and not changed.complete:
            parts = further_parts(answer) or 1
            frames = [(part,) for part in range(1, parts)]
            more = self._downlinks(GET_CONFIG, frames, dev_eui, now_ns, first=1)
            changed = lives.extended(changed, more, now_ns)
        return self._changed(entry, changed, now_ns, received_ns)

    # What the dispatcher does.

    def begin_enqueue(self, seq: int, part: int, others: Collection[str], now_ns: int) -> bool:
        """An Enqueue of that frame begins; False: it must not, for the command's fate has changed."""
        return self._apply(seq, now_ns, lambda life: lives.begun(life, part, sorted(others), now_ns))

    def enqueued(self, seq: int, part: int, item: str, now_ns: int) -> None:
        """The server has it as `item`. What it has already said of it is taken too."""

        def found(life: Life) -> Life:
            life = lives.enqueued(life, part, item, now_ns)
            for kind, report in self._reports.of(item):
                life = _with_report(life, item, kind, report, now_ns)
            return life

        self._apply(seq, now_ns, found)

    def unclaimed(self, dev_eui: str, since_ns: int, others: Collection[str]) -> str | None:
        """An item that the server spoke of since then and that nobody knows: what a lost answer to an Enqueue named."""
        return self._reports.unclaimed(dev_eui, since_ns, others)

    def absent(self, seq: int, part: int, now_ns: int, again: str = "") -> None:
        """The Enqueue of that frame had no effect; `again`: why, if that may lie in the command."""
        self._apply(seq, now_ns, lambda life: lives.absent(life, part, now_ns, again=again))

    def refuse(self, seq: int, reason: str, now_ns: int) -> None:
        """It will not be done."""
        self._apply(seq, now_ns, lambda life: lives.refused(life, reason))

    @again
    def done(self, seq: int, answer: dict[str, Any], now_ns: int) -> None:
        """The bridge itself has done it."""
        with self._transaction(now_ns):
            entry = self.table.entry(seq)
            if entry is not None and entry.life.open:
                self._touches(entry)
                told = {"received": utc(now_ns), "token": None, **answer}
                life = replace(entry.life, fate=Fate.ANSWERED)
                self._send(self._kept(entry, replace(entry, life=life, answer=told), now_ns))

    @again
    def expire(self, now_ns: int) -> None:
        """End what has not come to its end in time."""
        with self._transaction(now_ns):
            expired = self.table.expired(now_ns - GRACE_NS)
            self._touches(*expired)
            for entry in expired:
                self._send(self._changed(entry, lives.expired(entry.life), now_ns))

    def next_expiry_ns(self) -> int | None:
        """When `expire` is next due."""
        expires_ns = self.table.next_expiry_ns()
        return None if expires_ns is None else expires_ns + GRACE_NS

    @again
    def abandon(self, now_ns: int) -> None:
        """The store is a copy that was put back: what was done since it was made is not known."""
        with self._transaction(now_ns):
            for dev_eui in self.table.devices():
                for entry in self.table.open_of(dev_eui):
                    life = lives.refused(entry.life, _PUT_BACK)
                    self._send(self._changed(entry, life, now_ns))

    def _touches(self, *entries: Entry) -> None:
        """They are changed: nobody else shall do that now."""
        self._database.touches(*(entry.dev_eui or entry.station for entry in entries))

    @again
    def _apply(self, seq: int, now_ns: int, change: Callable[[Life], Life]) -> bool:
        """Whether that changed anything."""
        with self._transaction(now_ns):
            entry = self.table.entry(seq)
            if entry is None:
                return False
            self._touches(entry)
            life = change(entry.life)
            self._send(self._changed(entry, life, now_ns))
            return life != entry.life

    def _changed(
        self, entry: Entry, life: Life, now_ns: int, received_ns: int | None = None
    ) -> list[Message]:
        if life == entry.life:
            return []
        changed = replace(entry, life=life)
        if life.fate is Fate.ANSWERED and entry.life.fate is not Fate.ANSWERED:
            told = results.answer_of(changed, now_ns if received_ns is None else received_ns)
            changed = replace(changed, answer=told)
        return self._kept(entry, changed, now_ns)

    def _kept(self, entry: Entry, changed: Entry, now_ns: int) -> list[Message]:
        risen = changed.life.fate is not entry.life.fate
        if risen:
            changed = replace(changed, fate_ns=now_ns)
        self.table.change(entry, changed)
        self._uncommitted[0].add(entry.dev_eui)
        if not risen:
            return []
        self._note(changed)
        if changed.own:
            if changed.life.open:
                return []
            self.ended(changed)
        return [self._result(changed, now_ns)]

    def _note(self, entry: Entry) -> None:
        touched, fates = self._uncommitted
        touched.add(entry.dev_eui)
        fates[entry.kind if entry.own else "", entry.life.fate] += 1

    # Messages.

    def _result(self, entry: Entry, now_ns: int) -> Message:
        identity = f"{entry.station}.result.{entry.id}.{entry.life.fate}.{now_ns}"
        return self._messages.result(entry.station, results.result(entry), identity, utc(entry.fate_ns))

    def _refusal(
        self, station: str, place: Station | None, identity: str, reason: str, now_ns: int
    ) -> list[Message]:
        self._uncommitted[1]["", Fate.REFUSED] += 1
        content = results.refusal(identity, reason, now_ns)
        message = self._messages.result(
            station, content, f"{station}.result.{identity}.refused.{now_ns}", utc(now_ns)
        )
        # What is said to have no station must not make a queue of every name that somebody thinks of.
        return [message if place is not None else replace(message, station="")]


def _tries(life: Life) -> bool:
    return any(downlink.stage is Stage.TRYING and not downlink.item for downlink in life.downlinks)


def _with_report(life: Life, item: str, kind: str, report: str, now_ns: int) -> Life:
    if kind == "txack":
        return lives.sent(life, item, now_ns)
    if kind == "ack":
        change = lives.acknowledged if report == "acknowledged" else lives.missed
        return change(life, item, now_ns)
    code, _, description = report.partition(" ")
    return lives.dropped(life, item, code, description)
