"""CONSUMER.md does what it says: its SQL, as it stands there, is run against everything that may happen to messages."""

import json
import random
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bridge.tests.ledger.node import Node
from bridge.tests.ledger.platform import truth_sum
from bridge.tests.ledger.test_exactness import LATE_NS
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.store import Store

DOCUMENT = (Path(__file__).parents[2] / "CONSUMER.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"```sql (\w+)\n(.*?)```", DOCUMENT, re.DOTALL))


class Sqlite:
    """A platform that did what the document says."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.execute("PRAGMA foreign_keys = ON")
        self.database.executescript(PARTS["schema"])

    def take(self, rows: Iterable[OutboxRow]) -> None:
        """One transaction a message."""
        for row in rows:
            self.database.execute("BEGIN")
            for statement in PARTS["message"].split(";\n"):
                if statement.strip():
                    self.database.execute(statement, {"message": row.payload.decode()})
            self.database.execute("COMMIT")

    def sums(self) -> list[int]:
        """Per channel, over all stations, by the document's query."""
        sums: dict[str, int] = {}
        for _, name, counted, _ in self.database.execute(PARTS["sums"]):
            sums[name] = sums.get(name, 0) + (counted or 0)
        return [sums[name] for name in sorted(sums)]

    def content(self) -> list[tuple[object, ...]]:
        """All that stands."""
        query = "SELECT * FROM record JOIN channel_count ON record = id ORDER BY id, name"
        return list(self.database.execute(query))


def _messages(seed: int) -> tuple[Node, list[OutboxRow]]:
    node = Node(random.Random(seed), loss=0.4)
    node.live(40)
    store = Store(":memory:")
    for event in node.events:
        store.settle(event.received_ns - 1)
        store.commit([event], event.received_ns)
    store.settle(node.events[-1].received_ns + LATE_NS)
    rows = [row for row in store.outbox(0, 1 << 30) if row.topic.endswith(("/count", "/span"))]
    store.close()
    return node, rows


@pytest.mark.parametrize("seed", range(6))
def test_the_documents_sql_holds_every_count_once_in_the_order_of_sending(seed: int) -> None:
    node, rows = _messages(seed)
    platform = Sqlite()
    platform.take(rows)
    assert platform.sums() == truth_sum(node)


@pytest.mark.parametrize("seed", range(6))
def test_redelivered_and_reordered_messages_end_in_the_same_rows(seed: int) -> None:
    """Any order, each message up to three times: so revised records come before their first version, and zombies last."""
    _, rows = _messages(seed)
    straight, shuffled = Sqlite(), Sqlite()
    straight.take(rows)
    many = [*rows, *rows, *rows[: len(rows) // 2]]
    random.Random(seed).shuffle(many)
    shuffled.take(many)
    assert shuffled.content() == straight.content()


def test_a_late_copy_of_what_was_superseded_does_not_rise_from_the_dead() -> None:
    platform = Sqlite()
    channel = {
        "name": "a",
        "class": "bicycle",
        "direction": "in",
        "count": 9,
        "coverage": None,
        "quality": "unknown",
    }
    span = {
        "id": "n.00000001.1-2",
        "revision": 1,
        "start": None,
        "end": None,
        "resolution": "span",
        "channels": [channel],
    }
    parts = [
        {
            **span,
            "id": f"n.00000001.{n}",
            "revision": 1 + n,
            "resolution": "interval",
            "channels": [{**channel, "count": c}],
        }
        for n, c in ((1, 4), (2, 5))
    ]
    first = _row({"station": "n", "records": [span], "supersedes": []})
    healing = _row({"station": "n", "records": parts, "supersedes": [span["id"]]})
    for order in ([first, healing, first], [healing, first], [healing, healing, first, healing]):
        platform = Sqlite()
        platform.take(order)
        assert platform.sums() == [9]
        assert [row[0] for row in platform.content()] == ["n.00000001.1", "n.00000001.2"]


def test_a_record_that_lost_a_channels_name_keeps_no_rest_of_it() -> None:
    platform = Sqlite()
    for revision, name in ((1, "old"), (2, "new")):
        channel = {
            "name": name,
            "class": "kfz",
            "direction": "in",
            "count": 3,
            "coverage": 1.0,
            "quality": "ok",
        }
        record = {
            "id": "n.00000001.1",
            "revision": revision,
            "start": None,
            "end": None,
            "resolution": "interval",
        }
        platform.take(
            [_row({"station": "n", "records": [{**record, "channels": [channel]}], "supersedes": []})]
        )
    assert platform.sums() == [3]


def test_the_documents_message_is_one_that_the_bridge_sends(schema: dict[str, Draft202012Validator]) -> None:
    message = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)[0])
    schema["count"].validate(message)
    assert message["supersedes"]


def test_the_document_names_every_kind_of_message(schema: dict[str, Draft202012Validator]) -> None:
    for kind in set(schema) - {"record"}:
        assert re.search(rf"^\| `\{{prefix\}}/v1/\S+/{kind}` \|", DOCUMENT, re.MULTILINE), kind


def _row(message: object) -> OutboxRow:
    return OutboxRow(1, "n", "zaehlwerk/v1/n/count", json.dumps(message).encode(), False, {})
