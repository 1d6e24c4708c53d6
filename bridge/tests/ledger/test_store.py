"""The store: what is refused and kept, what is taken only once, what a kill leaves behind."""

import dataclasses
import json
import signal
import sqlite3
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from bridge.tests.ledger.frames import INTERVAL_S, SLOT, Device, at
from zaehlwerk_bridge.cursors import KEPT_IDS, position
from zaehlwerk_bridge.database import SCHEMA_VERSION, SchemaError, open_database
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol.command import REBOOT, Command
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status


def _topics(store: Store) -> list[str]:
    return [row.topic.rsplit("/", 1)[1] for row in store.outbox()]


def test_a_database_of_a_newer_bridge_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bridge.db"
    open_database(path).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(SchemaError, match=f"schema {SCHEMA_VERSION + 1} is newer"):
        Store(path)
    assert path.read_bytes() == before


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    database = open_database(tmp_path / "bridge.db")
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


KILLED = """
import os, signal, sys
from bridge.tests.ledger.frames import Device
from zaehlwerk_bridge.outbox import Outbox
from zaehlwerk_bridge.store import Store
from bridge.tests.ledger.frames import at
device, store = Device(), Store(sys.argv[1])
store.commit([device.status(0, 10), device.count(1, 12)], at(1))
left = [int(sys.argv[2])]
add = Outbox.add
def dying(self, message):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(self, message)
Outbox.add = dying
store.commit([device.count(2, 15, 2), device.count(3, 19, 3)], at(3))
"""


@pytest.mark.parametrize("messages", [0, 1])
def test_a_bridge_killed_in_a_transaction_has_taken_nothing_of_it(tmp_path: Path, messages: int) -> None:
    """Ledger, records, outbox and cursor move together: after a new start all is taken, and nothing twice."""
    path = tmp_path / "bridge.db"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(messages)], cwd=Path(__file__).parents[3], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    device, whole, store = Device(), Store(":memory:"), Store(path)
    events = [device.status(0, 10), device.count(1, 12), device.count(2, 15, 2), device.count(3, 19, 3)]
    whole.commit(events[:2], at(1))
    assert store.dump() == whole.dump()
    assert store.outbox() == whole.outbox()
    assert store.cursor("grpc", device.dev_eui) == events[1].cursor
    again = store.commit(events, at(3))
    whole.commit(events, at(3))
    assert again.repeated == 2
    assert store.dump() == whole.dump()
    assert [row.payload for row in store.outbox()] == [row.payload for row in whole.outbox()]
    store.close()
    whole.close()


