"""What a supervisor and Prometheus are told: health, readiness, and that each metric says what happened."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bridge.tests.service.endpoint import endpoints, get, scraped, told
from bridge.tests.service.manual_clock import ManualClock
from bridge.tests.service.mosquitto import Mosquitto
from bridge.tests.service.node import Item, Node
from bridge.tests.service.rig import Rig
from bridge.tests.service.subscriber import Subscriber
from bridge.tests.service.until import until
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.heartbeat import LOOP_LATE_S, STORE_LATE_S, Heartbeat
from zaehlwerk_bridge.http_endpoints import HttpEndpoints
from zaehlwerk_bridge.metrics import PREFIX, TABLE, Counter, Histogram, registry
from zaehlwerk_bridge.metrics_table import metrics_markdown
from zaehlwerk_bridge.settings import HttpSettings
from zaehlwerk_bridge.store import Store

EUI = "70b3d57ed0000001"


def sample(name: str, label: str = "") -> tuple[str, str]:
    return PREFIX + name, label


async def test_a_bridge_is_ready_when_its_streams_are_open_its_broker_connected_and_its_store_commits(
    rig: Rig, broker: Mosquitto
) -> None:
    await rig.server.put(EUI, Node(EUI, "one").status())
    async with rig.bridge() as bridge:
        with endpoints(bridge) as port:
            assert await told(port, "/readyz") == (200, {"ready": True})
            broker.stop()
            await until(lambda: not bridge.publisher.connected)
            status, content = await told(port, "/readyz")
            assert status == 503
            assert set(content) == {"ready", "broker"}
            assert content["broker"]
            assert await told(port, "/healthz") == (200, {"healthy": True})
            broker.start()
            await bridge.ready(10)
            assert await told(port, "/readyz") == (200, {"ready": True})


async def test_a_bridge_that_may_not_list_devices_says_so_and_is_healthy(rig: Rig) -> None:
    rig.server.keys = set()
    async with rig.bridge(ready=False) as bridge:
        with endpoints(bridge) as port:
            await until(lambda: "InvalidToken" in bridge.source.trouble)
            await until(lambda: bridge.publisher.connected)
            status, content = await told(port, "/readyz")
            assert status == 503
            assert "InvalidToken" in str(content["source"])
            assert await told(port, "/healthz") == (200, {"healthy": True})


async def test_an_event_loop_or_a_store_that_stands_still_is_not_healthy() -> None:
    clock, now_s = ManualClock(0), 0.0
    store_answers = asyncio.Event()
    store_answers.set()

    async def touch() -> None:
        await store_answers.wait()

    heart = Heartbeat(clock, touch, lambda: now_s)
    beating = asyncio.create_task(heart.run())
    await asyncio.sleep(0.01)
    assert heart.troubles() == {}
    now_s = LOOP_LATE_S + 1
    assert set(heart.troubles()) == {"loop"}
    await clock.move(1.5)
    await asyncio.sleep(0.01)
    assert heart.troubles() == {}
    assert heart.lag_s == LOOP_LATE_S
    store_answers.clear()
    await clock.move(1.5)
    for _ in range(int(STORE_LATE_S / 5) + 1):
        now_s += 5
        await clock.move(1)
        await asyncio.sleep(0.01)
    assert set(heart.troubles()) == {"store"}
    store_answers.set()
    await clock.move(2)
    await asyncio.sleep(0.01)
    assert heart.troubles() == {}
    beating.cancel()


async def test_a_store_thread_that_breaks_ends_the_heartbeat() -> None:
    async def touch() -> None:
        raise RuntimeError("no thread")

    clock = ManualClock(0)
    beating = asyncio.create_task(Heartbeat(clock, touch).run())
    await asyncio.sleep(0.01)
    await clock.move(1)
    with pytest.raises(RuntimeError, match="no thread"):
        await beating


async def test_only_three_paths_and_two_methods_are_answered(rig: Rig) -> None:
    async with rig.bridge() as bridge:
        with endpoints(bridge) as port:
            assert (await get(port, "/"))[0] == 404
            assert (await get(port, "/metrics", "HEAD")) == (200, b"")
            assert (await get(port, "/metrics?name=x"))[0] == 200
            assert (await get(port, "/healthz", "POST"))[0] == 501


async def test_a_port_that_is_taken_is_a_mistake_in_the_settings(rig: Rig) -> None:
    async with rig.bridge() as bridge:
        with endpoints(bridge) as port:
            taken = HttpEndpoints(HttpSettings(port=port), dict, dict, registry(bridge))
            with (
                pytest.raises(SettingsError, match=rf"http.port: cannot listen at 127.0.0.1 port {port}"),
                taken,
            ):
                pass


async def test_every_metric_of_the_table_is_scraped_and_no_other_one(rig: Rig) -> None:
    """From a bridge that has taken one count: before the first event the newest one has no time."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge(mqtt_hold_without_subscriber=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await bridge.published()
        with endpoints(bridge) as port:
            names = {name for name, _ in await scraped(port) if name.startswith(PREFIX)}
    expected = set()
    for metric in (metric for metrics in TABLE.values() for metric in metrics):
        name = PREFIX + metric.name
        if isinstance(metric, Histogram):
            expected |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
        else:
            expected.add(f"{name}_total" if isinstance(metric, Counter) else name)
    assert names == expected - {
        f"{PREFIX}source_lag_events"
    }  # ChirpStack's API does not tell it, its Redis does


