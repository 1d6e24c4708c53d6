"""One PostgreSQL as the store of several bridges: none undoes, overtakes or forgets what another one does."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.tests.ledger.frames import Device, at
from bridge.tests.ledger.node import Node
from bridge.tests.ledger.platform import Platform, truth_sum, verify
from bridge.tests.ledger.test_exactness import LATE_NS, _lived
from bridge.tests.ledger.test_restoring import Broker
from bridge.tests.service.postgres_server import PostgresServer
from zaehlwerk_bridge.checkpoint import epoch_name
from zaehlwerk_bridge.commands import store_calls
from zaehlwerk_bridge.database import SCHEMA_VERSION, DatabaseAway, InTheWay, SchemaError, Server
from zaehlwerk_bridge.ledger.cell_table import TAIL
from zaehlwerk_bridge.outbox import OutboxRow
from zaehlwerk_bridge.postgres import NAMES, PostgresDatabase, lock_of
from zaehlwerk_bridge.postgres_schema import FIRST, bring_forward, definition, open_postgres, version_of
from zaehlwerk_bridge.settings import CommandsSettings
from zaehlwerk_bridge.sharing import GONE_S, Neighbours, undo_what_stands_still
from zaehlwerk_bridge.store import Store

GUIDE = (Path(__file__).parents[2] / "operations" / "BACKUP.md").read_text(encoding="utf-8")


@pytest.fixture
def place(postgres: PostgresServer) -> Server:
    """An empty store."""
    return postgres.new_store_place()


@pytest.fixture
def bridges(place: Server) -> Iterator[Callable[[str], Store]]:
    """Opens the store as the bridge with that id."""
    opened: list[Store] = []

    def bridge(name: str) -> Store:
        opened.append(Store(place, bridge_id=name))
        return opened[-1]

    yield bridge
    for store in opened:
        store.close()


def indexes(database: PostgresDatabase) -> set[str]:
    """How each index of the store is made, keys among them."""
    rows = database.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()")
    return {text for (text,) in rows}


@pytest.fixture
def database(place: Server) -> Iterator[PostgresDatabase]:
    """A connection that looks on."""
    database = PostgresDatabase(place)
    yield database
    database.close()


def beats(database: PostgresDatabase, bridge: str, *, ago_s: float = 0.0, since_s: float = 60.0) -> None:
    """The last sign of life of a bridge was `ago_s` ago, and it has given them for `since_s`."""
    now = "CAST(extract(epoch FROM statement_timestamp()) * 1000000000 AS BIGINT)"
    database.execute(
        f"UPDATE bridge SET beat_ns = {now} - ?, since_ns = {now} - ? WHERE id = ?",
        (int(ago_s * 1e9), int((ago_s + since_s) * 1e9), bridge),
    )


def stored(database: PostgresDatabase, bridge: str = "b%") -> list[OutboxRow]:
    """What bridges whose ids are like that have in the outbox, whether it is its turn or not."""
    rows = database.execute(
        "SELECT seq, station, topic, payload, retain, properties FROM outbox WHERE bridge LIKE ? ORDER BY seq",
        (bridge,),
    )
    return [
        OutboxRow(seq, station, topic, payload, bool(retain), json.loads(properties))
        for seq, station, topic, payload, retain, properties in rows
    ]


def seq(rows: Iterable[OutboxRow]) -> list[int]:
    return [row.seq for row in rows]


def of_kind(rows: Iterable[OutboxRow], kind: str) -> list[dict[str, Any]]:
    return [json.loads(row.payload) for row in rows if row.topic.endswith(f"/{kind}")]


# The same frames by several bridges.


@pytest.mark.parametrize("seed", range(4))
def test_frames_split_over_bridges_that_work_at_once_end_in_the_sum_that_was_counted(
    bridges: Callable[[str], Store], database: PostgresDatabase, seed: int
) -> None:
    """Of one station: each event to some bridge, several at a time, now and then to two of them."""
    dice = random.Random(seed)
    node = Node(random.Random(seed), loss=0.3)
    node.live(40)
    stores = [bridges(name) for name in ("b1", "b2", "b3")]
    shares: list[list[Any]] = [[], [], []]
    for event in node.events:
        for share in dice.sample(shares, 2 if dice.random() < 0.2 else 1):
            share.append(event)

    def work(store: Store, share: list[Any]) -> None:
        while share:
            batch = [share.pop(0) for _ in range(min(len(share), 3))]
            store.commit(batch, batch[-1].received_ns)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work, *one) for one in zip(stores, shares, strict=True)]:
            done.result()
    for store in stores:
        store.settle(node.events[-1].received_ns + LATE_NS)
    rows = stored(database)
    dice.shuffle(rows)
    platform = Platform()
    platform.take(rows)
    assert platform.sums() == truth_sum(node)


def test_revisions_of_a_station_rise_whoever_tells_them(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, one, other = Device(), bridges("b1"), bridges("b2")
    one.commit([device.status(0, 10)], at(0))
    for slot in range(1, 2 * TAIL):
        (one, other)[slot % 2].commit([device.count(slot, 10 + slot)], at(slot))
    told = [
        record["revision"] for content in of_kind(stored(database), "count") for record in content["records"]
    ]
    assert told == sorted(set(told))
    assert len(told) > TAIL
    assert of_kind(stored(database, "b1"), "count")
    assert of_kind(stored(database, "b2"), "count")


def test_a_healing_waits_until_the_one_that_it_goes_on_from_is_published(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    """Published before it, its intervals would stand beside the span that held them."""
    device, one, other = Device(), bridges("b1"), bridges("b2")
    one.commit([device.status(0, 10), device.count(1, 12), device.count(8, 19)], at(8))
    one.settle(at(12))
    one.acknowledged([row.seq for row in one.outbox()])
    one.commit([device.backfill(2, 1, 1, after=12)], at(12))
    other.commit([device.backfill(4, 1, 1, after=13)], at(13))
    one.commit([device.count(9, 20)], at(13))
    first, second = stored(database, "b1")[:-1], stored(database, "b2")
    third = stored(database, "b1")[-1:]
    assert of_kind(second, "count")[0]["supersedes"]
    assert seq(one.outbox()) == seq(first)
    assert other.outbox() == []
    other.turns_came()  # it does not know yet
    assert other.turns_came() is None
    one.acknowledged(seq(first))
    assert one.outbox() == []
    after = other.turns_came()
    assert after is not None
    assert seq(other.outbox(after)) == seq(second)
    assert other.turns_came() is None
    other.acknowledged(seq(second))
    one.turns_came()
    assert seq(one.outbox()) == seq(third)


def test_a_message_that_was_just_made_says_whether_it_has_to_wait(bridges: Callable[[str], Store]) -> None:
    device, one, other = Device(), bridges("b1"), bridges("b2")
    elsewhere = Device("00" * 8, station="Ring")
    for store in (one, other):
        store.turns_came()
    told = one.commit([device.status(0, 10), device.count(1, 12)], at(1)).rows
    assert {row.waits for row in told} == {False}
    told = other.commit([device.count(2, 13), elsewhere.status(0, 10, epoch=2)], at(2)).rows
    assert {(row.station, row.waits) for row in told} == {("neutor", True), ("ring", False)}


def test_a_message_does_not_overtake_an_older_one_of_its_bridge_that_had_to_wait(
    bridges: Callable[[str], Store],
) -> None:
    """What that one waited for is published, and the bridge has not noticed yet."""
    device, one, other = Device(), bridges("b1"), bridges("b2")
    for store in (one, other):
        store.turns_came()
    one.commit([device.status(0, 10), device.count(1, 12)], at(1))
    (older,) = other.commit([device.count(2, 13)], at(2)).rows
    assert other.outbox() == []
    one.acknowledged(seq(one.outbox()))
    (newer,) = other.commit([device.count(3, 14)], at(3)).rows
    assert newer.waits
    assert other.outbox(older.seq) == []
    after = other.turns_came()
    assert after is not None
    assert seq(other.outbox(after)) == [older.seq, newer.seq]


def test_messages_of_a_dead_bridge_are_waited_for_until_another_one_has_published_them(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, dead, one, other = Device(), bridges("b1"), bridges("b2"), bridges("b3")
    one.turns_came()
    dead.commit([device.status(0, 10), device.count(1, 12)], at(1))
    left = dead.outbox()
    one.commit([device.count(2, 13)], at(2))
    beats(database, "b1", ago_s=GONE_S + 1)
    for name in ("b2", "b3"):
        beats(database, name)
    assert other.written_by_others()
    assert one.outbox() == []
    assert other.outbox() == left
    one.turns_came()
    other.acknowledged([row.seq for row in left])
    assert one.turns_came() is not None
    assert len(one.outbox()) == 1


def test_who_was_taken_for_dead_waits_for_what_others_have_taken_over(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, frozen, other = Device(), bridges("b1"), bridges("b2")
    frozen.commit([device.status(0, 10), device.count(1, 12)], at(1))
    left = frozen.outbox()
    beats(database, "b1", ago_s=GONE_S + 1)
    beats(database, "b2")
    assert other.written_by_others()
    assert other.outbox() == left
    beats(database, "b1", since_s=0)
    assert all(row.waits for row in frozen.commit([device.count(2, 13)], at(2)).rows)
    assert frozen.written_by_others()
    assert frozen.outbox() == []
    frozen.acknowledged([row.seq for row in left])  # it published them as well
    assert frozen.turns_came() is not None
    assert len(frozen.outbox()) == 1


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_true_after_every_message_whichever_bridge_publishes_next(
    bridges: Callable[[str], Store], database: PostgresDatabase, seed: int
) -> None:
    """A node that loses frames, so that healing follows on healing, and bridges that publish in any order."""
    dice = random.Random(seed)
    node = Node(random.Random(seed), loss=0.5)
    node.live(60)
    stores = [bridges(name) for name in ("b1", "b2", "b3")]
    broker = Broker()
    for event in node.events:
        store = dice.choice(stores)
        store.settle(event.received_ns - 1)
        store.commit([event], event.received_ns)
        while len(stored(database)) > 8:
            publishing = dice.choice(stores)
            broker.drain(publishing, event.received_ns, most={"neutor": 1})
            verify(broker.platform, node)
    stores[0].settle(node.events[-1].received_ns + LATE_NS)
    while stored(database):
        broker.drain(dice.choice(stores), node.events[-1].received_ns + LATE_NS)
        verify(broker.platform, node)
    told = [row for row in broker.rows if row.topic.endswith(("/count", "/span"))]
    assert [row.seq for row in told] == sorted(row.seq for row in told)
    assert broker.platform.sums() == truth_sum(node)


def test_an_event_that_two_bridges_take_is_told_once(bridges: Callable[[str], Store]) -> None:
    device, one, other = Device(), bridges("b1"), bridges("b2")
    events = [device.status(0, 10), device.count(1, 12)]
    assert one.commit(events, at(1)).repeated == 0
    assert other.commit(events, at(1)).repeated == 2
    assert other.outbox() == []


@pytest.mark.parametrize("seed", range(3))
def test_whenever_bridges_that_come_and_go_have_published_all_no_record_is_false(
    bridges: Callable[[str], Store], database: PostgresDatabase, seed: int
) -> None:
    """Nodes that lose frames, join anew and move between stations. While messages wait, one of them may be the older one."""
    dice = random.Random(seed)
    node = _lived(seed, 0.3, 40, ("Neutor", "Ring"))
    stores = {name: bridges(name) for name in ("b1", "b2", "b3")}
    broker = Broker()
    gone, compared = "", 0
    for event in node.events:
        if dice.random() < 0.1:
            gone = dice.choice(["", *stores])
            for name in stores:
                beats(database, name, ago_s=GONE_S + 1 if name == gone else 0)
        name = dice.choice([name for name in stores if name != gone])
        stores[name].settle(event.received_ns - 1)
        stores[name].commit([event], event.received_ns)
        for name in dice.sample(sorted(stores), 2):
            if name != gone:
                stores[name].written_by_others()
                broker.drain(stores[name], event.received_ns)
        if not any(store.outbox_size() for store in stores.values()):
            verify(broker.platform, node)
            compared += 1
    assert compared > 5
    for store in stores.values():
        store.settle(node.events[-1].received_ns + LATE_NS)
    while waiting := stored(database):
        for store in stores.values():
            broker.drain(store, node.events[-1].received_ns + LATE_NS)
        assert len(stored(database)) < len(waiting)
    verify(broker.platform, node)
    assert broker.platform.sums() == truth_sum(node)


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_that_is_put_back_as_the_guide_says_publishes_nothing_twice_into_the_sum(
    postgres: PostgresServer, seed: int
) -> None:
    dice = random.Random(seed)
    node = _lived(seed, 0.3, 30, ("Neutor",))
    copied = dice.randrange(len(node.events) // 2)
    lost = dice.randrange(copied, len(node.events))
    place, broker = postgres.new_store_place(), Broker()
    first = Store(place, bridge_id="b1")
    for event in node.events[:copied]:
        first.settle(event.received_ns - 1)
        first.commit([event], event.received_ns)
        broker.drain(first, event.received_ns)
    first.close()
    copy = postgres.copied(place)
    with closing(PostgresDatabase(copy)) as restored:
        (command,) = re.findall(r"--command='(UPDATE [^']*)'", GUIDE)
        restored.execute(command)
    first = Store(place, bridge_id="b1")
    for event in node.events[copied:lost]:
        first.settle(event.received_ns - 1)
        first.commit([event], event.received_ns)
        broker.drain(first, event.received_ns)
    first.close()
    second = Store(copy, bridge_id="b1")
    for event in node.events[copied:]:
        second.settle(event.received_ns - 1)
        second.commit([event], event.received_ns)
        broker.drain(second, event.received_ns)
        verify(broker.platform, node)
    second.settle(node.events[-1].received_ns + LATE_NS)
    broker.drain(second, node.events[-1].received_ns + LATE_NS)
    verify(broker.platform, node)
    assert broker.platform.sums() == truth_sum(node)
    second.close()


# Locks.


def test_a_transaction_waits_for_who_holds_a_name_and_not_for_others(place: Server) -> None:
    one, other = PostgresDatabase(place), PostgresDatabase(place)
    names = [name for name in map(str, range(10)) if lock_of(name) != lock_of("neutor")]
    one.begin(["neutor"])
    other.begin(names)
    other.commit()
    came: list[str] = []

    def begin() -> None:
        other.begin(["neutor", *names])
        came.append("other")
        other.rollback()

    waiting = threading.Thread(target=begin)
    waiting.start()
    waiting.join(0.2)
    assert came == []
    one.commit()
    waiting.join(5)
    assert came == ["other"]
    for database in (one, other):
        database.close()


def test_what_a_transaction_lacks_is_held_when_it_begins_again(place: Server) -> None:
    database = PostgresDatabase(place)
    database.begin(["neutor"])
    with pytest.raises(InTheWay):
        database.touches("neutor", "domplatz")
    database.rollback()
    database.begin(["neutor"])
    database.touches("neutor", "domplatz")
    database.commit()
    database.begin(["neutor"])
    with pytest.raises(InTheWay):
        database.touches("domplatz")
    database.close()


def test_many_devices_take_no_more_locks_than_the_server_has(
    place: Server, database: PostgresDatabase
) -> None:
    many = PostgresDatabase(place)
    many.begin(str(number) for number in range(20_000))
    row = database.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert row == (NAMES,)
    many.close()


def test_a_deadlock_is_gone_through_again(place: Server) -> None:
    """The server undoes one of two transactions that wait for each other's rows; that one is only in the way."""
    one, other = PostgresDatabase(place), PostgresDatabase(place)
    one.execute("INSERT INTO reserve VALUES ('a', 1), ('b', 1)")
    raised: list[Exception] = []
    both = threading.Barrier(2)

    def work(database: PostgresDatabase, first: str, second: str) -> None:
        database.begin()
        try:
            assert database.execute("UPDATE reserve SET revision = 2 WHERE station = ?", (first,)).rowcount
            both.wait(5)
            database.execute("UPDATE reserve SET revision = 2 WHERE station = ?", (second,))
            database.commit()
        except InTheWay as error:
            raised.append(error)
            database.rollback()

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(work, one, "a", "b"), pool.submit(work, other, "b", "a")]
        for work_done in done:
            work_done.result(15)
    assert len(raised) == 1
    for database in (one, other):
        database.close()


