"""The schema of the store as SQLAlchemy describes it: PostgreSQL's tables are made from it, SQLite's are held against it.

What columns mean is said beside them in `store_schema/*.sql`, the steps by which a SQLite file comes to the same schema.
Whole numbers have 64 bits in both databases. Text is compared by its bytes, as SQLite does it, whatever language the
server's operator speaks.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

METADATA = MetaData()


def _whole(name: str, *more: SchemaItem, null: bool = False, default: str | None = None) -> Column[int]:
    given = None if default is None else text(default)
    return Column(name, BigInteger, *more, nullable=null, server_default=given)


def _text(name: str, *, null: bool = False, key: bool = False, default: str | None = None) -> Column[str]:
    given = None if default is None else text(default)
    return Column(name, Text(collation="C"), nullable=null, primary_key=key, server_default=given)


def _blob(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


def _numbered(name: str) -> Column[int]:
    """The database numbers the rows, in the order of their making."""
    return Column(name, BigInteger, Identity(always=False), primary_key=True)


def _key(*names: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*names)


def _index(name: str, table: Table, *columns: str, where: str | None = None) -> None:
    condition = None if where is None else text(where)
    Index(name, *(table.c[column] for column in columns), postgresql_where=condition, sqlite_where=condition)


TAGS = Table(
    "tags", METADATA, _numbered("id"), _text("name"), _text("tags"), UniqueConstraint("name", "tags")
)
TAGGING = Table(
    "tagging",
    METADATA,
    _text("dev_eui"),
    _whole("at_ns"),
    _whole("tagged", ForeignKey("tags.id")),
    _key("dev_eui", "at_ns", "tagged"),
)
STATION = Table(
    "station",
    METADATA,
    _text("slug", key=True),
    _whole("revision"),
    _text("name"),
    _text("tags"),
    _whole("since_ns"),
    _whole("verified", default="0"),
)
CHAIN = Table(
    "chain",
    METADATA,
    _numbered("id"),
    _text("dev_eui"),
    _whole("epoch"),
    _whole("generation"),
    _whole("interval_s"),
    _whole("named_ns"),
    _whole("channels", null=True),
    _whole("max_rate"),
    UniqueConstraint("dev_eui", "epoch"),
)
MAPPING = Table(
    "mapping",
    METADATA,
    _whole("chain", ForeignKey("chain.id")),
    _whole("first"),
    _whole("start_s"),
    _whole("told_ns"),
    _key("chain", "first"),
)
CELL = Table(
    "cell",
    METADATA,
    _whole("chain", ForeignKey("chain.id")),
    _whole("unsynced"),
    _whole("number"),
    _text("counts", null=True),
    _whole("mask", null=True),
    _whole("worst", null=True),
    _whole("missing"),
    _text("total", null=True),
    _whole("seen_ns", null=True),
    _whole("heard_ns"),
    _text("anchor", null=True),
    _text("whole", null=True),
    _key("chain", "unsynced", "number"),
)
_index("cell_whole", CELL, "chain", "unsynced", "number", where="whole IS NOT NULL")
RECORD = Table(
    "record",
    METADATA,
    _text("id", key=True),
    _text("station"),
    _whole("chain"),
    _whole("unsynced"),
    _whole("number"),
    _whole("end_s", null=True),
    _text("resolution"),
    _whole("revision"),
    _whole("live"),
    _text("body"),
)
_index("record_chain", RECORD, "chain", "unsynced", "number")
_index("record_station", RECORD, "station", "end_s", where="live = 1 AND resolution = 'interval'")
_index("record_span", RECORD, "station", where="live = 1 AND resolution = 'span'")
GAP = Table(
    "gap",
    METADATA,
    _whole("chain", ForeignKey("chain.id")),
    _whole("unsynced"),
    _whole("number"),
    _whole("due_ns", null=True),
    _whole("first"),
    _whole("last"),
    _whole("tries"),
    _whole("ask_ns", null=True),
    _key("chain", "unsynced", "number"),
)
_index("gap_due", GAP, "due_ns", where="due_ns IS NOT NULL")
_index("gap_ask", GAP, "ask_ns", where="ask_ns IS NOT NULL")
WAITING = Table(
    "waiting",
    METADATA,
    _text("dev_eui"),
    _whole("received_ns"),
    _whole("f_port"),
    _blob("payload"),
    _key("dev_eui", "received_ns", "f_port", "payload"),
)
OUTBOX = Table(
    "outbox",
    METADATA,
    _numbered("seq"),
    _text("station"),
    _text("topic"),
    _blob("payload"),
    _text("properties"),
    _whole("retain"),
    _whole("made_ns", default="0"),
    _text("bridge", default="''"),
)
_index("outbox_retained", OUTBOX, "topic", where="retain = 1")
_index("outbox_station", OUTBOX, "station")
SHARED_ONLY = (
    Index("outbox_bridge", OUTBOX.c.bridge, OUTBOX.c.seq),
    Index("outbox_turn", OUTBOX.c.station, OUTBOX.c.bridge, OUTBOX.c.seq),
)
"""Where one bridge has the outbox for itself, the primary key says the same and costs nothing."""
REJECTED = Table(
    "rejected",
    METADATA,
    _numbered("id"),
    _text("cause"),
    _text("reason"),
    _whole("rejected_ns"),
    _text("source"),
    _text("dev_eui"),
    _text("kind"),
    _whole("received_ns"),
    _whole("f_port"),
    _blob("payload"),
    _text("device"),
    _text("tags"),
    _text("station"),
    _text("topic"),
    _text("properties"),
    _whole("retain"),
)
CURSOR = Table(
    "cursor", METADATA, _text("source"), _text("stream"), _text("position"), _key("source", "stream")
)
SEEN = Table(
    "seen",
    METADATA,
    _text("dev_eui"),
    _text("dedup_id"),
    _whole("received_ns"),
    _key("dev_eui", "dedup_id"),
)
RESERVE = Table("reserve", METADATA, _text("station", key=True), _whole("revision"))
RESERVE_LINE = Table(
    "reserve_line",
    METADATA,
    _text("station"),
    _whole("epoch"),
    _whole("unsynced"),
    _whole("first"),
    _whole("last"),
    _key("station", "epoch", "unsynced"),
)
_index("reserve_line_epoch", RESERVE_LINE, "epoch")
RESERVE_SPAN = Table(
    "reserve_span", METADATA, _text("station"), _text("id"), _whole("epoch"), _key("station", "id")
)
_index("reserve_span_epoch", RESERVE_SPAN, "epoch")
FOREIGN_RECORD = Table(
    "foreign_record",
    METADATA,
    _text("id", key=True),
    _text("station"),
    _whole("epoch"),
    _whole("unsynced"),
    _whole("first", null=True),
    _whole("number"),
)
_index("foreign_line", FOREIGN_RECORD, "epoch", "unsynced", "number")
FORGOTTEN = Table(
    "forgotten",
    METADATA,
    _whole("chain", ForeignKey("chain.id")),
    _whole("unsynced"),
    _whole("number"),
    _key("chain", "unsynced"),
)
COMMAND = Table(
    "command",
    METADATA,
    _numbered("seq"),
    _text("station"),
    _text("id"),
    _whole("own"),
    _text("dev_eui"),
    _text("kind"),
    _text("request"),
    _whole("confirmed"),
    _whole("complete"),
    _whole("one_answer"),
    _whole("patience_ns", null=True),
    _whole("taken_ns"),
    _whole("expires_ns"),
    _text("fate"),
    _whole("fate_ns"),
    _text("reason"),
    _text("answer", null=True),
    _whole("open"),
    UniqueConstraint("station", "id"),
)
_index("command_open", COMMAND, "dev_eui", "seq", where="open = 1")
_index("command_expires", COMMAND, "expires_ns", where="open = 1")
_index("command_ended", COMMAND, "own", "fate_ns", where="open = 0")
_index("command_taken", COMMAND, "station", "taken_ns")
DOWNLINK = Table(
    "downlink",
    METADATA,
    _whole("command", ForeignKey("command.seq", ondelete="CASCADE")),
    _whole("part"),
    _text("dev_eui"),
    _whole("token"),
    _blob("payload"),
    _text("stage"),
    _text("item"),
    _whole("tries"),
    _whole("sendings"),
    _whole("since_ns"),
    _text("others"),
    _whole("result", null=True),
    _blob("data", null=True),
    _key("command", "part"),
)
_index("downlink_token", DOWNLINK, "dev_eui", "token")
_index("downlink_item", DOWNLINK, "item", where="item <> ''")
DOWNLINK_REPORT = Table(
    "downlink_report",
    METADATA,
    _text("dev_eui"),
    _text("item"),
    _text("report"),
    _whole("at_ns"),
    _key("dev_eui", "item", "report"),
)
_index("downlink_report_time", DOWNLINK_REPORT, "at_ns")
AMBIGUITY = Table(
    "ambiguity", METADATA, _text("dev_eui", key=True), _whole("tries"), _whole("ask_ns", null=True)
)
LIFE = Table("life", METADATA, _text("word"))
BRIDGE = Table(
    "bridge", METADATA, _text("id", key=True), _text("word"), _whole("since_ns"), _whole("beat_ns")
)
