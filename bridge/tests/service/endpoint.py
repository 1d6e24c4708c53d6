"""Asking an HTTP endpoint, beside the event loop that it tells of."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from zaehlwerk_bridge.http_endpoints import HttpEndpoints
from zaehlwerk_bridge.metrics import registry
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import HttpSettings


@contextmanager
def endpoints(bridge: Bridge) -> Iterator[int]:
    """Serves what `bridge` tells; gives the port."""
    served = HttpEndpoints(HttpSettings(port=0), bridge.heartbeat.troubles, bridge.troubles, registry(bridge))
    with served:
        yield served.port


async def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body."""
    return await asyncio.to_thread(_get, port, path, method)


async def told(port: int, path: str) -> tuple[int, dict[str, object]]:
    """Status and what the JSON object says."""
    status, body = await get(port, path)
    return status, json.loads(body)


async def scraped(port: int) -> dict[tuple[str, str], float]:
    """Every sample by its name and the value of its label, as Prometheus reads it."""
    status, body = await get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def _get(port: int, path: str, method: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