def test_a_bridge_that_stands_still_in_a_transaction_holds_up_the_others_for_seconds_only(
    place: Server, bridges: Callable[[str], Store]
) -> None:
    """The server ends its transaction; it notices when it goes on, and that may pass."""
    device, living = Device(), bridges("b2")
    still = PostgresDatabase(place)
    still.begin([device.dev_eui])
    living.commit([device.status(0, 10)], at(0))
    with pytest.raises(DatabaseAway):
        still.execute("SELECT 1")
    still.rollback()
    still.begin()
    still.commit()
    still.close()


def _stopped_between_words(database: PostgresDatabase, *, sync: bool) -> None:
    """As a bridge that is frozen in a batch, or just after one: psycopg asks for a Flush behind the Sync."""
    assert database._connection is not None
    connection = database._connection.pgconn
    connection.enter_pipeline_mode()
    connection.send_query_params(b"INSERT INTO reserve VALUES ($1, 1)", [b"a"])
    if sync:
        connection.pipeline_sync()
    connection.send_flush_request()
    assert connection.flush() == 0
    assert connection.get_result() is not None  # the server has come so far


@pytest.mark.parametrize("sync", [False, True], ids=["in a batch", "after a batch"])
def test_a_transaction_that_stands_still_where_the_server_has_no_limit_is_undone_by_others(
    place: Server, database: PostgresDatabase, sync: bool
) -> None:
    still, living = PostgresDatabase(place), PostgresDatabase(place)
    still.begin(["neutor"])
    _stopped_between_words(still, sync=sync)
    assert undo_what_stands_still(living) == 0
    for _ in range(100):  # the server needs a moment to see that it waits
        if undo_what_stands_still(living, 0.0):
            break
    living.begin(["neutor"])
    assert living.execute("SELECT count(*) FROM reserve").fetchone() == (0,)
    living.commit()
    for one in (still, living):
        one.close()