@pytest.mark.parametrize(
    ("payload", "port", "reason"),
    [
        (b"\xff\x00", 1, "cbor"),
        (b"\x80", 99, "port 99"),
        (Command(1, REBOOT).encode(), Command.PORT, "a command came up"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_payload_and_told(
    payload: bytes, port: int, reason: str
) -> None:
    device, store = Device(), Store(":memory:")
    done = store.commit([device.event(payload, at(0), port=port)], at(0))
    assert len(done.rejected) == 1
    assert reason in done.rejected[0]
    told = json.loads(next(row.payload for row in store.outbox() if row.topic.endswith("/rejected")))
    assert (told["payload"], told["port"], told["reason"]) == (payload.hex(), port, done.rejected[0])
    assert payload.hex().upper() in store.dump()


def test_tags_that_describe_no_station_reject_the_event_and_not_the_next_one() -> None:
    device, store = Device(classes="bicycle,kfz"), Store(":memory:")
    wrong = device.status(0, 10)
    device.tags = {**device.tags, "classes": "bicycle"}
    done = store.commit([wrong, device.status(1, 10)], at(1))
    assert done.rejected == ["tag classes: 2 values for 1 channels"]
    assert _topics(store) == ["rejected", "meta", "status", "checkpoint", "checkpoint", "span"]


def test_an_event_that_its_source_could_not_read_is_rejected() -> None:
    store = Store(":memory:")
    done = store.commit([Device().event(b"", at(0), problem="no fPort")], at(0))
    assert done.rejected == ["no fPort"]


def test_a_waiting_frame_that_cannot_be_true_rejects_itself_and_not_the_status_that_named_its_epoch() -> None:
    device, store = Device(), Store(":memory:")
    two_channels = device.event(Counts(1, 0, (1, 2)), at(1))
    store.commit([device.count(0, 10), two_channels, device.count(2, 15, 1)], at(2))
    assert not [topic for topic in _topics(store) if topic in ("count", "span")]
    done = store.commit([device.status(3, 16)], at(3))
    assert not done.rejected
    assert "count" in _topics(store)
    told = json.loads(next(row.payload for row in store.outbox() if row.topic.endswith("/rejected")))
    assert told["payload"] == two_channels.payload.hex()
    assert "2 channels" in told["reason"]


def test_ids_of_a_stream_are_ordered_as_numbers() -> None:
    assert position("9-0") < position("10-0") < position("10-2") < position("10-10")
    assert position("nonsense") == (0, 0)


def test_without_a_deduplication_id_what_is_not_beyond_the_cursor_is_known() -> None:
    store, device = Store(":memory:"), Device()
    event = dataclasses.replace(device.status(0, 10), dedup_id="", cursor="10-0")
    older = dataclasses.replace(device.count(1, 12), dedup_id="", cursor="9-99")
    assert store.commit([event, event, older], at(1)).repeated == 2
    assert store.cursor("grpc", device.dev_eui) == "10-0"
    assert store.cursor("redis", device.dev_eui) is None


def test_a_new_event_with_an_old_id_is_taken_and_the_cursor_stays() -> None:
    """The server's Redis was flushed, or its clock went back."""
    store, device = Store(":memory:"), Device()
    store.commit([dataclasses.replace(device.status(0, 10), cursor="2000-0")], at(0))
    done = store.commit([dataclasses.replace(device.count(1, 12), cursor="1000-0")], at(1))
    assert done.repeated == 0
    assert store.cursor("grpc", device.dev_eui) == "2000-0"


def test_deduplication_ids_are_kept_for_long_and_not_for_ever() -> None:
    store, device = Store(":memory:"), Device()
    events = [device.count(number % 90, 10) for number in range(KEPT_IDS + 300)]
    for number, event in enumerate(events):
        events[number] = dataclasses.replace(event, kind="join", received_ns=at(0) + number)
    store.commit(events, at(0))
    assert store.commit(events[-KEPT_IDS:], at(0)).repeated == KEPT_IDS
    assert store.commit(events[:50], at(0)).repeated == 0


def test_what_a_store_of_version_four_has_seen_is_still_known(tmp_path: Path) -> None:
    path, device = tmp_path / "bridge.db", Device()
    seen = [device.status(0, 10), device.count(1, 12)]
    with sqlite3.connect(path) as database:
        for step in range(1, 5):
            script = resources.files("zaehlwerk_bridge").joinpath(f"store_schema/{step}.sql")
            database.executescript(script.read_text(encoding="utf-8"))
        names = [(event.dev_eui, f"{event.kind}/{event.dedup_id}", event.received_ns) for event in seen]
        database.executemany("INSERT INTO seen VALUES (?, ?, ?)", names)
        database.execute("PRAGMA user_version = 4")
    database.close()
    store = Store(path)
    assert store.commit([*seen, device.count(2, 15)], at(2)).repeated == len(seen)
    store.close()


def test_an_event_that_comes_twice_in_one_transaction_is_taken_once() -> None:
    """However many come together: they are noted many at a time, and the rest one by one."""
    device, store = Device(), Store(":memory:")
    events = [device.status(0, 10), *(device.count(number, 10 + number) for number in range(1, 200))]
    done = store.commit([*events, *events[50:180]], at(200))
    assert (done.events, done.repeated) == (330, 130)
    assert store.commit(events, at(200)).repeated == 200
    told = [json.loads(row.payload) for row in store.outbox(0, 1 << 30) if row.topic.endswith("/count")]
    assert sum(record["channels"][0]["count"] for message in told for record in message["records"]) == 199


def test_a_transaction_takes_along_what_the_broker_took() -> None:
    device, store = Device(), Store(":memory:")
    store.commit([device.status(0, 10), *(device.count(number, 10) for number in range(1, 150))], at(150))
    rows = store.outbox(0, 1 << 30)
    done = store.commit([device.count(150, 12)], at(150), [row.seq for row in rows])
    assert [row.seq for row in store.outbox(0, 1 << 30)] == done.seqs


def test_the_outbox_gives_messages_in_the_order_of_their_making_until_they_are_acknowledged() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10), device.count(1, 12), device.count(2, 15, 2)], at(2))
    rows = store.outbox()
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)
    assert store.outbox(rows[1].seq, 2) == rows[2:4]
    store.acknowledged([rows[0].seq, rows[2].seq])
    assert [row.seq for row in store.outbox()] == [row.seq for row in rows if row not in (rows[0], rows[2])]
    assert store.outbox_size() == len(rows) - 2
    ids = [row.properties["id"] for row in rows]
    assert len(set(ids)) == len({(row.topic, row.payload) for row in rows})


