"""What bridges that share a database owe each other: signs of life, and to publish what a dead one has left.

There are no leases. Who is taken for dead and is not publishes what another one publishes as well, and that is harmless,
for messages are taken by id and revision. Times are the database's clock alone.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge.clock import Clock
from zaehlwerk_bridge.database import FAULTS, PROGRAM, InTheWay, Server
from zaehlwerk_bridge.errors import BridgeError
from zaehlwerk_bridge.failpoints import failpoint
from zaehlwerk_bridge.postgres import LOCKS, NAMES, STILL_S, PostgresDatabase

BEAT_S = 1.0
GONE_S = 5.0
"""A bridge that gave no sign of life for so long is gone; what it left is published by others."""
ANSWER_S = 5.0
"""A sign of life that takes longer is given on another connection."""
ADOPTED_MOST = 2000
"""Messages taken over in one transaction."""
ROLES_EVERY = 60
"""Signs of life between two looks at the others' roles: roles change seldom."""

_NOW_NS = "CAST(extract(epoch FROM statement_timestamp()) * 1000000000 AS BIGINT)"
_GONE_NS = int(GONE_S * 1e9)
_BEAT = f"""
INSERT INTO bridge (id, word, since_ns, beat_ns) VALUES (?, ?, {_NOW_NS}, {_NOW_NS})
ON CONFLICT (id) DO UPDATE SET beat_ns = excluded.beat_ns,
  since_ns = CASE WHEN bridge.beat_ns < excluded.beat_ns - {_GONE_NS} THEN excluded.since_ns ELSE bridge.since_ns END
WHERE bridge.word = excluded.word
RETURNING since_ns = beat_ns
"""  # noqa: S608 - constants
_BEGIN = f"""
INSERT INTO bridge (id, word, since_ns, beat_ns) VALUES (?, ?, {_NOW_NS}, {_NOW_NS})
ON CONFLICT (id) DO UPDATE SET word = excluded.word, beat_ns = excluded.beat_ns, since_ns = excluded.since_ns
"""  # noqa: S608 - constants
_HERE = f"""
INSERT INTO bridge (id, word, since_ns, beat_ns) VALUES (?, '', {_NOW_NS}, {_NOW_NS})
ON CONFLICT (id) DO UPDATE SET beat_ns = excluded.beat_ns
"""  # noqa: S608 - constants
_END = "UPDATE bridge SET beat_ns = 0 WHERE id = ? AND word = ?"
_LIVING = f"SELECT id, since_ns < {_NOW_NS} - {_GONE_NS} FROM bridge WHERE beat_ns >= {_NOW_NS} - {_GONE_NS} ORDER BY id"  # noqa: S608
_ADOPT = f"""
UPDATE outbox SET bridge = ? WHERE seq IN (
  SELECT seq FROM outbox WHERE bridge IN (
    SELECT '' UNION ALL SELECT id FROM bridge WHERE id <> ? AND beat_ns < {_NOW_NS} - {_GONE_NS}
  ) ORDER BY seq LIMIT {ADOPTED_MOST} FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608 - constants
"""They keep their numbers: messages of living bridges wait for them."""
_UNDO = f"""
SELECT count(pg_terminate_backend(work.pid)) FROM pg_stat_activity AS work
WHERE work.datname = current_database() AND pg_has_role(work.usesysid, 'USAGE') AND work.pid <> pg_backend_pid()
  AND work.wait_event = 'ClientRead' AND work.state_change < statement_timestamp() - make_interval(secs => ?)
  AND EXISTS (
    SELECT 1 FROM pg_locks AS held WHERE held.pid = work.pid AND held.granted AND held.locktype = 'advisory'
      AND held.classid = {LOCKS} AND held.objid < {NAMES}
  )
