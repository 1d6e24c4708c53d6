"""Whether the PostgreSQL server can be what bridges rely on: reachable, writable, durable, of a schema that is known."""

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.database import FAULTS, SCHEMA_VERSION, DatabaseFault, Server
from zaehlwerk_bridge.postgres import NAMES, PostgresDatabase
from zaehlwerk_bridge.postgres_schema import version_of
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.sharing import ONE_ROLE, what_cannot_be_undone
from zaehlwerk_bridge.store_place import store_place

OLDEST = 140000
"""The oldest release that this was written for, as `server_version_num` writes it."""
CLAIM_MOST_S = 5.0
"""With a longer redis.claim_idle_s what a dead bridge had read is not taken over within 10 s."""
DURABLE = ("on", "remote_apply", "remote_write", "local")
"""Values of synchronous_commit with which a commit is on the server's disk before it is answered."""
_THEIRS = "log in as the role that made the tables, as all bridges have to"
_OWNERS = """
SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r' AND pg_get_userbyid(relowner) <> current_user
"""


def check_postgres(settings: Settings, redactor: Redactor, findings: Findings) -> None:
    """Look, write nothing that stays, and wait for no other bridge."""
    place = store_place(settings, redactor)
    assert isinstance(place, Server)
    database = PostgresDatabase(place)
    try:
        if _connected(database, place, findings):
            _settings(database, findings)
            try:
                version = version_of(database)
            except DatabaseFault as error:
                findings.wrong("schema", f"cannot be read: {error}", _THEIRS)
            else:
                _rights(database, version, findings)
                _schema(database, version, findings)
            _role(database, findings)
    except FAULTS as error:
        findings.wrong("database", str(error), "ask who operates the server")
    finally:
        database.close()
    if settings.source == "redis" and settings.redis.claim_idle_s > CLAIM_MOST_S:
        findings.note(
            "takeover",
            f"what a dead bridge had read is taken over after {settings.redis.claim_idle_s:g} s",
            f"redis.claim_idle_s = 3 makes it less than 10 s; with a common database nothing more than {CLAIM_MOST_S:g} is needed",
        )


def _connected(database: PostgresDatabase, place: Server, findings: Findings) -> bool:
    try:
        row = database.execute("SELECT current_setting('server_version_num'), pg_is_in_recovery()").fetchone()
    except FAULTS as error:
        remedy = "check host, port, user and database of `database`, store.password_file, and the server's pg_hba.conf"
        if "certificate" in str(error) or "SSL" in str(error):
            remedy = "give sslrootcert= in `database`, or sslmode=disable where the network itself is trusted"
        findings.wrong("connect", f"{place.url}: {error}", remedy)
        return False
    number, standby = int(row[0]), bool(row[1])
    if standby:
        remedy = "name the primary, or all servers and target_session_attrs=read-write in `database`"
        findings.wrong("connect", f"{place.url}: is a standby, nothing can be written there", remedy)
        return False
    release = f"PostgreSQL {number // 10000}.{number % 10000}"
    if number < OLDEST:
        findings.wrong("connect", f"{place.url}: {release}", f"{OLDEST // 10000} or newer is needed")
        return False
    findings.ok("connect", f"{place.url}: {release}")
    return True


def _settings(database: PostgresDatabase, findings: Findings) -> None:
    row = database.execute(
        "SELECT current_setting('fsync'), (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'),"
        " current_setting('full_page_writes'), CAST(current_setting('max_locks_per_transaction') AS INTEGER)"
        " * CAST(current_setting('max_connections') AS INTEGER)"
    ).fetchone()
    fsync, synchronous, pages, locks = row
    if fsync != "on" or pages != "on":
        text = f"fsync is {fsync}, full_page_writes is {pages}: a power cut destroys what was acknowledged"
        findings.wrong("durability", text, "set both to on in postgresql.conf")
    elif synchronous not in DURABLE:
        text = f"synchronous_commit is {synchronous}; the bridge sets it to on for itself"
        findings.note(
            "durability", text, "ALTER ROLE … SET synchronous_commit = on, so that nobody need know that"
        )
    else:
        findings.ok("durability", f"fsync on, synchronous_commit {synchronous}")
    if locks < 2 * NAMES:
        text = f"the server holds {locks} locks, and a bridge may need {NAMES}"
        findings.note("locks", text, "raise max_locks_per_transaction")


def _rights(database: PostgresDatabase, version: int | None, findings: Findings) -> None:
    user, schema, may = database.execute(
        "SELECT current_user, current_schema(), current_schema() IS NOT NULL"
        " AND has_schema_privilege(current_schema(), 'CREATE')"
    ).fetchone()
    if may:
        findings.ok("rights", f"{user} may make tables in schema {schema}")
        return
    remedy = f"ALTER DATABASE … OWNER TO {user}, or GRANT CREATE, USAGE ON SCHEMA public TO {user}"
    if version == SCHEMA_VERSION:
        findings.note(
            "rights", f"{user} may make no tables: a newer bridge could not bring them forward", remedy
        )
    else:
        findings.wrong("rights", f"{user} may make no tables", remedy)


def _role(database: PostgresDatabase, findings: Findings) -> None:
    """Whether this bridge and the others can end what one of them leaves standing still: see SCALE-OUT.md, "Locks"."""
    obstacle = what_cannot_be_undone(database)
    owners = [str(owner) for (owner,) in database.execute(_OWNERS)]
    (user,) = database.execute("SELECT current_user").fetchone()
    if obstacle is not None:
        text = f"{obstacle.reason}: a bridge that stands still would hold up the others"
        findings.wrong("role", text, obstacle.remedy)
    elif owners:
        text = f"the tables belong to {', '.join(owners)}, and this bridge logs in as {user}"
        findings.note("role", text, ONE_ROLE)
    else:
        findings.ok("role", f"{user}; can end what another bridge of this role leaves standing")


def _schema(database: PostgresDatabase, version: int | None, findings: Findings) -> None:
    if version is None:
        findings.ok("schema", "is not there yet, the first start makes it")
        return
    if version > SCHEMA_VERSION:
        text = f"schema {version} is newer than this program's {SCHEMA_VERSION}"
        findings.wrong("schema", text, "use the newer bridge, or put a copy back that this one made")
        return
    if version < SCHEMA_VERSION:
        text = f"schema {version}; the next start brings it to {SCHEMA_VERSION}, and there is no way back"
        findings.note(
            "schema", text, "make a copy before (pg_dump), and stop all bridges of the older version"
        )
        return
    row = database.execute(
        "SELECT bool_and(has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') AND"
        " has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')) FROM pg_class"
        " WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r'"
    ).fetchone()
    if row[0]:
        findings.ok("schema", f"{version}; its tables can be read and written")
    else:
        findings.wrong("schema", f"{version}; not all of its tables can be read and written", _THEIRS)
