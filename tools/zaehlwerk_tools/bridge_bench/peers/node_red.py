"""The peer `node-red`: Node-RED 4.1 (Apache-2.0), the graphical way to do it, from the npm registry when asked for.

One function node reads the stream through a consumer group and hands topic and payload, which stand ready in the
entries, to Node-RED's own MQTT node. It acknowledges what it has handed on, as such flows do: nothing of it is durable.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from zaehlwerk_tools.bridge_bench.offered import Entry
from zaehlwerk_tools.bridge_bench.peers.peer import Answers, Fields, PeerMissing, finished, run_fetcher
from zaehlwerk_tools.bridge_bench.redis_server import HOST, STREAM
from zaehlwerk_tools.plan import Broker

VERSION = "4.1"
REDIS_CLIENT = "ioredis@5"
READ_MOST = 200

_SETTINGS_JS = """\
module.exports = {
  uiHost: "127.0.0.1", uiPort: 0, httpAdminRoot: false, httpNodeRoot: false,
  flowFile: "flows.json", credentialSecret: false, functionExternalModules: false,
  functionGlobalContext: { Redis: require("ioredis"), end: process.exit },
  logging: { console: { level: "warn", metrics: false, audit: false } },
};
"""
_READ_JS = """\
const Redis = global.get("Redis");
const redis = new Redis(@port@, "@host@");
(async () => {
  await redis.xgroup("CREATE", "@stream@", "node-red", "0", "MKSTREAM");
  for (;;) {
    const found = await redis.xreadgroup(
      "GROUP", "node-red", "one", "COUNT", @most@, "BLOCK", 1000, "STREAMS", "@stream@", ">");
    for (const [, entries] of found || []) {
      for (const [, fields] of entries) {
        const at = {};
        for (let i = 0; i < fields.length; i += 2) at[fields[i]] = fields[i + 1];
        node.send({ topic: at.topic, payload: at.payload });
      }
      await redis.xack("@stream@", "node-red", ...entries.map((entry) => entry[0]));
    }
  }
})().catch((error) => { node.error(error); global.get("end")(1); });
"""


def fetch_node_red(checkout: Path) -> Path:
    """The folder with its modules, installed once into `.runtime/peers`. Raises PeerMissing."""
    if shutil.which("node") is None:
        raise PeerMissing("--peer node-red: it runs on Node.js, which is not installed")
    folder = checkout / ".runtime" / "peers" / f"node-red-{VERSION}"
    done = folder / "installed"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--omit=dev", "--omit=optional", "--no-audit", "--no-fund", "--prefix", str(folder)]
        run_fetcher("node-red", ["npm", "install", *options, f"node-red@{VERSION}", REDIS_CLIENT], folder, {})
        done.touch()
    return folder


class NodeRed:
    """Node-RED with the flow that is measured."""

    name = "node_red"

    def fields(self, entry: Entry, topic: str, payload: str) -> Fields:
        """The uplink, and the finished message beside it."""
        return finished(entry, topic, payload)

    def __init__(self, installed: Path) -> None:
        self._installed = installed

    def words(self, folder: Path, redis_port: int, broker: Broker, answers: Answers) -> list[str | Path]:
        """How it is started. Needs none of the `answers`: they stand in the stream."""
        del answers
        home = folder / "node-red"
        home.mkdir()
        modules = self._installed / "node_modules"
        (home / "node_modules").symlink_to(modules)
        (home / "settings.js").write_text(_SETTINGS_JS, encoding="utf-8")
        (home / "flows.json").write_text(json.dumps(self.flows(redis_port, broker)), encoding="utf-8")
        return ["node", modules / "node-red" / "red.js", "--userDir", home]

    def flows(self, redis_port: int, broker: Broker) -> list[dict[str, object]]:
        """The flow: a reader, and the MQTT node behind it."""
        read = _READ_JS.replace("@host@", HOST).replace("@port@", str(redis_port))
        read = read.replace("@stream@", STREAM).replace("@most@", str(READ_MOST))
        return [
            {"id": "tab", "type": "tab", "label": "counts"},
            {
                "id": "read",
                "type": "function",
                "z": "tab",
                "func": "return null;",
                "initialize": read,
                "outputs": 1,
                "wires": [["publish"]],
            },
            {
                "id": "publish",
                "type": "mqtt out",
                "z": "tab",
                "topic": "",
                "qos": "1",
                "retain": "false",
                "broker": "broker",
                "wires": [],
            },
            {
                "id": "broker",
                "type": "mqtt-broker",
                "broker": broker.host,
                "port": str(broker.port),
                "clientid": "node-red",
                "protocolVersion": "5",
                "keepalive": "60",
                "cleansession": True,
            },
        ]