async def test_what_came_in_is_counted_by_what_became_of_it(
    rig: Rig, subscribe: Callable[..., Subscriber]
) -> None:
    subscribe()
    node = Node(EUI, "one")
    good = [node.status(), node.count(3), node.count(4)]
    broken = Item(f"{node.now_s * 1000}-900", "up", "{}")
    joined = Item(f"{node.now_s * 1000}-901", "join", "{}")
    again = Item(f"{node.now_s * 1000}-902", "up", good[1].body)
    nonsense = Item(f"{node.now_s * 1000}-903", "up", "nonsense")
    await rig.server.put(EUI, *good, broken, joined, again, nonsense)
    async with rig.bridge() as bridge:
        await bridge.committed(EUI, nonsense.id)
        await bridge.published()
        with endpoints(bridge) as port:
            seen = await scraped(port)
    fates = {label: value for (name, label), value in seen.items() if name == f"{PREFIX}events_total"}
    assert fates == {"decoded": 3, "waiting": 0, "duplicate": 1, "downlink": 0, "ignored": 2, "rejected": 1}
    assert seen[sample("rejected_total", "unreadable")] == 1
    assert seen[sample("quarantine", "unreadable")] == 1
    assert seen[sample("frames_total", "counts")] == 2
    assert seen[sample("frames_total", "status")] == 1
    assert seen[sample("records_total", "interval")] == 2
    assert seen[sample("source_streams", "open")] == 1
    assert seen[sample("source_opens_total")] == 1
    assert seen[sample("source_items_total")] == 7
    assert seen[sample("event_delay_seconds_count")] == 3
    assert seen[sample("ledger_stations")] == 1
    assert seen[sample("publishes_total", "0")] == bridge.publisher.counts.acknowledged
    assert seen[sample("message_wait_seconds_count")] == bridge.publisher.counts.acknowledged
    assert seen[sample("outbox_messages")] == 0
    assert seen[sample("outbox_oldest_age_seconds")] == 0
    assert seen[sample("ready", "broker")] == 1
    assert seen[sample("store_disk_free_bytes")] > 0


async def test_messages_that_wait_are_counted_and_their_age_is_told(rig: Rig, broker: Mosquitto) -> None:
    """The figure to be alarmed by: how old the oldest message is, by the bridge's clock."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    clock = ManualClock(node.now_s * 10**9)
    broker.stop()
    async with rig.bridge(clock=clock, ready=False) as bridge:
        await bridge.committed(EUI, rig.server.devices[EUI].items[-1].id)
        await clock.move(1200)
        with endpoints(bridge) as port:
            seen = await scraped(port)
            assert seen[sample("outbox_messages")] == await bridge.ask(Store.outbox_size)
            assert seen[sample("outbox_oldest_age_seconds")] == 1200
            assert seen[sample("broker_connected")] == 0
            assert seen[sample("ready", "broker")] == 0


async def test_answers_of_the_broker_are_counted_by_reason_code(rig: Rig) -> None:
    """Nobody has subscribed: 16, and the station is held."""
    node = Node(EUI, "one")
    await rig.server.put(EUI, node.status(), node.count(3))
    async with rig.bridge() as bridge:
        await until(lambda: "one" in bridge.publisher.held)
        with endpoints(bridge) as port:
            seen = await scraped(port)
    assert seen[sample("publishes_total", "16")] >= 1
    assert seen[sample("publisher_held_stations")] == 1


async def test_a_scrape_neither_waits_for_the_store_nor_stops_it(rig: Rig) -> None:
    """A transaction that is open does not keep a scrape waiting, and a store that is gone only leaves its figures out."""
    async with rig.bridge() as bridge:
        with endpoints(bridge) as port:
            # Not in the bridge's own connection, where its next transaction would begin within this one.
            with closing(sqlite3.connect(bridge.settings.database, isolation_level=None)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                assert sample("outbox_messages") in await scraped(port)
            bridge.settings.database.rename(rig.directory / "elsewhere.sqlite")
            seen = await scraped(port)
            assert sample("outbox_messages") not in seen
            assert sample("events_total", "decoded") in seen


def test_the_page_of_metrics_is_the_one_that_the_code_makes() -> None:
    """Else: python -m zaehlwerk_bridge.metrics_table > bridge/METRICS.md"""
    page = Path(__file__).parents[2] / "METRICS.md"
    assert page.read_text(encoding="utf-8") == metrics_markdown()


def test_names_follow_the_conventions_of_prometheus() -> None:
    """Base units, no suffix that the form adds itself, a meaning that is a sentence, a label only where it is explained."""
    metrics = [metric for described in TABLE.values() for metric in described]
    names = [metric.name for metric in metrics]
    assert len(set(names)) == len(names)
    for metric in metrics:
        assert metric.name == metric.name.lower()
        assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_minutes", "_mb"))
        assert metric.meaning.endswith(".")
        assert bool(metric.label) == bool(metric.label_meaning)
        assert not isinstance(metric, Histogram) or metric.name.endswith("_seconds")
