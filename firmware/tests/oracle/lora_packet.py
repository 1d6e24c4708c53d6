"""npm's lora-packet, asked over a pipe: one Node.js for all questions. Written by others, in another
language."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
RUNTIME = HERE.parents[2] / ".runtime"
# A Node.js that finds the modules, and where it finds them: both made by the set-up.
NODE = RUNTIME / "bin" / "node"
MODULES = RUNTIME / "oracle" / "node_modules"

Job = Mapping[str, Any]


class Refused(Exception):
    """lora-packet would not read or make the frame; the text is its own."""


class LoraPacket:
    """Starts Node.js; a context that ends it. Raises FileNotFoundError without one.

    Frames and keys are bytes; addresses and counters are integers, counters of 32 bits; nonces and NetIDs are
    bytes as on the air.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [NODE, HERE / "frames.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)

    def ask(self, jobs: Iterable[Job]) -> list[dict[str, Any]]:
        """The answers to many questions, in their order; raises Refused for the first that has none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        jobs = list(jobs)
        self._process.stdin.write(json.dumps(jobs) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Refused("Node.js ended; its last words are on standard error")
        answers: list[dict[str, Any]] = json.loads(line)
        for job, answer in zip(jobs, answers, strict=True):
            if "error" in answer:
                raise Refused(f"{job['do']}: {answer['error']}")
        return answers

    def session_keys(
        self, app_key: bytes, net_id: bytes, join_nonce: bytes, dev_nonce: int
    ) -> tuple[bytes, bytes]:
        """(NwkSKey, AppSKey)."""
        (keys,) = self.ask(
            [
                {
                    "do": "sessionKeys",
                    "appKey": app_key.hex(),
                    "netId": net_id.hex(),
                    "joinNonce": join_nonce.hex(),
                    "devNonce": dev_nonce,
                }
            ]
        )
        return bytes.fromhex(keys["nwkSKey"]), bytes.fromhex(keys["appSKey"])

    def make(self, jobs: Iterable[Job]) -> list[bytes]:
        """The frames that `server.recipe_of` and `server.accept_recipe_of` describe."""
        return [bytes.fromhex(answer["phy"]) for answer in self.ask(jobs)]
