"""`zaehlwerk bench streams`: how long the bridge takes to open a stream for each device of a fleet, and its memory."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from zaehlwerk_tools.bridge_bench.bridge_process import PREFIX, bridge_contestant, metric
from zaehlwerk_tools.bridge_bench.contestant import Contestant
from zaehlwerk_tools.bridge_bench.offered import Offer
from zaehlwerk_tools.bridge_bench.stream_process import How, StreamProcess
from zaehlwerk_tools.bridge_bench.taker import Taker, lost
from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.free_port import free_port

OPEN_METRIC = 'zaehlwerk_bridge_source_streams{state="open"}'
STILL_S = 60.0
"""No stream was opened for so long: the others will not be."""
_LOOK_S = 0.5

Tell = Callable[[str, int, int], None]
"""(what is being done, done of it, all of it)"""


def bench_streams(devices: int, limit: int, tell: Tell) -> dict[str, object]:
    """A bridge's first start with a fleet of `devices`, each of which has a status frame in its history; then an event of
    each. `limit`: streams that the server lets through on one connection, 0: any number.

    Raises ZaehlwerkError for what cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-bench-") as name:
        return asyncio.run(_streams(Path(name), devices, limit, tell))


async def _streams(folder: Path, devices: int, limit: int, tell: Tell) -> dict[str, object]:
    offer = Offer(devices, int(time.time()), stations=devices)
    async with await BrokerProcess.start(folder) as broker:
        with StreamProcess(devices, folder, streams=limit) as server:
            server.write(offer.greetings())
            taker = Taker(broker.address, PREFIX)
            try:
                http = free_port()
                began = time.monotonic()
                # The setting for so many: what they send at once is little, and memory what they take.
                contestant = bridge_contestant(
                    folder, broker.address, grpc_port=server.port, http=http, own_process=False
                )
                with contestant as bridge:
                    how = _opened(server, bridge, http, devices, tell)
                    seconds = how.last_opened_s - began
                    rss_open_mb = bridge.rss_mb
                    taker.wait(devices, lambda done: tell("histories", done, devices), bridge.check)
                    if len(taker.messages) < devices:
                        raise ZaehlwerkError(f"of {devices} histories {len(taker.messages)} came through")
                    bridge.settled()
                    taker.messages.clear()  # what was counted before the first totals
                    counts = list(offer.counts())
                    began = time.monotonic()
                    server.write(counts)
                    taker.wait(len(counts), lambda done: tell("events", done, devices), bridge.check)
                    events_s = max((one.at for one in taker.messages), default=began) - began
                    rss_mb, cpu_s = bridge.rss_mb, bridge.cpu_s
                    how = server.how()
            finally:
                taker.close()
    return {
        "streams": how.open,
        "asked": devices,
        "seconds": round(seconds, 1),
        "rss_open_mb": rss_open_mb,
        "rss_mb": rss_mb,
        "connections": how.connections,
        "most_on_one": how.most_on_one,
        "opened_again": how.opened - how.open,
        "events": devices,
        "lost": lost(counts, taker.messages),
        "events_s": round(events_s, 1),
        "cpu_s": round(cpu_s, 1),
    }


def _opened(server: StreamProcess, bridge: Contestant, http: int, devices: int, tell: Tell) -> How:
    """Wait until server and bridge both say that all streams are open; what the server says then."""
    most, moved = -1, time.monotonic()
    while True:
        bridge.check()
        how = server.how()
        tell("opening", how.open, devices)
        if how.open == devices and metric(http, OPEN_METRIC) == devices:
            return how
        if how.open > most:
            most, moved = how.open, time.monotonic()
        elif time.monotonic() - moved > STILL_S:
            raise ZaehlwerkError(
                f"{how.open} of {devices} streams are open, and none more in {STILL_S:.0f} s; the bridge says"
                f" {metric(http, OPEN_METRIC)}"
            )
        time.sleep(_LOOK_S)
