"""How fast the store takes events: `python -m zaehlwerk_bridge.ledger.bench` prints one JSON line."""

import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from zaehlwerk_bridge.event import Event
from zaehlwerk_bridge.store import Store
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.status import Status

STATIONS = 25
INTERVALS = 672
"""A week of quarter hours."""
LOSS = 0.1
CHANNELS = 2
INTERVAL_S = 900
SLOT = 1_980_000
NS = 1_000_000_000


def events(dice: random.Random) -> list[Event]:
    """What a server receives of so many stations in so many intervals, in order of time."""
    found = [event for station in range(STATIONS) for event in _station(station, dice)]
    return sorted(found, key=lambda event: event.received_ns)


def _station(station: int, dice: random.Random) -> list[Event]:
    totals = [dice.randrange(100_000) for _ in range(CHANNELS)]
    history: list[tuple[int, ...]] = []
    tags = {"station": f"Station {station}", "channels": "a,b", "classes": "bicycle", "directions": "in,out"}
    found = []
    for number in range(SLOT, SLOT + INTERVALS):
        received_ns = (number + 1) * INTERVAL_S * NS + dice.randrange(INTERVAL_S * NS)
        frames: list[Counts | Status] = []
        counts = tuple(dice.randrange(60) for _ in range(CHANNELS))
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        if (number - SLOT) % 96 == 0:
            frames.append(Status(1, 0, station, INTERVAL_S, (number % 65_536, totals)))
        if dice.random() >= LOSS:
            frames.append(Counts(number % 65_536, 0, [total % 65_536 for total in totals], history[:2]))
        history.insert(0, counts)
        for frame in frames:
            about = f"{received_ns // 1_000_000}-{frame.PORT}"
            found.append(
                Event(
                    "grpc",
                    f"{station:016x}",
                    "up",
                    f"{station}/{about}",
                    about,
                    received_ns,
                    frame.PORT,
                    number,
                    frame.encode(),
                    f"node-{station}",
                    tags,
                )
            )
    return found


def speed(given: Sequence[Event], batch: int) -> float:
    """Events a second, in commits of `batch`, with the messages acknowledged as they come and gaps settled."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "bridge.db")
        began = time.perf_counter()
        for at in range(0, len(given), batch):
            now_ns = given[min(at + batch, len(given)) - 1].received_ns
            due_ns = store.next_deadline_ns()
            if due_ns is not None and due_ns <= now_ns:
                store.settle(now_ns)
            done = store.commit(given[at : at + batch], now_ns)
            store.acknowledged(done.seqs)
        took = time.perf_counter() - began
        store.close()
    return len(given) / took


def main() -> None:
    """Measure and print."""
    given = events(random.Random(1))  # noqa: S311 - dice, no secret
    result: dict[str, object] = {
        "events": len(given),
        "stations": STATIONS,
        "intervals": INTERVALS,
        "loss": LOSS,
    }
    for batch in (1, 100):
        result[f"events_per_s_batch_{batch}"] = round(speed(given, batch))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
