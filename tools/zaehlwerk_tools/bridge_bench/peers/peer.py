"""What the bench asks of a peer, and what all that are fetched have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from zaehlwerk_tools.bridge_bench.offered import Entry
from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.plan import Broker

if TYPE_CHECKING:
    from redis.typing import EncodableT, FieldT

FETCH_S = 1800.0
_REASON = 300

Answers = Mapping[str, tuple[str, str]]
"""By an entry's key: the topic and the payload that the bridge made of it."""


Fields = dict["FieldT", "EncodableT"]
"""Of an entry of Redis' stream."""


def finished(entry: Entry, topic: str, payload: str) -> Fields:
    """The uplink as ChirpStack writes it, and beside it the message: nothing of the uplink has to be read."""
    return {**unread(entry), "topic": topic, "payload": payload}


def unread(entry: Entry) -> Fields:
    """The uplink as ChirpStack writes it."""
    return {"up": entry.value}


class PeerMissing(ZaehlwerkError):
    """A peer that this machine cannot have; the text says why."""


class Peer(Protocol):
    """A program that reads the same Redis stream and publishes the same bytes."""

    name: str

    def fields(self, entry: Entry, topic: str, payload: str) -> Fields:
        """What of an entry it finds in the stream, where `topic` and `payload` are what the bridge made of it."""
        ...

    def words(self, folder: Path, redis_port: int, broker: Broker, answers: Answers) -> list[str | Path]:
        """How it is started. It makes a consumer group on the stream, and its files in `folder`."""
        ...


def run_fetcher(name: str, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Run a registry's own client in `folder`. Raises PeerMissing if it is not there, or fails."""
    program = shutil.which(words[0])
    if program is None:
        raise PeerMissing(f"--peer {name}: it is fetched by {words[0]}, which is not installed")
    try:
        done = subprocess.run(
            [program, *words[1:]],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=FETCH_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(
            f"--peer {name}: {words[0]} did not fetch it in {FETCH_S / 60:.0f} minutes"
        ) from None
    if done.returncode:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1][:_REASON] if lines else "it says nothing"
        raise PeerMissing(f"--peer {name}: {words[0]} cannot fetch it: {said}")
