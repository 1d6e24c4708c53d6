"""The peer `benthos`: Benthos 4.27 (MIT), the predecessor of Redpanda Connect, built from the Go module when asked for.

It is started in two ways, each a contestant of its own: with its sqlite buffer, as it is durable whatever becomes of the
source; and without a buffer, where it acknowledges an entry to Redis after the PUBACK. It reads the stream through a
consumer group. Topic and payload stand ready in the entries, beside the uplink: it needs no ledger and decodes nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from zaehlwerk_tools.bridge_bench.peers.peer import Answers, run_fetcher
from zaehlwerk_tools.bridge_bench.redis_server import HOST, STREAM
from zaehlwerk_tools.plan import Broker

VERSION = "4.27.0"
IN_FLIGHT = 256
"""Messages that wait for their PUBACK, as many as the bridge's."""
READ_MOST = 200

_MODULE = "github.com/benthosdev/benthos/v4"
_GO_MOD = f"""\
module peer

go 1.21

require {_MODULE} v{VERSION}
"""
_MAIN = f"""\
// Benthos with those of its parts that are measured; its own main would bring a hundred databases and clouds.
package main

import (
	"context"

	_ "modernc.org/sqlite"

	_ "{_MODULE}/public/components/mqtt"
	_ "{_MODULE}/public/components/pure"
	_ "{_MODULE}/public/components/redis"
	_ "{_MODULE}/public/components/sql/base"
	"{_MODULE}/public/service"
)

func main() {{ service.RunCLI(context.Background()) }}
"""


def fetch_benthos(checkout: Path) -> Path:
    """The program, built once into `.runtime/peers`. Raises PeerMissing."""
    folder = checkout / ".runtime" / "peers" / f"benthos-{VERSION}"
    program = folder / "benthos"
    if program.is_file():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(_GO_MOD, encoding="utf-8")
    (folder / "main.go").write_text(_MAIN, encoding="utf-8")
    modules = folder / "modules"
    environment = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod -modcacherw",  # what is read-only could not be removed
        "GOMODCACHE": str(modules),
    }
    made = folder / "benthos.new"
    run_fetcher("benthos", ["go", "build", "-o", str(made), "."], folder, environment)
    made.replace(program)
    shutil.rmtree(modules, ignore_errors=True)  # 900 MB that only the build needed
    return program


class Benthos:
    """One of its two ways; `sqlite`: with its buffer."""

    told_answers = True

    def __init__(self, program: Path, *, sqlite: bool) -> None:
        self.name = "benthos_sqlite" if sqlite else "benthos_unbuffered"
        self._program = program
        self._sqlite = sqlite

    def words(self, folder: Path, redis_port: int, broker: Broker, answers: Answers) -> list[str | Path]:
        """How it is started. Needs none of the `answers`: they stand in the stream."""
        del answers
        config = folder / "benthos.json"
        config.write_text(json.dumps(self.settings(folder, redis_port, broker)), encoding="utf-8")
        return [self._program, "--chilled", "-c", config]

    def settings(self, folder: Path, redis_port: int, broker: Broker) -> dict[str, object]:
        """Its configuration; JSON is YAML."""
        settings: dict[str, object] = {
            "http": {"enabled": False},
            "logger": {"level": "WARN"},
            "input": {
                "redis_streams": {
                    "url": f"redis://{HOST}:{redis_port}",
                    "streams": [STREAM],
                    "body_key": "payload",
                    "consumer_group": "benthos",
                    "client_id": "one",
                    "limit": READ_MOST,
                    "create_streams": True,
                    "start_from_oldest": True,
                },
                # The uplink itself needs no place in the buffer.
                "processors": [{"mapping": "meta up = deleted()"}],
            },
            "output": {
                "mqtt": {
                    "urls": [f"tcp://{broker.host}:{broker.port}"],
                    "client_id": "benthos",
                    "topic": '${! meta("topic") }',
                    "qos": 1,
                    "max_in_flight": IN_FLIGHT,
                    "write_timeout": "30s",
                }
            },
        }
        if self._sqlite:
            settings["buffer"] = {"sqlite": {"path": str(folder / "benthos.sqlite")}}
        return settings