"""  # noqa: S608 - constants
_ROLES = f"""
SELECT DISTINCT usename FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE '{PROGRAM}%' AND usename <> current_user
  AND NOT (pg_has_role(usesysid, 'USAGE') AND pg_has_role(usesysid, current_user, 'USAGE')) ORDER BY usename
"""  # noqa: S608 - constants
_MAY_END = "SELECT has_function_privilege('pg_terminate_backend(integer, bigint)', 'EXECUTE')"
ONE_ROLE = "let all bridges log in to the database as the same role"


class SameName(BridgeError):
    """Two bridges have one id."""


class Neighbours:
    """The other bridges, as the one with id `bridge` sees them on the connection on which it stores.

    On that connection alone: numbers of new messages rise there with every commit, so who reads on behind the last one
    passes none over.
    """

    def __init__(self, database: PostgresDatabase, bridge: str) -> None:
        self._database = database
        self._bridge = bridge
        self._living: list[str] = []
        self._connections = database.connections
        self.leads = False
        """Whether this bridge does what one of the living is enough for. For a moment two may think so."""
        self.adopted = 0
        """Messages taken over since the start."""
        self.returned = True
        """Whether this bridge has only just come (back): others may have taken over what it had to publish."""
        # Before anything is stored: else nobody would know whose messages those are that are left.
        database.execute(_HERE, (bridge,))
        self.look()

    def look(self) -> bool:
        """Take over what the dead have left, and what a command line has put there; whether anything has changed."""
        rows = self._database.execute(_LIVING).fetchall()
        living = [name for name, _ in rows]
        leads = bool(living) and living[0] == self._bridge
        # What was being committed when a connection was lost may be there without having been told.
        changed = (leads, living, self._database.connections) != (self.leads, self._living, self._connections)
        self._connections = self._database.connections
        self._living, self.leads = living, leads
        # Who has only just come (back) cannot say of the others that they are gone: they may be coming back as well.
        # Until the look after that it is one that has returned: somebody may have looked at the same moment.
        returned, self.returned = self.returned, (self._bridge, True) not in rows
        changed = changed or (returned and not self.returned)
        if not self.returned:
            adopted = self._database.execute(_ADOPT, (self._bridge, self._bridge))
            if adopted.rowcount:
                failpoint("takeover.done")
            self.adopted += adopted.rowcount
            changed = changed or adopted.rowcount > 0
        return changed


def undo_what_stands_still(database: PostgresDatabase, still_s: float = STILL_S) -> int:
    """Undo transactions that hold devices or stations and whose bridge has said nothing for `still_s`; how many there were.

    The server's own limit, `idle_in_transaction_session_timeout`, holds after an answer and until the next word only: it
    does not count for a bridge that stopped between the words of a batch, nor after the word with which psycopg ends
    one (a Flush after the Sync), and such a bridge would hold up the others for as long as its machine is there.
    """
    row = database.execute(_UNDO, (float(still_s),)).fetchone()
    return int(row[0])


class Obstacle(NamedTuple):
    """Why a bridge could not undo what another one leaves standing."""

    reason: str
    remedy: str


def what_cannot_be_undone(database: PostgresDatabase) -> Obstacle | None:
    """Why transactions of other bridges that stand still cannot be undone, or this one's by them; None: they can.

    The server lets a role end connections of its own and of roles that it is a member of, and nobody else's
    (postgresql.org/docs/current/functions-admin.html, section 9.28.2).
    """
    roles = [str(role) for (role,) in database.execute(_ROLES)]
    user, may = database.execute(f"SELECT current_user, ({_MAY_END})").fetchone()
    if roles:
        others = ", ".join(roles)
        return Obstacle(
            f"this bridge logs in as {user}, others as {others}: neither can end what the other leaves standing",
            ONE_ROLE,
        )
    if not may:
        return Obstacle(
            f"{user} may not execute pg_terminate_backend",
            f"GRANT EXECUTE ON FUNCTION pg_terminate_backend TO {user}",
        )
    return None


def give_up_what_the_server_has_lost(
    database: PostgresDatabase, server: Server, waiting_s: float = STILL_S
) -> int:
    """End connections of this program to `server` that wait for an answer that cannot come; how many there were.

    A connection may be lost at the server's end without this one hearing of it, and something in between may keep it
    alive all the same: who waits would wait for ever. The server knows whether it is at work for a connection.
    """
    waiting = {one: one.unanswered(waiting_s) for one in PostgresDatabase.all_of(server)}
    asked = [pid for pid in waiting.values() if pid is not None]
    if not asked:
        return 0
    at_work = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(?::int[]) AND state <> 'idle'"
    rows = database.execute(at_work, (asked,)).fetchall()
    lost = [
        one
        for one, pid in waiting.items()
        if pid not in (None, *(row[0] for row in rows)) and one is not database
    ]
    for one in lost:
        one.give_up()
    return len(lost)


class Membership:
    """The signs of life of the bridge `bridge`, on a connection and a thread of their own: storing may take long.

    There too it looks whether a bridge that stands still holds up the others, for who stores may be waiting for it, and
    whether this one waits for what the server has lost.
    """

    def __init__(self, server: Server, bridge: str, wall: Clock, log: FilteringBoundLogger) -> None:
        self._server = server
        self._database = PostgresDatabase(server)
        self._bridge = bridge
        self._wall = wall
        self._log = log
        self._word = secrets.token_hex(8)
        self._begun = False
        self._beats = 0
        self._told: Obstacle | None = None
        self._executor = ThreadPoolExecutor(1, "membership")

    async def run(self) -> None:
        """Give signs of life until cancelled. Raises SameName if another bridge says that it is this one."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    returned = await self._answered(loop.run_in_executor(self._executor, self._beat))
                except (*FAULTS, InTheWay):
                    pass  # who stores says what the matter is
                else:
                    if returned:
                        self._log.warning(
                            "this bridge was taken for gone; others publish what it had to publish"
                        )
                await self._wall.sleep(BEAT_S)
        finally:
            if self._database.unanswered(BEAT_S) is not None:
                self._database.give_up()  # or the program would not end
            self._executor.submit(self._end)
            self._executor.shutdown(wait=False)

    async def _answered(self, beating: asyncio.Future[bool]) -> bool:
        while not (await asyncio.wait((beating,), timeout=ANSWER_S))[0]:
            self._database.give_up()
        return beating.result()

    def _beat(self) -> bool:
        """One sign; whether there was none for so long that others took this bridge for gone."""
        if not self._begun:
            self._database.execute(_BEGIN, (self._bridge, self._word))
            self._begun = True
            self._look_at_roles()
            return False
        row = self._database.execute(_BEAT, (self._bridge, self._word)).fetchone()
        if row is None:
            raise SameName(
                f"another bridge works on the database as {self._bridge!r}: give every bridge an id of its own (setting id)"
            )
        lost = give_up_what_the_server_has_lost(self._database, self._server)
        if lost:
            self._log.warning(
                "connections that the database has lost without a word are given up", connections=lost
            )
        undone = undo_what_stands_still(self._database)
        if undone:
            self._log.warning("a bridge stood still in a transaction; it is undone", transactions=undone)
        self._beats += 1
        if self._beats % ROLES_EVERY == 0:
            self._look_at_roles()
        return bool(row[0])

    def _look_at_roles(self) -> None:
        obstacle = what_cannot_be_undone(self._database)
        if obstacle is not None and obstacle != self._told:
            self._log.error("a bridge that stands still would hold up the others", **obstacle._asdict())
        self._told = obstacle

    def _end(self) -> None:
        """Say goodbye: what is left is for others at once."""
        if self._database.connected:  # who stops the bridge does not wait for a server that is away
            with suppress(*FAULTS, InTheWay):
                self._database.execute(_END, (self._bridge, self._word))
        self._database.close()
