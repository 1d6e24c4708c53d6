"""The peer `benthos`: Benthos 4.27 (MIT), the predecessor of Redpanda Connect, built from the Go module when asked for.

It is started in several ways, each a contestant of its own. All read the stream through a consumer group, and none has a
ledger: the message that the bridge made of an uplink stands ready in the entry. With its sqlite buffer it is durable
whatever becomes of the source; without a buffer it acknowledges an entry to Redis after the PUBACK.
"""

from __future__ import annotations

import enum
import json
import shutil
from pathlib import Path

from chirpstack_api import integration
from google.protobuf.json_format import MessageToJson

from zaehlwerk_protocol import ports
from zaehlwerk_tools.bridge_bench.offered import Entry
from zaehlwerk_tools.bridge_bench.peers.peer import Answers, Fields, finished, run_fetcher
from zaehlwerk_tools.bridge_bench.peers.proto_files import write_proto_files
from zaehlwerk_tools.bridge_bench.redis_server import HOST, STREAM
from zaehlwerk_tools.plan import Broker

VERSION = "4.27.0"
IN_FLIGHT = 256
"""Messages that wait for their PUBACK, as many as the bridge's."""
READ_MOST = 200

_MODULE = "github.com/benthosdev/benthos/v4"
_PARQUET = "github.com/parquet-go/parquet-go v0.25.0"
"""Which comes along with protobuf; the version that Benthos names is refused by linkers since Go 1.23."""
_GO_MOD = f"""\
module peer

go 1.22

require (
	{_MODULE} v{VERSION}
	{_PARQUET}
)
"""
_MAIN = f"""\
// Benthos with those of its parts that are measured; its own main would bring a hundred databases and clouds.
package main

import (
	"context"

	_ "modernc.org/sqlite"

	_ "{_MODULE}/public/components/mqtt"
	_ "{_MODULE}/public/components/pure"
	_ "{_MODULE}/public/components/pure/extended"
	_ "{_MODULE}/public/components/redis"
	_ "{_MODULE}/public/components/sql/base"
	"{_MODULE}/public/service"
)

func main() {{ service.RunCLI(context.Background()) }}
"""


def fetch_benthos(checkout: Path) -> Path:
    """The program, built once into `.runtime/peers`. Raises PeerMissing."""
    folder = checkout / ".runtime" / "peers" / f"benthos-{VERSION}"
    program, source = folder / "benthos", folder / "main.go"
    if program.is_file() and source.is_file() and source.read_text(encoding="utf-8") == _MAIN:
        return program
    folder.mkdir(parents=True, exist_ok=True)
    program.unlink(missing_ok=True)  # of other parts
    (folder / "go.mod").write_text(_GO_MOD, encoding="utf-8")
    (folder / "go.sum").unlink(missing_ok=True)
    source.write_text(_MAIN, encoding="utf-8")
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


class Way(enum.Enum):
    """How it is started; the value is the contestant's name."""

    SQLITE = "benthos_sqlite"
    """With its buffer on the disk. The uplink is not read, the message stands beside it."""
    UNBUFFERED = "benthos_unbuffered"
    """Reads the uplink as ChirpStack writes it, protobuf, looks at its FPort, and publishes the message beside it."""
    JSON = "benthos_json"
    """Reads the uplink as JSON, as which no ChirpStack writes it into Redis, and maps what is decoded in it."""
    COPYING = "benthos_copying"
    """The uplink is not read: what is left is to carry a finished message from Redis to the broker."""


class Benthos:
    """Benthos, started in one of its ways."""

    def __init__(self, program: Path, way: Way) -> None:
        self.name = way.value
        self._program = program
        self._way = way

    def fields(self, entry: Entry, topic: str, payload: str) -> Fields:
        """The uplink and the finished message beside it; or the uplink as JSON, in which ChirpStack's codec would have
        put the message's content."""
        if self._way is not Way.JSON:
            return finished(entry, topic, payload)
        event = integration.UplinkEvent.FromString(entry.value)
        event.object.update({"topic": topic, "message": json.loads(payload)})
        return {"event": MessageToJson(event, indent=None)}

    def words(self, folder: Path, redis_port: int, broker: Broker, answers: Answers) -> list[str | Path]:
        """How it is started. Needs none of the `answers`: they stand in the stream."""
        del answers
        config = folder / "benthos.json"
        config.write_text(json.dumps(self.settings(folder, redis_port, broker)), encoding="utf-8")
        return [self._program, "--chilled", "-c", config]

    def settings(self, folder: Path, redis_port: int, broker: Broker) -> dict[str, object]:
        """Its configuration; JSON is YAML."""
        body, processors = self._reading(folder)
        settings: dict[str, object] = {
            "http": {"enabled": False},
            "logger": {"level": "WARN"},
            "input": {
                "redis_streams": {
                    "url": f"redis://{HOST}:{redis_port}",
                    "streams": [STREAM],
                    "body_key": body,
                    "consumer_group": "benthos",
                    "client_id": "one",
                    "limit": READ_MOST,
                    "create_streams": True,
                    "start_from_oldest": True,
                },
                "processors": processors,
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
        if self._way is Way.SQLITE:
            settings["buffer"] = {"sqlite": {"path": str(folder / "benthos.sqlite")}}
        return settings

    def _reading(self, folder: Path) -> tuple[str, list[dict[str, object]]]:
        """Which field of an entry is the message's body, and what is done with it."""
        if self._way is Way.JSON:
            return "event", [{"mapping": "meta topic = this.object.topic\nroot = this.object.message"}]
        if self._way is not Way.UNBUFFERED:
            return "payload", [{"mapping": "meta up = deleted()"}]  # which needs no place in the buffer
        descriptor = integration.UplinkEvent.DESCRIPTOR
        write_proto_files(descriptor.file, folder / "proto")
        read = {
            "operator": "to_json",
            "message": descriptor.full_name,
            "import_paths": [str(folder / "proto")],
        }
        told = f'root = if this.fPort == {ports.COUNTS} {{ meta("payload") }} else {{ deleted() }}'
        return "up", [{"protobuf": read}, {"mapping": f"{told}\nmeta payload = deleted()"}]
