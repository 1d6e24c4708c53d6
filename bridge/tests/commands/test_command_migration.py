"""A store of the schema before commands is brought forward, and what it held goes on."""

import json
import sqlite3
from importlib import resources
from pathlib import Path

from bridge.tests.ledger.frames import DEV_EUI, INTERVAL_S, SLOT, TAGS, Device, at
from zaehlwerk_bridge.database import SCHEMA_VERSION
from zaehlwerk_bridge.settings import CommandsSettings
from zaehlwerk_bridge.store import Store

BEFORE = 2


def of_version_two(path: Path) -> None:
    """With a station, its node's epoch, and a gap that the node is to be asked for."""
    database = sqlite3.connect(path)
    for step in range(1, BEFORE + 1):
        script = resources.files("zaehlwerk_bridge").joinpath(f"store_schema/{step}.sql")
        database.executescript(script.read_text(encoding="utf-8"))
    tags = json.dumps(TAGS, sort_keys=True)
    database.execute(f"PRAGMA user_version = {BEFORE}")
    database.execute("INSERT INTO tags VALUES (1, 'node-1', ?)", (tags,))
    database.execute("INSERT INTO tagging VALUES (?, ?, 1)", (DEV_EUI, at(0)))
    database.execute("INSERT INTO station VALUES ('neutor', 0, 'node-1', ?, ?, 1)", (tags, at(0)))
    database.execute("INSERT INTO chain VALUES (1, ?, 1, 0, ?, ?, 1, 36000)", (DEV_EUI, INTERVAL_S, at(0)))
    first = SLOT + 3
    database.execute(
        "INSERT INTO gap VALUES (1, 0, ?, NULL, ?, ?, 0, ?)", (first + 4, first, first + 3, at(8))
    )
    database.execute(
        "INSERT INTO outbox (station, topic, payload, properties, retain, made_ns) VALUES ('neutor', 't', x'7b7d', '{}', 0, 5)"
    )
    database.commit()
    database.close()


def test_a_store_of_version_two_is_brought_forward_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    of_version_two(path)
    store = Store(path)
    assert [row.topic for row in store.outbox()] == ["t"]
    wants = store.wanted_backfill(at(9))
    store.ask_for_backfill(wants, at(9), enabled=True)
    (question,) = store.commands.table.open_of(DEV_EUI)
    assert (question.own, question.kind, question.station) == (True, "backfill", "neutor")
    payload = b'{"id": "a", "command": "reboot"}'
    store.commands.take("t", "neutor", payload, CommandsSettings(), at(9))
    assert [entry.id for entry in store.commands.table.open_of(DEV_EUI)] == [question.id, "a"]
    store.commit([Device().status(10, 7)], at(10))
    store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()


def test_commands_are_where_they_were_after_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    store = Store(path)
    store.commit([Device().status(0, 7)], at(0))
    settings = {"interval_s": 300, "history_bytes": 30}
    payload = json.dumps({"id": "a", "command": "set_config", "settings": settings}).encode()
    store.commands.take("t", "neutor", payload, CommandsSettings(), at(1))
    (entry,) = store.commands.table.open_of(DEV_EUI)
    assert store.commands.begin_enqueue(entry.seq, 0, ["b", "a"], at(2))
    store.commands.enqueued(entry.seq, 0, "item", at(2))
    before = store.commands.table.open_of(DEV_EUI)
    store.close()
    store = Store(path)
    assert store.commands.table.open_of(DEV_EUI) == before
    assert before[0].life.downlinks[0].others == ("a", "b")
    assert before[0].life.one_answer
    store.close()