def test_a_stations_last_interval_is_what_the_ledger_says_and_never_waits_in_the_outbox() -> None:
    store, device = Store(":memory:"), Device()
    assert store.newest(["neutor"]) == {}
    frames = [device.status(0, 10), *(device.count(n, 10 + n, n - 1) for n in range(1, 6))]
    late = frames.pop(3)
    store.commit(frames, at(5))
    store.commit([late], at(6))
    last = store.newest(["neutor", "nowhere"])
    assert list(last) == ["neutor"]
    assert (last["neutor"].topic, last["neutor"].retain) == ("zaehlwerk/v1/neutor/last", True)
    assert json.loads(last["neutor"].payload)["record"]["id"] == "neutor.00000001.1980005"
    assert last["neutor"].properties["id"].endswith(".last")
    assert "last" not in _topics(store)


def test_a_message_that_the_broker_can_never_take_is_put_aside_and_told() -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    row = next(row for row in store.outbox() if row.topic.endswith("/span"))
    store.quarantine(row, "larger than the broker takes", at(0))
    assert "span" not in _topics(store)
    told = json.loads(store.outbox()[-1].payload)
    assert told == {"topic": row.topic, "reason": "larger than the broker takes", "bytes": len(row.payload)}


def test_a_transaction_that_fails_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    store, device = Store(":memory:"), Device()
    store.commit([device.status(0, 10)], at(0))
    held = store.dump(), store.outbox()
    event = device.count(1, 12)

    def broken(*_: object) -> int:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("zaehlwerk_bridge.outbox.Outbox.add", broken)
        with pytest.raises(OSError, match="disk full"):
            store.commit([event], at(1))
    assert (store.dump(), store.outbox()) == held
    assert store.commit([event], at(1)).repeated == 0


def test_a_status_that_is_rejected_loses_nothing_of_what_it_named() -> None:
    """Its anchor has too many channels; the counts that waited for the epoch to be named are told all the same."""
    device, store = Device(), Store(":memory:")
    store.commit([device.count(0, 10), device.count(1, 12), device.count(2, 15, 2)], at(2))
    anchor = ((SLOT + 2) % 65_536, (15, 7))
    done = store.commit([device.event(Status(1, 0, 1, INTERVAL_S, anchor), at(2, 50))], at(2, 50))
    assert done.rejected == ["an anchor of another number of channels than its epoch has"]
    told = [json.loads(row.payload) for row in store.outbox() if row.topic.endswith("/count")]
    ids = [record["id"] for message in told for record in message["records"]]
    assert sorted(ids) == ["neutor.00000001.1980001", "neutor.00000001.1980002"]
