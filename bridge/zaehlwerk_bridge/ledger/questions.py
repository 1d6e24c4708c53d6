"""What taking events asks of a shared store before it has written anything, device by device and station by station."""

from collections.abc import Sequence

from zaehlwerk_bridge import cursors, stations
from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.foresight import Foreseeing, Question
from zaehlwerk_bridge.ledger import cell_table, chains, coverage, gap_table, record_table

_TEXT, _WHOLE = "text", "bigint"
POSITION = Question(cursors.POSITION, "cursor", (_TEXT, _TEXT), 1)
ALIKE = Question(stations.ALIKE, "tagging", (_TEXT,), 0)
NUMBER = Question(stations.NUMBER, "tags", (_TEXT, _TEXT), 0)
KNOWN = Question(stations.KNOWN, "station", (_TEXT,), 0)
RAISED = Question(record_table.REVISION, "station", (_TEXT,), 0)
RESERVED = Question(coverage.REVISION, "reserve", (_TEXT,), 0)
RESERVED_LINES = Question(coverage.LINES, "reserve_line", (_TEXT,), 0)
EPOCHS = Question(chains.EPOCHS, "chain", (_TEXT,), 0)
CHANNELS = Question(chains.CHANNELS, "chain", (_WHOLE,), 0)
FORGOTTEN = Question(chains.FORGOTTEN, "forgotten", (_WHOLE, _WHOLE), 0)
NEWEST = Question(cell_table.NEWEST, "cell", (_WHOLE, _WHOLE, _WHOLE), 0)
GAPS = Question(gap_table.OF_LINE, "gap", (_WHOLE, _WHOLE), 0)
RECENT = Question(record_table.RECENT, "record", (_WHOLE, _WHOLE, _WHOLE), None)
MANY = 3
"""Events from which on it is worth it."""


def ask_beforehand(database: Foreseeing, events: Sequence[Event], slugs: Sequence[str]) -> None:
    """Ask at the beginning of a transaction what taking `events`, which come from the stations `slugs`, will ask.

    Of nodes whose clock is set, and of their newest epoch: others are asked for one by one.
    """
    if len(events) < MANY:
        return
    devices = [(dev_eui,) for dev_eui in dict.fromkeys(event.dev_eui for event in events)]
    places = [(slug,) for slug in slugs]
    database.foresee(POSITION, [(event.source, event.dev_eui) for event in events])
    for question in (KNOWN, RAISED, RESERVED, RESERVED_LINES):
        database.foresee(question, places)
    alike = database.foresee(ALIKE, devices)
    database.foresee(NUMBER, [tuple(rows[0]) for rows in alike if len(rows) == 1])
    epochs = database.foresee(EPOCHS, devices)
    newest = [max(rows, key=_named)[0] for rows in epochs if rows]
    database.foresee(CHANNELS, [(chain,) for chain in newest])
    for question in (FORGOTTEN, GAPS):
        database.foresee(question, [(chain, 0) for chain in newest])
    database.foresee(RECENT, [(chain, 0, record_table.RECENT_MOST) for chain in newest])
    database.foresee(NEWEST, [(chain, 0, cell_table.TAIL) for chain in newest])


def _named(row: tuple[int, ...]) -> int:
    return row[5]
