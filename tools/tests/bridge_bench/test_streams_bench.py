"""The bench of streams: its gRPC server, and a small fleet with real programs."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from chirpstack_api import api

from zaehlwerk_tools.bridge_bench import command
from zaehlwerk_tools.bridge_bench.offered import Offer, dev_eui
from zaehlwerk_tools.bridge_bench.stream_process import StreamProcess
from zaehlwerk_tools.bridge_bench.streams import bench_streams
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.streaming_server import APPLICATION

NOW_S = 1_782_000_450
DEADLINE_S = 30.0


def test_the_server_lists_its_devices_page_by_page(tmp_path: Path) -> None:
    with StreamProcess(5, tmp_path) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        devices = api.DeviceServiceStub(channel)  # type: ignore[no-untyped-call]
        found = []
        for offset in (0, 3):
            asked = api.ListDevicesRequest(limit=3, offset=offset, application_id=APPLICATION)
            answer = devices.List(asked, timeout=DEADLINE_S)
            assert answer.total_count == 5
            found += [device.dev_eui for device in answer.result]
    assert found == [dev_eui(number) for number in range(5)]


def test_a_stream_gets_the_history_and_then_what_comes_each_in_order(tmp_path: Path) -> None:
    offer = Offer(4, NOW_S, stations=1)
    old, *new = [*offer.greetings(), *offer.counts()]
    with StreamProcess(1, tmp_path) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        server.write([old])
        streams = api.InternalServiceStub(channel)  # type: ignore[no-untyped-call]
        asked = api.StreamDeviceEventsRequest(dev_eui=dev_eui(0))
        stream = streams.StreamDeviceEvents(asked, timeout=DEADLINE_S)
        assert next(stream).id == old.id
        how = server.how()
        assert (how.open, how.opened, how.connections, how.most_on_one) == (1, 1, 1, 1)
        server.write(new)
        assert [next(stream).id for _ in new] == [entry.id for entry in new]
        stream.cancel()


@pytest.mark.timeout(180)
def test_a_fleet_opens_its_streams_and_an_event_of_each_device_arrives() -> None:
    told: set[str] = set()
    figures = bench_streams(120, 0, lambda what, _done, _all: told.add(what))
    assert (figures["streams"], figures["asked"], figures["lost"], figures["opened_again"]) == (
        120,
        120,
        0,
        0,
    )
    assert figures["connections"] == 2, "a hundred streams on a connection"
    assert figures["most_on_one"] == 100
    assert 0 < figures["rss_open_mb"] <= figures["rss_mb"]  # type: ignore[operator]
    assert told == {"opening", "histories", "events"}


def test_a_fleet_of_none_is_refused() -> None:
    with pytest.raises(ZaehlwerkError, match="--devices 0: one at least"):
        command.run_streams(0, 0, as_json=True)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_streams_take_at_most_400_mb() -> None:
    figures = bench_streams(10_000, 0, lambda *_: None)
    assert (figures["streams"], figures["lost"], figures["opened_again"]) == (10_000, 0, 0)
    assert figures["rss_open_mb"] <= 400  # type: ignore[operator]
