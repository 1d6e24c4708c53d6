"""What MQTT tells of a station: messages of the bridge and of ChirpStack, and `zaehlwerk monitor` at a broker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from referencing.jsonschema import DRAFT202012

from tools.tests.serial_board.conftest import ROOT
from tools.tests.technician.test_count_test import broker, url
from tools.tests.technician.test_unit import zaehlwerk
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.gateway_backend.addresses import mqtt_address
from zaehlwerk_tools.technician.broker_line import open_line
from zaehlwerk_tools.technician.node_state import ChannelState, lines_of
from zaehlwerk_tools.technician.station_news import StationNews
from zaehlwerk_tools.technician.troubles import Status

__all__ = ["broker"]

NOW = 1_781_769_600.0
RECEIVED = "2026-06-18T07:59:30Z"


def interval(end: str, count: int | None, quality: str = "ok") -> dict[str, Any]:
    return {
        "id": f"neutor.3f2a9c01.{end[11:13]}{end[14:16]}",
        "revision": 3,
        "start": end.replace(":00:00Z", ":45:00Z").replace("T08", "T07") if ":00:00Z" in end else end,
        "end": end,
        "clock": "utc",
        "resolution": "interval",
        "intervals": 1,
        "channels": [
            {
                "name": "stadteinwärts",
                "class": "bicycle",
                "direction": "in",
                "count": count,
                "total": 18249,
                "coverage": 1.0 if count is not None else 0.0,
                "quality": quality,
            }
        ],
    }


LAST = {"station": "neutor", "record": interval("2026-06-18T08:00:00Z", 14)}
STATUS = {
    "station": "neutor",
    "received": RECEIVED,
    "protocol": 1,
    "epoch": "3f2a9c01",
    "interval_s": 900,
    "clock": "utc",
    "fault": True,
    "low_battery": False,
    "tamper": False,
    "health": {
        "firmware": "0.1.0",
        "boots": 3,
        "reset_cause": 1,
        "crash": "uplinks: OSError: 5 @app/ring:7",
        "uptime_s": 86_400,
        "battery_mv": 3200,
        "temperature_c": 21.5,
        "clock_error_ms": 50,
        "config_hash": "01020304",
    },
}
ALARM = {
    "station": "neutor",
    "received": RECEIVED,
    "at": None,
    "kind": "low_battery",
    "raised": True,
    "channels": [],
    "value": 3200,
    "corridor": None,
    "works": None,
}
UP = {
    "time": "2026-06-18T08:00:00.5+00:00",
    "deviceInfo": {
        "deviceName": "Neutor",
        "devEui": "70b3d57ed0000001",
        "tags": {"station": "Neutor"},
    },
    "dr": 3,
    "fCnt": 41,
    "rxInfo": [
        {"gatewayId": "1", "rssi": -110, "snr": -5.5},
        {"gatewayId": "2", "rssi": -90, "snr": 4.2},
    ],
}
UP_TOPIC = "application/a/device/70b3d57ed0000001/event/up"


def heard(*messages: tuple[str, Any]) -> StationNews:
    news = StationNews("neutor", "zaehlwerk")
    for kind, document in messages:
        topic = kind if "/" in kind else f"zaehlwerk/v1/neutor/{kind}"
        assert news.take(topic, document, NOW)
    return news


@pytest.mark.parametrize(("name", "document"), [("last", LAST), ("status", STATUS), ("alarm", ALARM)])
def test_the_messages_here_are_of_the_bridges_schemas(name: str, document: dict[str, Any]) -> None:
    schemas = {
        path.name: json.loads(path.read_text()) for path in (ROOT / "bridge" / "schema").glob("*.json")
    }
    registry: Any = referencing.Registry().with_resources(
        (key, DRAFT202012.create_resource(schema)) for key, schema in schemas.items()
    )
    jsonschema.Draft202012Validator(schemas[f"{name}.json"], registry=registry).validate(document)


def test_the_newest_interval_is_shown_and_an_older_one_that_comes_late_is_not() -> None:
    late = {"station": "neutor", "records": [interval("2026-06-18T07:30:00Z", 99)], "supersedes": []}
    newer = {"station": "neutor", "records": [interval("2026-06-18T08:15:00Z", 7)], "supersedes": []}
    assert heard(("last", LAST), ("count", late)).state.channels == [
        ChannelState("stadteinwärts", 14, None, "ok")
    ]
    assert heard(("last", LAST), ("count", late), ("count", newer)).state.channels[0].count == 7


def test_a_channel_that_nobody_watched_has_no_count_and_says_so() -> None:
    unseen = interval("2026-06-18T08:00:00Z", None, "not_observed")
    news = heard(("last", {"station": "neutor", "record": unseen}))
    assert "–  not_observed" in "\n".join(lines_of(news.state, NOW))


def test_what_is_retained_is_no_sign_of_life() -> None:
    assert heard(("last", LAST)).state.heard_at is None
    assert heard(("status", STATUS)).state.heard_at == NOW


def test_status_and_alarms_tell_faults_and_the_end_of_an_alarm_takes_it_away() -> None:
    news = heard(("status", STATUS), ("alarm", ALARM))
    assert news.state.faults == [
        "alarm low battery",
        "status: the fault bit is set",
        "last crash: uplinks: OSError: 5 @app/ring:7",
    ]
    assert (news.state.battery_mv, news.state.firmware, news.state.clock_known) == (3200, "0.1.0", True)
    assert news.take("zaehlwerk/v1/neutor/alarm", {**ALARM, "raised": False}, NOW)
    assert "alarm low battery" not in news.state.faults


def test_what_sensors_noted_is_told_with_its_share_of_the_time() -> None:
    channels = [{"name": "stadteinwärts", "notes": ["merged", "no_signal"], "share": 0.04}]
    noted = {**STATUS, "fault": False, "notes": {"minutes": 90, "channels": channels}}
    told = heard(("status", noted)).state.faults
    assert told[-1] == "stadteinwärts noted: merged, no signal (4% of the time)"
    assert told[:-1] == heard(("status", {**STATUS, "fault": False, "notes": None})).state.faults
    assert told[:-1] == heard(("status", {**STATUS, "fault": False})).state.faults


def test_chirpstacks_own_events_tell_how_it_is_heard() -> None:
    state = heard((UP_TOPIC, UP)).state
    assert (state.joined, state.data_rate, state.rssi, state.snr, state.gateways) == (True, 3, -90, 4.2, 2)
    assert state.uplinks == 42
    told = "\n".join(lines_of(state, NOW + 60))
    assert "joined, last frame 60 s ago" in told
    assert "DR3, RSSI -90 dBm, SNR +4.2 dB, 2 gateways" in told


@pytest.mark.parametrize(
    ("topic", "document"),
    [
        (UP_TOPIC, {**UP, "deviceInfo": {"deviceName": "Hafenstraße", "tags": {}}}),
        ("zaehlwerk/v1/neutor/status", {**STATUS, "station": "other"}),
        ("zaehlwerk/v1/neutor/status", {"station": "neutor"}),
        ("zaehlwerk/v1/neutor/last", {"station": "neutor", "record": 7}),
        ("zaehlwerk/v1/neutor/last", [1]),
        (UP_TOPIC, {}),
    ],
)
def test_what_is_others_or_not_of_its_form_is_passed_over(topic: str, document: Any) -> None:
    news = StationNews("neutor", "zaehlwerk")
    before = news.state.document()
    assert not news.take(topic, document, NOW)
    assert news.state.document() == before


def test_a_state_of_which_nothing_is_known_and_one_of_which_all_is_fit_79_columns() -> None:
    bridge = ("zaehlwerk/v1/bridge/one/status", {"status": "stalled"})
    full = heard(bridge, ("last", LAST), ("status", STATUS), ("alarm", ALARM), (UP_TOPIC, UP)).state
    full.faults.append("x" * 200)
    for state in (StationNews("neutor", "zaehlwerk").state, full):
        assert max(map(len, lines_of(state, NOW))) <= 79
    assert "one is stalled" in "\n".join(lines_of(full, NOW))


async def test_the_command_tells_what_the_broker_has_kept(broker: BrokerProcess, tmp_path: Path) -> None:
    words = ("monitor", "Neutor", "--mqtt-url", url(broker), "--once", "--seconds", "1")
    nothing = await zaehlwerk(*words, cwd=tmp_path)
    assert nothing.status == Status.NO_BROKER
    assert "has nothing of the station neutor" in nothing.err

    def tell() -> None:
        with open_line(mqtt_address(url(broker))) as line:
            line._client.publish("zaehlwerk/v1/neutor/last", json.dumps(LAST), 1, retain=True)
            line.publish("marker", {})

    await asyncio.to_thread(tell)
    ended = await zaehlwerk(*words, cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    assert "stadteinwärts" in ended.out
    assert json.loads((await zaehlwerk(*words, "--json", cwd=tmp_path)).out)["channels"][0]["count"] == 14


async def test_a_wrong_address_is_told_in_one_sentence(tmp_path: Path) -> None:
    ended = await zaehlwerk("monitor", "Neutor", "--mqtt-url", "nonsense", "--once", cwd=tmp_path)
    assert ended.status == Status.REFUSED
    assert ended.err.count("\n") == 1
