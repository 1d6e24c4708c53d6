"""The recorded hour of a real ChirpStack, played to the network server: the same must come out."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest
from chirpstack_api import api
from google.protobuf import json_format

from tools.tests.network_server.replay import (
    DEV_EUI,
    OPENED_NS,
    Call,
    Player,
    Replay,
    lines,
    moment,
)
from tools.tests.network_server.virtual_device import VirtualDevice
from zaehlwerk_tools.network_server.scheduler import NS_PER_S

MS = 1_000_000
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
HASH_MAPS = ("tags", "context", "properties")
"""Objects whose order is left to chance in the real server."""


@pytest.fixture(scope="module", params=["RX1", "RX2"])
def window(request: pytest.FixtureRequest) -> str:
    """The receive window that the gateway takes; it refuses the other."""
    return str(request.param)


@pytest.fixture(scope="module")
def replay(window: str) -> Replay:
    return asyncio.run(Player(refuse_rx1=window == "RX2").play())


def recorded_items(stream: str) -> list[dict[str, Any]]:
    return [
        line for line in lines("stream_device_events.jsonl") if line["stream"] == stream and "item" in line
    ]


def without_times(value: Any) -> Any:
    """The same with each moment replaced by its format: `T` and its zone."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    if isinstance(value, str) and (match := RFC3339.fullmatch(value)):
        return f"T{match[2]}"
    return value


def order_of(value: Any) -> Any:
    """The names of all fields in their order."""
    if isinstance(value, dict):
        return [(key, None if key in HASH_MAPS else order_of(item)) for key, item in value.items()]
    return [order_of(item) for item in value] if isinstance(value, list) else None


def test_every_api_call_gets_the_recorded_answer(replay: Replay) -> None:
    assert len(replay.calls) == len(lines("grpc_calls.jsonl"))

    def outcome(call: Call) -> tuple[str, Any, Any]:
        return call.name, without_times(call.response), call.error

    expected = [
        (call.name, without_times(call.recorded.get("response")), call.recorded.get("error"))
        for call in replay.calls
    ]
    assert [outcome(call) for call in replay.calls] == expected


def test_every_stream_that_fails_ends_with_the_recorded_error(replay: Replay) -> None:
    expected = {e["stream"]: e["error"] for e in lines("stream_device_events.jsonl") if "error" in e}
    assert replay.errors == expected


@pytest.mark.parametrize("stream", ["live", "second connect (replay)", "after delete, admin key"])
def test_a_stream_yields_the_recorded_events(replay: Replay, window: str, stream: str) -> None:
    """Types, order, all fields with their types and presence, and all values but moments."""
    expected = [json_format.ParseDict(e["item"], api.LogItem()) for e in recorded_items(stream)]
    received = [item for _, item in replay.streams[stream]]
    assert [i.description for i in received] == [i.description for i in expected]
    for got, want in zip(received, expected, strict=True):
        body, wanted = json.loads(got.body), json.loads(want.body)
        if window == "RX2" and got.description == "txack":
            assert body["txInfo"]["frequency"] == 869525000
            body["txInfo"] = wanted["txInfo"]
        assert without_times(body) == without_times(wanted)
        assert order_of(body) == order_of(wanted)
        assert dict(got.properties) == dict(want.properties)


def test_events_carry_the_recorded_moments(replay: Replay) -> None:
    """Ids, item times and times in the body are the recorded ones to within the real server's jitter."""
    for (_, got), line in zip(replay.streams["live"], recorded_items("live"), strict=True):
        want = line["item"]
        assert abs(int(got.id.split("-")[0]) - int(want["id"].split("-")[0])) <= 25
        assert abs(got.time.ToNanoseconds() - moment(want["time"])) <= 25 * MS
        assert moment(json.loads(got.body)["time"]) == got.time.ToNanoseconds()


def test_items_come_at_the_recorded_polls(replay: Replay) -> None:
    """An item is seen at the stream's next second.

    The real poll drifts by some ms each second, this one does not: where an item falls between the two, the real server saw
    it one second earlier.
    """
    between = 0
    for (at_ns, got), line in zip(replay.streams["live"], recorded_items("live"), strict=True):
        recorded_ms = int(line["item"]["id"].split("-")[0]) + line["received_after_s"] * 1000
        drift_ms = 10 + 5 * (at_ns - OPENED_NS) / NS_PER_S
        late_ms = recorded_ms - at_ns / MS
        if -1000 <= late_ms <= -1000 + drift_ms:
            between += 1
        else:
            assert -10 <= late_ms <= drift_ms, got.id
    assert between <= 2


