"""The peer `naive`: the plain program that one would write first, as a process of its own.

It reads the same Redis stream through a consumer group, one entry after the other in answers of up to 200. Of each it
reads the protobuf, looks up what the bridge published for the same interval (so the bytes are identical and it needs no
ledger: no unwrapping, no history, no healing), commits message and position to SQLite with WAL and synchronous=FULL
(the message before, which has its PUBACK, is deleted in the same transaction),
publishes with MQTT 5 and QoS 1, and waits for that PUBACK before the next. What was read is acknowledged to Redis an
answer at a time. It is as durable as the bridge for what it has read, and nothing else that the bridge is.

Run as `python -m zaehlwerk_tools.bridge_bench.naive REDIS_PORT BROKER_PORT ANSWERS DATABASE`; `ANSWERS` is a JSON file
that maps "devEui/fCnt" to [topic, payload]. Entries that it does not name (status frames) are acknowledged only.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from chirpstack_api import integration
from paho.mqtt.enums import CallbackAPIVersion
from redis import Redis

from zaehlwerk_tools.bridge_bench.redis_server import HOST, STREAM

GROUP = "naive"
READ_MOST = 200
WAIT_MS = 1000
PUBACK_S = 30.0


def main(redis_port: int, broker_port: int, answers: Path, database: Path) -> None:
    """Work until it is ended."""
    known: dict[str, tuple[str, str]] = json.loads(answers.read_text(encoding="utf-8"))
    stream = Redis(HOST, redis_port)
    stream.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    client = paho.Client(CallbackAPIVersion.VERSION2, "naive", protocol=paho.MQTTv5)
    client.connect(HOST, broker_port)
    client.loop_start()
    store = _opened(database)
    while True:
        found: Any = stream.xreadgroup(GROUP, "one", {STREAM: ">"}, READ_MOST, WAIT_MS)
        for _, entries in found or []:
            for entry_id, fields in entries:
                _pass_on(entry_id.decode(), fields[b"up"], known, store, client)
            stream.xack(STREAM, GROUP, *[entry_id for entry_id, _ in entries])


def _pass_on(
    entry_id: str,
    value: bytes,
    known: dict[str, tuple[str, str]],
    store: sqlite3.Connection,
    client: paho.Client,
) -> None:
    event = integration.UplinkEvent.FromString(value)
    found = known.get(f"{event.device_info.dev_eui}/{event.f_cnt}")
    if found is None:
        return
    topic, payload = found
    store.execute("BEGIN IMMEDIATE")
    store.execute("DELETE FROM outbox")  # what the PUBACK before was of
    store.execute("INSERT INTO outbox (topic, payload) VALUES (?, ?)", (topic, payload))
    store.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (entry_id,))
    store.execute("COMMIT")
    client.publish(topic, payload, qos=1).wait_for_publish(PUBACK_S)


def _opened(database: Path) -> sqlite3.Connection:
    store = sqlite3.connect(database, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload TEXT NOT NULL)")
    store.execute("CREATE TABLE position (one INTEGER PRIMARY KEY, entry TEXT NOT NULL)")
    return store


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
