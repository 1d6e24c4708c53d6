"""The bridge's own questions: which nodes shall send again what is missing, or say of which epoch their totals are.

They are commands like the platform's, so that a device's queue has one owner. They are few: of each kind a device has at
most one that is not sent yet, after a question in vain the next one waits twice as long, and after the last there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zaehlwerk_bridge.commands.entry_table import Entry
from zaehlwerk_bridge.commands.life import Stage
from zaehlwerk_bridge.commands.planning import Plan
from zaehlwerk_bridge.commands.register import LONGEST_S, Register
from zaehlwerk_bridge.commands.request import OWN_ID
from zaehlwerk_bridge.database import Database, upsert
from zaehlwerk_bridge.ledger.cell_table import FAR
from zaehlwerk_bridge.ledger.fold import GRACE_INTERVALS
from zaehlwerk_bridge.ledger.gap_table import MAX_TRIES, GapTable, Want
from zaehlwerk_bridge.stations import Stations
from zaehlwerk_protocol import command
from zaehlwerk_protocol.answer import OK

NS = 1_000_000_000
PATIENCE_NS = 3600 * NS
"""So long after its sending the answer to a question is waited for."""
STATUS_EXPIRES_S = 86400
"""Seconds; a backfill waits as long as a node keeps its intervals, and is of use then as well."""
INTERVAL_S = 900
"""Of a node that has not said how long its intervals are."""
BACKFILL = "backfill"
STATUS = "status"

_LATER = upsert("ambiguity", "dev_eui, tries, ask_ns", "dev_eui")
_UNNAMED = """
SELECT w.dev_eui, coalesce((SELECT interval_s FROM chain WHERE chain.dev_eui = w.dev_eui LIMIT 1), :interval_s),
  min(received_ns)
FROM waiting AS w
WHERE received_ns > coalesce((SELECT max(named_ns) FROM chain WHERE chain.dev_eui = w.dev_eui), 0)
GROUP BY w.dev_eui
"""
_UNANCHORED = """
WITH newest AS (
  SELECT id, dev_eui, interval_s FROM chain AS c WHERE NOT EXISTS
    (SELECT 1 FROM chain AS d WHERE d.dev_eui = c.dev_eui AND (d.named_ns, d.id) > (c.named_ns, c.id))
)
SELECT dev_eui, interval_s, (
  SELECT min(heard_ns) FROM cell WHERE chain = newest.id AND unsynced = 0 AND total IS NOT NULL AND number > coalesce(
    (SELECT max(number) FROM cell WHERE chain = newest.id AND unsynced = 0 AND whole IS NOT NULL), -:far))
FROM newest
"""
_UNPLACED = """
SELECT dev_eui, interval_s, (
  SELECT heard_ns FROM cell WHERE chain = known.id AND unsynced = 0 ORDER BY number LIMIT 1)
FROM chain AS known
WHERE EXISTS (SELECT 1 FROM cell WHERE chain = known.id AND unsynced = 1)
  AND NOT EXISTS (SELECT 1 FROM mapping WHERE chain = known.id)