def test_a_replay_yields_ten_items_a_second(replay: Replay) -> None:
    """The recorded reconnects delivered ten items at once and eight one second later."""
    for name in ("second connect (replay)", "after delete, admin key"):
        at = [at_ns for at_ns, _ in replay.streams[name]]
        assert [(t - at[0]) / 1e9 for t in at] == [0.0] * 10 + [1.0] * 8
        first, eleventh = recorded_items(name)[0], recorded_items(name)[10]
        seen = [int(i["item"]["id"].split("-")[0]) / 1000 + i["received_after_s"] for i in (first, eleventh)]
        assert seen[1] - seen[0] == pytest.approx(1.0, abs=0.02)


def test_every_downlink_has_the_recorded_bytes(replay: Replay, window: str) -> None:
    """The join accept and all data downlinks, bit by bit, from the same gateway, in both windows."""
    sent = [line["decoded"] for line in lines("gateway.jsonl") if line["topic"].endswith("/down")]
    index = 0 if window == "RX1" else 1
    assert [(d.gateway_id, d.phy.hex()) for _, d in replay.downlinks] == [
        (frame["gatewayId"], base64.b64decode(frame["items"][index]["phyPayload"]).hex()) for frame in sent
    ]


def test_every_downlink_goes_out_as_recorded(replay: Replay, window: str) -> None:
    """Frequency, spreading factor, power and delay; handed over as long after the uplink as recorded."""
    index = 0 if window == "RX1" else 1
    steps = [s for s in lines("session.jsonl") if "down" in s]
    by_phy = {d.phy.hex(): (at_ns, d) for at_ns, d in replay.downlinks}
    uplinks = {
        f["decoded"]["rxInfo"]["uplinkId"]: f["decoded"]
        for f in lines("gateway.jsonl")
        if f["topic"].endswith("/up")
    }
    sent_at: dict[str, int] = {}
    for frame in uplinks.values():
        phy = base64.b64decode(frame["phyPayload"]).hex()
        sent_at.setdefault(phy, moment(frame["rxInfo"]["nsTime"]))
    # The join request and the confirmed uplink were sent twice; the first one was answered.
    for step in steps:
        down = step["down"]
        handed_over_ns, downlink = by_phy[down["phy"]]
        uplink_ns = sent_at[step["up"]]
        assert (downlink.frequency, downlink.sf, downlink.power) == (
            down["freq"][index],
            down["sf"][index],
            down["power"][index],
        )
        delay_s = int(down["timing"][index]["delay"]["delay"].removesuffix("s"))
        assert downlink.start_ns == uplink_ns + delay_s * 10**9
        assert downlink.bandwidth == 125_000
        if "late" not in step["step"]:
            assert (handed_over_ns - uplink_ns) / MS == pytest.approx(down["after_ms"], abs=15)


def test_a_device_of_its_own_reads_the_downlinks_as_recorded(replay: Replay) -> None:
    """Decrypted by the test's own device: FOpts, FPort, data and flags of each step."""
    device = VirtualDevice(dev_eui=DEV_EUI)
    frames = [d.phy for _, d in replay.downlinks]
    device.take_join_accept(frames[0])
    joined = next(s["joined"] for s in lines("session.jsonl") if "joined" in s)
    assert device.addr[::-1].hex() == joined["dev_addr"]
    assert device.accept[10] == joined["dl_settings"]
    assert device.accept[11] == joined["rx_delay"]
    assert device.accept[12:].hex() == joined["cflist"]
    read = {f.f_cnt: f for f in map(device.take_downlink, frames[1:])}
    for step in (s for s in lines("session.jsonl") if "downlink" in s):
        want = step["downlink"]
        got = read[want["fcnt"]]
        assert {
            "confirmed": got.confirmed,
            "fcnt": got.f_cnt,
            "ack": got.ack,
            "pending": got.pending,
            "fopts": got.f_opts.hex(),
            "f_port": got.f_port,
            "data": got.data.hex(),
        } == want, step["step"]
