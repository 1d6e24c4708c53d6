"""The bridge as the benches start it: its settings for one source and one broker, and what its metrics say."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

from zaehlwerk_tools.bridge_bench.contestant import Contestant
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.plan import Broker

PREFIX = "bench"
HOST = "127.0.0.1"
_PATIENCE_S = 30.0
_NOWHERE = f"{HOST}:1"

_BRIDGE_TOML = """\
id = "bench"
prefix = "{prefix}"
source = "{source}"
database = "bridge.sqlite"
[chirpstack]
server = "{chirpstack}"
tenants = ["52f14cd4-c6f1-4fbd-8f87-4025e1d49242"]
api_key_file = "api.key"
insecure = true
[redis]
server = "{redis}"
insecure = true
[mqtt]
host = "{host}"
port = {broker}
insecure = true
backoff_most_s = 2
[healing]
enabled = false
[http]
port = {http}
[store]
own_process = {own_process}
[log]
level = "warning"
"""


def bridge_contestant(
    folder: Path,
    broker: Broker,
    *,
    redis_port: int | None = None,
    grpc_port: int | None = None,
    http: int = 0,
    own_process: bool = True,
) -> Contestant:
    """Starts a bridge with its files in `folder`, from Redis or from gRPC. `http`: the port of its metrics, 0: none.
    `own_process`: whether its store has one."""
    (folder / "api.key").write_text("none is needed: nothing is sent to nodes\n", encoding="utf-8")
    config = folder / "bridge.toml"
    config.write_text(
        _BRIDGE_TOML.format(
            prefix=PREFIX,
            source="redis" if grpc_port is None else "grpc",
            chirpstack=_NOWHERE if grpc_port is None else f"{HOST}:{grpc_port}",
            redis=_NOWHERE if redis_port is None else f"{HOST}:{redis_port}",
            host=broker.host,
            broker=broker.port,
            http=http,
            own_process=str(own_process).lower(),
        ),
        encoding="utf-8",
    )
    words = [sys.executable, "-m", "zaehlwerk_bridge", "run", "--config", str(config)]
    return Contestant("the bridge", words, folder / "log")


def metric(port: int, sample: str) -> float | None:
    """The value of `sample`, name and labels as they stand in the text; None while the bridge serves no metrics.

    Raises ZaehlwerkError if the bridge serves them and has no such metric.
    """
    address = f"http://{HOST}:{port}/metrics"
    try:
        with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:
            text = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == sample:
            return float(value)
    raise ZaehlwerkError(f"the bridge has no metric {sample}")
