"""The table of what the server said of items of its queue that are not known (yet)."""

import json
from collections.abc import Collection

from zaehlwerk_bridge.database import Database

KEPT_NS = 86400 * 10**9


class ReportTable:
    """The table in the transaction of `database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, dev_eui: str, item: str, kind: str, report: str, now_ns: int) -> None:
        """Keep what an event of `kind` said of `item`."""
        self._database.execute(
            "INSERT INTO downlink_report VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (dev_eui, item, json.dumps([kind, report]), now_ns),
        )

    def of(self, item: str) -> list[tuple[str, str]]:
        """Kind and report of what was said of `item`, in the order in which it came."""
        rows = self._database.execute(
            "SELECT report FROM downlink_report WHERE item = ? ORDER BY at_ns, report DESC", (item,)
        )
        return [(kind, report) for kind, report in (json.loads(text) for (text,) in rows)]

    def unclaimed(self, dev_eui: str, since_ns: int, others: Collection[str]) -> str | None:
        """The first item of `dev_eui`, none of `others`, that was spoken of since then and is no frame's; None: none."""
        rows = self._database.execute(
            "SELECT item FROM downlink_report WHERE dev_eui = ? AND at_ns >= ?"
            " AND NOT EXISTS (SELECT 1 FROM downlink WHERE downlink.item = downlink_report.item AND item <> '')"
            " ORDER BY at_ns, item",
            (dev_eui, since_ns),
        )
        return next((item for (item,) in rows if item not in others), None)

    def forget(self, now_ns: int) -> None:
        """Delete what is a day old."""
        self._database.execute("DELETE FROM downlink_report WHERE at_ns < ?", (now_ns - KEPT_NS,))