def test_who_holds_nothing_or_is_at_work_is_left_alone(place: Server, database: PostgresDatabase) -> None:
    idle, waiting, holder = PostgresDatabase(place), PostgresDatabase(place), PostgresDatabase(place)
    idle.begin()
    holder.begin(["neutor"])
    thread = threading.Thread(target=waiting.begin, args=(["neutor"],))
    thread.start()
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while database.execute(query).fetchone() != (1,):
        pass
    assert undo_what_stands_still(database, 0.0) == 1
    thread.join(5)
    assert waiting.execute("SELECT 1").fetchone() == idle.execute("SELECT 1").fetchone() == (1,)
    for one in (idle, waiting, holder):
        one.close()


# Whose messages they are.


def test_each_bridge_reads_the_messages_that_it_made(bridges: Callable[[str], Store]) -> None:
    one, other = bridges("b1"), bridges("b2")
    one.commit([Device("00" * 8, station="a").status(0, 1)], at(0))
    assert one.outbox_size() > 0
    assert other.outbox_size() == 0


def test_messages_of_a_bridge_that_is_gone_are_another_ones_in_their_order(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, gone, living = Device(), bridges("b1"), bridges("b2")
    gone.commit([device.status(0, 10), *(device.count(slot, 10 + slot) for slot in range(1, 5))], at(5))
    left = gone.outbox()
    living.commit([Device("00" * 8, station="else").status(0, 1, epoch=2)], at(0))
    own = living.outbox()
    beats(database, "b1", ago_s=GONE_S + 1)
    beats(database, "b2")
    assert living.written_by_others()
    assert living.outbox() == [*left, *own]
    gone.acknowledged([row.seq for row in left])  # it was only frozen, and has published them
    assert living.outbox() == own


def test_messages_of_a_bridge_that_is_there_stay_its_own(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    one, other = bridges("b1"), bridges("b2")
    one.commit([Device().status(0, 10)], at(0))
    beats(database, "b1", ago_s=GONE_S - 2)
    beats(database, "b2")
    other.written_by_others()
    assert other.outbox_size() == 0


def test_who_has_just_come_takes_nobody_for_gone(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    """All of them may have been without the server for a while."""
    one, other = bridges("b1"), bridges("b2")
    one.commit([Device().status(0, 10)], at(0))
    beats(database, "b1", ago_s=GONE_S + 5)
    beats(database, "b2", since_s=GONE_S - 1)
    other.written_by_others()
    assert other.outbox_size() == 0


def test_what_a_command_line_puts_into_the_outbox_is_published_by_a_bridge(
    place: Server, bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, bridge = Device(), bridges("b1")
    bridge.commit([device.status(0, 10), device.count(1, 12)], at(1))
    before = bridge.outbox_size()
    beside = Store(place, bridge_id="b1", existing=True)
    (station,) = {row.station for row in bridge.outbox() if row.topic.endswith("/count")}
    from zaehlwerk_bridge.republishing import Period

    assert beside.republish(station, Period(), at(2)).messages == 1
    beside.close()
    assert bridge.outbox_size() == before
    beats(database, "b1")
    assert bridge.written_by_others()
    assert bridge.outbox_size() > before


def test_one_of_the_living_bridges_leads(bridges: Callable[[str], Store], database: PostgresDatabase) -> None:
    one, other = bridges("b1"), bridges("b2")
    for name in ("b1", "b2"):
        beats(database, name)
    for store in (one, other):
        store.written_by_others()
    assert (one.leads, other.leads) == (True, False)
    beats(database, "b1", ago_s=GONE_S + 1)
    assert other.written_by_others()
    assert other.leads


def test_what_a_checkpoint_covers_waits_until_the_bridge_that_has_it_has_said_it(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, one, other = Device(), bridges("b1"), bridges("b2")
    one.commit([device.status(0, 10), device.count(1, 12)], at(1))
    assert any(row.topic.endswith("/checkpoint") for row in one.outbox())
    other.commit([device.count(2, 15)], at(2))
    assert "checkpoint" not in [row.topic.rpartition("/")[2] for row in stored(database, "b2")]
    assert other.outbox() == []
    one.acknowledged([row.seq for row in one.outbox()])
    assert [row.topic.rpartition("/")[2] for row in other.outbox()] == ["count"]


def test_a_retained_message_that_came_after_a_newer_one_is_said_as_it_should_be(
    bridges: Callable[[str], Store],
) -> None:
    """A bridge that stood still has sent what another one has said anew meanwhile."""
    device, one, other = Device(), bridges("b1"), bridges("b2")
    one.commit([device.status(0, 10), device.count(1, 12)], at(1))
    old = [row for row in one.outbox() if row.topic.endswith("/checkpoint")]
    one.acknowledged([row.seq for row in one.outbox()])
    for slot in range(2, 60):
        other.commit([device.count(slot, 12 + slot)], at(slot))
    new = [row.payload for row in other.outbox() if row.topic.endswith("/checkpoint")][-1]
    assert new != old[0].payload
    other.acknowledged([row.seq for row in other.outbox()])
    assert one.outbox() == []
    one.say_again(old, at(60))
    assert [row.payload for row in one.outbox()] == [new]
    one.say_again(one.outbox(), at(60))
    assert len(one.outbox()) == 1


def test_a_station_that_another_bridge_has_reconciled_is_not_reconciled_again(
    bridges: Callable[[str], Store],
) -> None:
    device, one, other = Device(), bridges("b1"), bridges("b2")
    one.commit([device.status(0, 10), device.count(1, 12)], at(1))
    (station,) = {row.station for row in one.outbox() if row.topic.endswith("/count")}
    asked = other.unverified([station])
    assert asked == {station, epoch_name(1)}
    one.reconcile(dict.fromkeys(asked), at(1))
    waiting = one.outbox()
    checkpoint = next(row.payload for row in waiting if row.topic.endswith("/checkpoint"))
    assert other.reconcile({**dict.fromkeys(asked), station: checkpoint}, at(1)).foreign == 0
    assert one.outbox() == waiting


# What one of them is enough for.


def test_a_command_that_every_bridge_hears_is_taken_once_and_begun_by_one(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    """At the same time; each answers, and who is told that it must not begin does not."""
    device, stores = Device(), [bridges(name) for name in ("b1", "b2", "b3")]
    stores[0].commit([device.status(0, 10), device.count(1, 12)], at(1))
    payload = json.dumps({"id": "a", "command": "reboot"}).encode()
    topic, limits = "zaehlwerk/v1/neutor/command", CommandsSettings()
    with ThreadPoolExecutor(3) as pool:
        for done in [
            pool.submit(store_calls.take, store, topic, "neutor", payload, limits, at(2)) for store in stores
        ]:
            done.result()
    assert database.execute("SELECT count(*) FROM command").fetchone() == (1,)
    for name in ("b1", "b2", "b3"):
        (told,) = of_kind(stored(database, name), "result")
        assert told["fate"] == "accepted"
    due = store_calls.next_of(stores[1], device.dev_eui)
    assert due is not None
    with ThreadPoolExecutor(3) as pool:
        begun = [
            pool.submit(store_calls.begin_enqueue, store, due.seq, due.downlink.part, [], at(2))
            for store in stores
        ]
        assert sorted(one.result() for one in begun) == [False, False, True]


def test_a_node_is_asked_once_for_what_every_bridge_finds_missing(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, stores = Device(), [bridges(name) for name in ("b1", "b2", "b3")]
    stores[0].commit([device.status(0, 10), device.count(1, 12), device.count(8, 40)], at(8))
    later = at(12)
    with ThreadPoolExecutor(3) as pool:
        for settled in [pool.submit(store.settle, later) for store in stores]:
            settled.result()
    wants = stores[1].wanted_backfill(later)
    assert len(wants) == 1
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(store.ask_for_backfill, wants, later, enabled=True) for store in stores]
        for one in asked:
            one.result()
    assert database.execute("SELECT count(*) FROM command WHERE own = 1").fetchone() == (1,)
    assert database.execute("SELECT max(tries) FROM gap").fetchone() == (1,)
    told = [record for content in of_kind(stored(database), "span") for record in content["records"]]
    assert len([record for record in told if record["start"] is not None]) == 1


def test_who_does_not_lead_deletes_nothing_that_is_old(
    bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, one, other = Device(), bridges("b1"), bridges("b2")
    one.commit([device.status(0, 10), *(device.count(slot, 10 + slot) for slot in range(1, 60))], at(60))
    for name in ("b1", "b2"):
        beats(database, name)
    while waiting := stored(database):
        one.acknowledged(seq(waiting))
    records = "SELECT count(*) FROM record"
    before = database.execute(records).fetchone()
    for store, left in ((other, before), (one, None)):
        store.written_by_others()
        while store.forget(at(1000), 100):
            pass
        after = database.execute(records).fetchone()
        assert after == left if left is not None else after < before


# The schema, and the server.


def test_bridges_that_start_at_once_make_the_schema_once(postgres: PostgresServer) -> None:
    place = postgres.place(postgres.new_database())
    with ThreadPoolExecutor(3) as pool:
        opened = [one.result() for one in [pool.submit(open_postgres, place) for _ in range(3)]]
    assert [version_of(database) for database in opened] == [SCHEMA_VERSION] * 3
    for database in opened:
        database.close()


def test_a_newer_schema_is_refused(place: Server, database: PostgresDatabase) -> None:
    database.execute("UPDATE schema_version SET version = version + 1")
    with pytest.raises(SchemaError, match=f"schema {SCHEMA_VERSION + 1} is newer"):
        Store(place)
    with pytest.raises(SchemaError, match="is newer"):
        Store(place, existing=True)


def test_a_command_line_makes_no_schema(postgres: PostgresServer) -> None:
    with pytest.raises(SchemaError, match="there is no store of a bridge"):
        Store(postgres.place(postgres.new_database()), existing=True)


def test_a_store_of_the_first_version_is_brought_forward_and_knows_what_it_has_seen(
    place: Server, bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device = Device()
    seen = [device.status(0, 10), device.count(1, 12)]
    before = Store(place, bridge_id="b1")
    before.commit(seen, at(1))
    before.close()
    present = indexes(database)
    for statement in (
        "ALTER TABLE seen DROP CONSTRAINT seen_pkey",
        "ALTER TABLE seen ADD CONSTRAINT seen_dev_eui_dedup_id_key UNIQUE (dev_eui, dedup_id)",
        "CREATE INDEX seen_time ON seen (dev_eui, received_ns)",
        "CREATE INDEX cell_total ON cell (chain, unsynced, number) WHERE total IS NOT NULL",
    ):
        database.execute(statement)
    database.execute("UPDATE schema_version SET version = ?", (FIRST,))
    assert bridges("b1").commit(seen, at(1)).repeated == len(seen)
    assert version_of(database) == SCHEMA_VERSION
    assert indexes(database) == present


def test_a_step_that_fails_leaves_the_schema_before_it(place: Server, database: PostgresDatabase) -> None:
    steps = {
        SCHEMA_VERSION + 1: ["ALTER TABLE life ADD COLUMN more TEXT"],
        SCHEMA_VERSION + 2: ["ALTER TABLE nowhere ADD COLUMN a TEXT"],
    }
    with pytest.raises(SchemaError, match="cannot be made"):
        bring_forward(database, SCHEMA_VERSION + 2, steps)
    assert version_of(database) == SCHEMA_VERSION
    bring_forward(database, SCHEMA_VERSION + 1, steps)
    assert version_of(database) == SCHEMA_VERSION + 1
    assert database.execute("SELECT count(more) FROM life").fetchone() == (0,)


def test_a_schema_is_not_made_beside_somebody_elses_tables(postgres: PostgresServer) -> None:
    place = postgres.place(postgres.new_database())
    database = PostgresDatabase(place)
    database.execute("CREATE TABLE station (name TEXT)")
    with pytest.raises(SchemaError, match="has to be empty"):
        open_postgres(place)
    assert version_of(database) is None
    database.close()


def test_a_connection_that_is_lost_undoes_what_was_begun_and_the_next_call_makes_another(
    place: Server, bridges: Callable[[str], Store], database: PostgresDatabase
) -> None:
    device, bridge = Device(), bridges("b1")
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ? AND pid <> pg_backend_pid()"
    beats(database, "b1")
    bridge.written_by_others()
    database.execute(query, (place.name,))
    with pytest.raises(DatabaseAway):
        bridge.commit([device.status(0, 10)], at(0))
    assert bridge.commit([device.status(0, 10)], at(0)).repeated == 0
    assert bridge.written_by_others(), (
        "what was being committed may be there without anybody having been told"
    )


def test_a_commit_is_durable_whatever_the_server_is_set_to(place: Server, database: PostgresDatabase) -> None:
    database.execute(
        f"ALTER DATABASE {place.url.rpartition('/')[2].partition('?')[0]} SET synchronous_commit = off"
    )
    later = PostgresDatabase(place)
    assert later.execute("SHOW synchronous_commit").fetchone() == ("on",)
    later.close()


def test_the_definition_holds_every_table(database: PostgresDatabase) -> None:
    rows = database.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    made = {name for (name,) in rows}
    assert made == {line.split()[2] for line in definition() if line.strip().startswith("CREATE TABLE")}


def test_a_bridge_is_known_and_may_lead_before_it_stores_anything(
    place: Server, database: PostgresDatabase
) -> None:
    """Else nobody would know whose messages those are that it leaves."""
    with closing(PostgresDatabase(place)) as own:
        assert Neighbours(own, "b9").leads
        assert database.execute("SELECT id FROM bridge").fetchall() == [("b9",)]
