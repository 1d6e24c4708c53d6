"""The peer `naive`, which is our own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from zaehlwerk_tools.bridge_bench.offered import Entry
from zaehlwerk_tools.bridge_bench.peers.peer import Answers, Fields, unread
from zaehlwerk_tools.plan import Broker


class Naive:
    """What `naive` says of itself; it looks the answers up."""

    name = "naive"

    def fields(self, entry: Entry, topic: str, payload: str) -> Fields:
        """The uplink alone."""
        del topic, payload
        return unread(entry)

    def words(self, folder: Path, redis_port: int, broker: Broker, answers: Answers) -> list[str | Path]:
        """How it is started."""
        known = folder / "answers.json"
        known.write_text(json.dumps(dict(answers)), encoding="utf-8")
        module = "zaehlwerk_tools.bridge_bench.naive"
        return [
            sys.executable,
            "-m",
            module,
            str(redis_port),
            str(broker.port),
            known,
            folder / "naive.sqlite",
        ]
