"""The ledger as text: the same events, taken in the same way, give the same text."""

import json
import sqlite3
from collections.abc import Iterator

_QUERIES = (
    ("chain", "SELECT dev_eui, epoch, generation, interval_s, named_ns FROM chain ORDER BY dev_eui, epoch"),
    (
        "cell",
        """
        SELECT dev_eui, epoch, unsynced, number, counts, mask, worst, missing, total, seen_ns, whole
        FROM cell JOIN chain ON chain.id = cell.chain ORDER BY dev_eui, epoch, unsynced, number
        """,
    ),
    ("record", "SELECT id, revision, live, body FROM record ORDER BY id"),
    ("waiting", "SELECT dev_eui, received_ns, f_port, hex(payload) FROM waiting ORDER BY 1, 2, 3, 4"),
    (
        "rejected",
        "SELECT dev_eui, received_ns, f_port, hex(payload), reason FROM rejected ORDER BY 1, 2, 3, 4",
    ),
)


def lines(database: sqlite3.Connection) -> Iterator[str]:
    """One line an entry."""
    for about, query in _QUERIES:
        for row in database.execute(query):
            entry = [*row[:-1], json.loads(row[-1])] if about == "record" else row
            yield f"{about} {json.dumps(entry, ensure_ascii=False)}\n"
