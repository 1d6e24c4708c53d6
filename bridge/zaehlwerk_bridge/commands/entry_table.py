"""The tables of commands and their frames."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zaehlwerk_bridge.commands.life import Downlink, Fate, Life, Stage
from zaehlwerk_bridge.database import Database, upsert
from zaehlwerk_protocol.command import MAX_TOKEN

_COLUMNS = (
    "seq, station, id, own, dev_eui, kind, request, taken_ns, fate_ns, answer,"
    " confirmed, complete, one_answer, patience_ns, expires_ns, fate, reason"
)

_PUT = upsert(
    "downlink",
    "command, part, dev_eui, token, payload, stage, item, tries, sendings, since_ns, others, result, data",
    "command, part",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command as it is kept. Times are nanoseconds UTC."""

    station: str
    id: str
    kind: str
    dev_eui: str  # empty: the bridge itself does it
    taken_ns: int
    life: Life
    own: bool = False  # the bridge asks for itself
    request: Mapping[str, Any] = field(default_factory=dict)
    fate_ns: int = 0
    answer: Mapping[str, Any] | None = None
    seq: int = 0


class EntryTable:
    """Tables in the transaction of `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entry: Entry) -> Entry:
        """Keep a new command; returns it with its number."""
        life = entry.life
        seq = self._database.insert(
            "INSERT INTO command (station, id, own, dev_eui, kind, request, taken_ns, fate_ns, confirmed, complete,"
            " one_answer, patience_ns, expires_ns, fate, reason, open) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.station,
                entry.id,
                entry.own,
                entry.dev_eui,
                entry.kind,
                json.dumps(dict(entry.request)),
                entry.taken_ns,
                entry.fate_ns,
                life.confirmed,
                life.complete,
                life.one_answer,
                life.patience_ns,
                life.expires_ns,
                life.fate,
                life.reason,
                life.open,
            ),
            "seq",
        )
        kept = replace(entry, seq=seq)
        self._put(kept, life.downlinks)
        return kept

    def change(self, entry: Entry, changed: Entry) -> None:
        """Keep what has changed of a command."""
        life = changed.life
        self._database.execute(
            "UPDATE command SET complete = ?, expires_ns = ?, fate = ?, fate_ns = ?, reason = ?, answer = ?, open = ?"
            " WHERE seq = ?",
            (
                life.complete,
                life.expires_ns,
                life.fate,
                changed.fate_ns,
                life.reason,
                None if changed.answer is None else json.dumps(dict(changed.answer)),
                life.open,
                entry.seq,
            ),
        )
        self._put(changed, [downlink for downlink in life.downlinks if downlink not in entry.life.downlinks])

    def _put(self, entry: Entry, downlinks: Sequence[Downlink]) -> None:
        self._database.executemany(
            _PUT,
            [
                (
                    entry.seq,
                    downlink.part,
                    entry.dev_eui,
                    downlink.token,
                    downlink.payload,
                    downlink.stage,
                    downlink.item,
                    downlink.tries,
                    downlink.sendings,
                    downlink.since_ns,
                    json.dumps(downlink.others),
                    downlink.result,
                    downlink.data,
                )
                for downlink in downlinks
            ],
        )

    def entry(self, seq: int) -> Entry | None:
        """A command by its number."""
        return next(iter(self._entries("seq = ?", seq)), None)

    def known(self, station: str, identity: str) -> Entry | None:
        """A command by what it was asked for with."""
        return next(iter(self._entries("station = ? AND id = ?", station, identity)), None)

    def open_of(self, dev_eui: str) -> list[Entry]:
        """A device's commands that are not at their end, in their order."""
        return self._entries("open = 1 AND dev_eui = ?", dev_eui)

    def of_item(self, dev_eui: str, item: str) -> Entry | None:
        """The command that an item of the server's queue belongs to."""
        row = self._database.execute(
            "SELECT command FROM downlink WHERE item = ? AND item <> '' AND dev_eui = ?", (item, dev_eui)
        ).fetchone()
        return None if row is None else self.entry(row[0])

    def of_token(self, dev_eui: str, token: int) -> Entry | None:
        """The latest command of a device with that token."""
        row = self._database.execute(
            "SELECT max(command) FROM downlink WHERE dev_eui = ? AND token = ?", (dev_eui, token)
        ).fetchone()
        return None if row[0] is None else self.entry(row[0])

    def tokens(self, dev_eui: str, wanted: int, count: int) -> list[int]:
        """`count` tokens that no command kept of the device has, from `wanted` on."""
        used = {
            token
            for (token,) in self._database.execute("SELECT token FROM downlink WHERE dev_eui = ?", (dev_eui,))
        }
        found: list[int] = []
        token = wanted % (MAX_TOKEN + 1)
        while len(found) < count:
            if token not in used or len(used) > MAX_TOKEN:
                found.append(token)
            token = (token + 1) % (MAX_TOKEN + 1)
        return found

    def devices(self) -> list[str]:
        """Devices with commands that are not at their end."""
        rows = self._database.execute("SELECT DISTINCT dev_eui FROM command WHERE open = 1 AND dev_eui <> ''")
        return [dev_eui for (dev_eui,) in rows]

    def bridges_own(self) -> list[Entry]:
        """Open commands that no frame goes to a node for."""
        return self._entries("open = 1 AND dev_eui = ''")

    def expired(self, before_ns: int) -> list[Entry]:
        """Open commands whose time was over at `before_ns`."""
        return self._entries("open = 1 AND expires_ns <= ?", before_ns)

    def next_expiry_ns(self) -> int | None:
        """When the next one's is; None: nothing is open."""
        row = self._database.execute("SELECT min(expires_ns) FROM command WHERE open = 1").fetchone()
        return None if row[0] is None else int(row[0])

    def any_open(self) -> bool:
        """Whether a command is not at its end."""
        return bool(
            self._database.execute("SELECT EXISTS (SELECT 1 FROM command WHERE open = 1)").fetchone()[0]
        )

    def open_count(self, station: str) -> int:
        """Commands of the platform to a station that are not at their end."""
        row = self._database.execute(
            "SELECT count(*) FROM command WHERE open = 1 AND own = 0 AND station = ?", (station,)
        ).fetchone()
        return int(row[0])

    def taken_since(self, station: str, since_ns: int) -> int:
        """Commands of the platform to a station that were taken since then."""
        row = self._database.execute(
            "SELECT count(*) FROM command WHERE station = ? AND taken_ns > ? AND own = 0", (station, since_ns)
        ).fetchone()
        return int(row[0])

    def forget(self, before_ns: int, limit: int, *, own: bool) -> None:
        """Delete at most `limit` commands that came to their end before then."""
        self._database.execute(
            "DELETE FROM command WHERE seq IN"
            " (SELECT seq FROM command WHERE open = 0 AND own = ? AND fate_ns < ? LIMIT ?)",
            (own, before_ns, limit),
        )

    def forget_beyond(self, station: str, kept: int, limit: int) -> None:
        """Delete at most `limit` of the platform's commands to a station that came to their end, but for the latest."""
        self._database.execute(
            "DELETE FROM command WHERE seq IN (SELECT seq FROM command WHERE open = 0 AND own = 0 AND station = ?"
            " ORDER BY seq DESC LIMIT ? OFFSET ?)",
            (station, limit, kept),
        )

    def _entries(self, condition: str, *arguments: object) -> list[Entry]:
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM command WHERE {condition} ORDER BY seq",  # noqa: S608 - conditions of this module
            arguments,
        ).fetchall()
        return [self._entry(row) for row in rows]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        seq, station, identity, own, dev_eui, kind, request, taken_ns, fate_ns, answer = row[:10]
        confirmed, complete, one_answer, patience_ns, expires_ns, fate, reason = row[10:]
        life = Life(
            bool(confirmed),
            expires_ns,
            self._downlinks(seq),
            Fate(fate),
            reason,
            bool(complete),
            bool(one_answer),
            patience_ns,
        )
        return Entry(
            station,
            identity,
            kind,
            dev_eui,
            taken_ns,
            life,
            bool(own),
            json.loads(request),
            fate_ns,
            None if answer is None else json.loads(answer),
            seq,
        )

    def _downlinks(self, seq: int) -> tuple[Downlink, ...]:
        rows = self._database.execute(
            "SELECT part, token, payload, stage, item, tries, sendings, since_ns, others, result, data FROM downlink"
            " WHERE command = ? ORDER BY part",
            (seq,),
        )
        return tuple(
            Downlink(
                p, token, payload, Stage(stage), item, tries, sendings, since, tuple(json.loads(o)), r, d
            )
            for p, token, payload, stage, item, tries, sendings, since, o, r, d in rows
        )