"""


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """What only a status frame of a node can end. `since_ns`: from when on that was clear, nanoseconds UTC."""

    dev_eui: str
    interval_s: int
    since_ns: int


class Questions:
    """The bridge's own questions, in the transactions of a store. All methods work in one that is open."""

    def __init__(self, database: Database, register: Register, gaps: GapTable, stations: Stations) -> None:
        self._database = database
        self._register = register
        self._gaps = gaps
        self._stations = stations
        register.ended = self._ended

    def backfill(self, wants: Sequence[Want], now_ns: int, *, enabled: bool) -> None:
        """Ask for `wants`, of each device for one; whether or not that can be done, the next look at it comes later."""
        served: set[str] = set()
        for want in wants:
            if enabled and want.dev_eui in served:
                continue  # the answer may heal this one too; it stays due
            served.add(want.dev_eui)
            if enabled and not self._waits(want.dev_eui, BACKFILL):
                arguments = (int(want.unsynced), want.index, want.count)
                about = {"chain": want.chain, "unsynced": want.unsynced, "number": want.number}
                plan = Plan(command.BACKFILL, (arguments,))
                self._ask(want.dev_eui, BACKFILL, plan, about, LONGEST_S, now_ns)
            self._gaps.asked(want, now_ns)

    def status(self, now_ns: int) -> None:
        """Ask those nodes for a status frame whose ledger waits for one."""
        self._register.forget(now_ns)
        found = {one.dev_eui: one for one in ambiguities(self._database) if _is_old(one, now_ns)}
        rows = self._database.execute("SELECT dev_eui, tries, ask_ns FROM ambiguity").fetchall()
        held = {dev_eui: (tries, ask_ns) for dev_eui, tries, ask_ns in rows}
        for dev_eui in held.keys() - found.keys():
            self._database.execute("DELETE FROM ambiguity WHERE dev_eui = ?", (dev_eui,))
        for dev_eui, one in sorted(found.items()):
            tries, ask_ns = held.get(dev_eui, (0, now_ns))
            if ask_ns is None or ask_ns > now_ns:
                continue
            if not self._waits(dev_eui, STATUS):
                plan = Plan(command.STATUS, ((),))
                self._ask(dev_eui, STATUS, plan, {}, STATUS_EXPIRES_S, now_ns)
            tries += 1
            later_ns = now_ns + (one.interval_s * NS << tries)
            self._database.execute(
                _LATER,
                (dev_eui, tries, None if tries >= MAX_TRIES else later_ns),
            )

    def _waits(self, dev_eui: str, kind: str) -> bool:
        """Whether a question of that kind is on its way to the node."""
        return any(
            entry.own
            and entry.kind == kind
            and any(one.stage in (Stage.WAITING, Stage.TRYING, Stage.QUEUED) for one in entry.life.downlinks)
            for entry in self._register.table.open_of(dev_eui)
        )

    def _ask(
        self, dev_eui: str, kind: str, plan: Plan, about: dict[str, int | bool], expires_s: int, now_ns: int
    ) -> None:
        self._database.touches(dev_eui)
        place = self._stations.at(dev_eui, now_ns)
        life = self._register.life(
            plan, dev_eui, now_ns + expires_s * NS, now_ns, confirmed=False, patience_ns=PATIENCE_NS
        )
        # The token keeps questions of one moment apart: their times may be the same.
        identity = f"{OWN_ID}{kind}.{now_ns // NS}.{life.downlinks[0].token}"
        entry = Entry(place.slug, identity, kind, dev_eui, now_ns, life, own=True, request=about)
        self._register.begun(entry, now_ns)

    def _ended(self, entry: Entry) -> None:
        """A question has come to its end; one that the node cannot or will not answer is not asked again."""
        results = {one.result for one in entry.life.downlinks}
        if results <= {None, OK}:
            return
        if entry.kind == STATUS:
            self._database.execute(
                "UPDATE ambiguity SET ask_ns = NULL WHERE dev_eui = ?",
                (entry.dev_eui,),
            )
        elif "chain" in entry.request:
            about = entry.request
            self._gaps.give_up(about["chain"], about["number"], unsynced=about["unsynced"])


def ambiguities(database: Database) -> list[Ambiguity]:
    """All nodes of which a status frame would tell what is not known now.

    Frames wait whose epoch nobody has named; or the newest totals of an epoch are joined to no full ones, because none
    were told or they may have gone round since; or intervals of the node's own numbering have no place in time although
    the node knows it by now.
    """
    oldest: dict[str, Ambiguity] = {}
    for query in (_UNNAMED, _UNANCHORED, _UNPLACED):
        for dev_eui, interval_s, since_ns in database.execute(query, {"interval_s": INTERVAL_S, "far": FAR}):
            if since_ns is None:
                continue
            held = oldest.get(dev_eui)
            if held is None or since_ns < held.since_ns:
                oldest[dev_eui] = Ambiguity(dev_eui, interval_s, since_ns)
    return list(oldest.values())


def _is_old(one: Ambiguity, now_ns: int) -> bool:
    """Whether the node has had the time to end it by itself."""
    return one.since_ns + int(GRACE_INTERVALS * one.interval_s * NS) <= now_ns
