"""The ledger as text: the same events, taken in the same way, give the same text."""

import json
from collections.abc import Iterator

from zaehlwerk_bridge.database import Database

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
    ("waiting", "SELECT dev_eui, received_ns, f_port, payload FROM waiting ORDER BY 1, 2, 3, 4"),
    (
        "rejected",
        "SELECT dev_eui, received_ns, f_port, payload, reason FROM rejected ORDER BY 1, 2, 3, 4",
    ),
)


def lines(database: Database) -> Iterator[str]:
    """One line an entry."""
    for about, query in _QUERIES:
        for row in database.execute(query):
            entry = [*row[:-1], json.loads(row[-1])] if about == "record" else row
            yield f"{about} {json.dumps(entry, ensure_ascii=False, default=_hex)}\n"


def _hex(payload: bytes) -> str:
    return payload.hex().upper()
