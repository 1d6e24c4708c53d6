"""The commands that work on the store, beside a bridge that runs and without one: words, fates, exit statuses."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.tests.ledger.frames import Device, at
from bridge.tests.service.node import Item, Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.test_cli import configured, runs
from bridge.tests.service.until import until
from zaehlwerk_bridge.database import SCHEMA_VERSION
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"


def wrongly_tagged(item: Item) -> Item:
    return Item(item.id, item.description, item.body.replace('"classes": "bicycle"', '"classes": "unicycle"'))


async def test_what_was_rejected_is_taken_beside_a_running_bridge_and_published_at_once(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """The tag was wrong; now the settings replace it: listed, tried again, sent, and nothing is left."""
    platform = subscribe()
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3), wrongly_tagged(node.count(4)))
    wrong = configured(rig)
    right = rig.directory / "mended.toml"
    right.write_text(f"{wrong.read_text()}\n[stations.{EUI}]\nclasses = 'bicycle'\n")
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"one": 3})
        status, out, err = await runs("rejected", "list", "--config", wrong, "--json")
        assert (status, err) == (0, "")
        (listed,) = json.loads(out)["rejected"]
        assert listed["cause"] == "no_station"
        assert listed["event"]["tags"]["classes"] == "unicycle"
        status, out, _ = await runs("rejected", "list", "--config", wrong)
        assert "no_station  one port 1 " in out
        assert "tag classes: 'unicycle' is none of" in out
        status, out, _ = await runs("rejected", "retry", "--config", right, "--cause", "no_station", "--json")
        assert (status, json.loads(out)) == (
            0,
            {"ok": True, "rows": [{"id": listed["id"], "fate": "taken", "reason": None}]},
        )
        await platform.until(lambda: platform.sums() == {"one": 7})
        assert bridge.disk_trouble == ""
        assert (await runs("rejected", "list", "--config", right))[1] == "nothing is rejected\n"


async def test_on_the_store_of_a_stopped_bridge_it_waits_for_the_next_start(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    platform = subscribe()
    node = Node(EUI, "one")
    await rig.server.put(EUI, wrongly_tagged(node.status()), node.count(3))
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
    path = configured(rig)
    status, out, _ = await runs("rejected", "retry", "--config", path, "--all")
    assert (status, out) == (0, "1  taken\n")
    assert platform.of("/count") == []
    async with rig.bridge() as bridge:
        await bridge.published()
        await platform.until(lambda: platform.sums() == {"one": 3})


async def test_what_stays_is_status_4_and_its_reason_is_told(rig: Rig) -> None:
    node = Node(EUI, "one")
    await rig.server.put(EUI, wrongly_tagged(node.status()), Item(f"{node.now_s * 1000}-7", "up", "nonsense"))
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, f"{node.now_s * 1000}-7")
    path = configured(rig)
    retried, gone, both = await asyncio.gather(
        runs("rejected", "retry", "--config", path, "1", "2"),
        runs("rejected", "drop", "--config", path, "99", "--json"),
        runs("rejected", "retry", "--config", path, "1", "--all"),
    )
    assert retried[0] == 4
    lines = retried[1].splitlines()
    assert lines[-1] == "of 2: 1 rejected, 1 nothing"
    assert lines[0].startswith("1  rejected  tag classes: 'unicycle'")
    assert lines[1].startswith("2  nothing  body is not JSON")
    assert (gone[0], json.loads(gone[1])) == (
        4,
        {"ok": False, "rows": [{"id": 99, "fate": "gone", "reason": None}]},
    )
    assert both[:2] == (2, "")
    assert both[2] == "zaehlwerk-bridge: name either ids, or --cause, --device or both, or --all\n"
    assert (await runs("rejected", "drop", "--config", path, "--all"))[:2] == (
        0,
        "1  dropped\n2  dropped\nof 2: 2 dropped\n",
    )


@pytest.fixture
def many(rig: Rig) -> str:
    """The settings of a store that has rejected much: by device, and with a name that a screen would obey."""
    store = Store(rig.directory / "bridge.sqlite")
    events = []
    for number in range(30):
        name = ("Bürgerstraße", "Hafen\x1b[2J")[number % 2]
        device = Device(f"70b3d57ed000000{number % 2}")
        event = device.event(b"\xff" * 9, at(number // 2))
        events.append(replace(event, device_name=name, dedup_id=str(number), cursor=f"{number + 1}-0"))
    store.commit(events, at(100))
    store.close()
    return str(configured(rig))


async def test_much_that_was_rejected_is_counted_by_cause_and_device(many: str) -> None:
    status, out, _ = await runs("rejected", "summary", "--config", many)
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "15  undecodable  Bürgerstraße (70b3d57ed0000000)"
    assert lines[3].startswith("15  undecodable  Hafen")
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in out
    content = json.loads((await runs("rejected", "summary", "--config", many, "--json"))[1])
    assert content["rows"] == 30
    assert [group["rows"] for group in content["groups"]] == [15, 15]
    assert content["groups"][0]["newest"]["id"] == 29


async def test_a_list_that_is_cut_off_says_so(many: str) -> None:
    _, out, err = await runs("rejected", "list", "--config", many, "--limit", "3")
    assert len(out.splitlines()) == 3
    assert "\x1b" not in out
    assert err.startswith("zaehlwerk-bridge: there is more than these 3")
    _, out, err = await runs("rejected", "list", "--config", many, "--limit", "30")
    assert (len(out.splitlines()), err) == (30, "")
    content = json.loads((await runs("rejected", "list", "--config", many, "--limit", "3", "--json"))[1])
    assert content["more"] is True


async def test_a_device_is_chosen_by_name_or_eui_alone_or_with_a_cause(many: str) -> None:
    for device in ("Bürgerstraße", "70B3D57ED0000000"):
        content = json.loads(
            (await runs("rejected", "list", "--config", many, "--device", device, "--json"))[1]
        )
        assert [row["id"] for row in content["rejected"]] == list(range(1, 31, 2))
    words = ("rejected", "drop", "--config", many, "--device", "Bürgerstraße", "--cause")
    assert (await runs(*words, "no_station"))[1] == "nothing of that is rejected\n"
    assert (await runs(*words, "undecodable"))[1].endswith("of 15: 15 dropped\n")
    assert json.loads((await runs("rejected", "summary", "--config", many, "--json"))[1])["rows"] == 15


async def test_records_are_republished_beside_a_running_bridge_and_change_no_sum(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    """The platform lost its database: the records come again, with the revisions that they had."""
    first, second = subscribe(), None
    node = Node(EUI, "Hafenstraße")
    await rig.server.put(EUI, node.status(), *(node.count(3) for _ in range(5)))
    path = configured(rig)
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        await first.until(lambda: first.sums() == {"hafenstrasse": 15})
        second = subscribe(client_id="new platform", topic="zaehlwerk/v1/+/count")
        assert second.of("/count") == []
        command = ["republish", "--config", path, "--station", "Hafenstraße"]
        status, out, err = await runs(*command, "--from", "2026-06-01")
        assert (status, err) == (0, "")
        assert out == "hafenstrasse: 5 records in 1 messages are in the outbox\n"
        await second.until(lambda: second.sums() == {"hafenstrasse": 15})
        revisions = [r["revision"] for content in second.of("/count") for r in content["records"]]
        assert sorted(revisions) == sorted(
            {r["revision"] for c in first.of("/count")[:-1] for r in c["records"]}
        )
        await first.until(lambda: len(first.of("/count")) == 6)
        assert first.sums() == {"hafenstrasse": 15}
        answers = await asyncio.gather(
            runs(*command, "--to", "2026-06-01"),
            runs("republish", "--config", path, "--station", "elsewhere", "--json"),
            runs(*command, "--from", "noon"),
            runs(*command, "--from", "2026-06-02", "--to", "2026-06-01T12:00+02:00"),
        )
    assert [status for status, _, _ in answers] == [4, 4, 2, 2]
    assert answers[0][2] == "zaehlwerk-bridge: hafenstrasse: nothing of that time is kept\n"
    assert json.loads(answers[1][1])["ok"] is False
    assert "is no date or time" in answers[2][2]
    assert "--from must be before --to" in answers[3][2]


async def test_a_store_that_is_not_there_or_of_another_version_is_status_2_and_left_alone(rig: Rig) -> None:
    path = configured(rig)
    database = rig.directory / "bridge.sqlite"
    status, _, err = await runs("rejected", "list", "--config", path)
    assert (status, database.exists()) == (2, False)
    assert "there is no database" in err
    Store(database).close()
    for version, what in ((SCHEMA_VERSION - 1, "is older"), (SCHEMA_VERSION + 1, "is newer")):
        with sqlite3.connect(database) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        connection.close()
        status, _, err = await runs("rejected", "list", "--config", path)
        assert status == 2
        assert what in err
        assert err.count("\n") == 1


async def test_a_running_bridge_waits_for_the_command_and_the_command_for_the_bridge(rig: Rig) -> None:
    """Another program's transaction is no fault: the bridge commits when it is over."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status())
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await bridge.published()
        other = sqlite3.connect(rig.directory / "bridge.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await rig.server.put(EUI, node.count(3))
        await until(lambda: bridge._storing == 1)
        other.execute("COMMIT")
        other.close()
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        assert bridge.disk_trouble == ""


def test_the_schema_of_this_version_has_a_file_for_each_step() -> None:
    steps = Path(Store.__init__.__code__.co_filename).parent / "store_schema"
    assert sorted(path.name for path in steps.glob("*.sql")) == [
        f"{n}.sql" for n in range(1, SCHEMA_VERSION + 1)
    ]
