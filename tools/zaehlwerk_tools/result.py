"""What a run of a simulated city brings home, and what it tells while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zaehlwerk_tools.records import Published


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands. Cheap to make: it is called for at most a few times a second."""

    virtual_ns: int  # UTC Unix nanoseconds of the city's clock
    intervals: int  # station x channel x quarter-hour that lie behind it
    uplinks_sent: int
    uplinks_lost: int
    published: int  # messages that the broker acknowledged
    phase: str = "run"  # "start", "run" or "settle"


@dataclass(frozen=True, slots=True)
class CityResult:
    """The end of a run. `records` is all that the comparison reads of it."""

    records: Sequence[Published]  # what the subscriber holds
    messages: int  # that the subscriber received
    redelivered: int  # records that it received again and did not count again
    uplinks_sent: int
    uplinks_lost: int  # that no gateway received
    count_frames: int
    count_payload_bytes: int  # application payload of all count frames together
    broker_dropped: int | None  # None: the broker does not tell
    wall_s: float
    virtual_s: float
    board_memory: int | None  # bytes, the largest board process at its peak; None: not measured
    run_memory: int | None  # bytes, all processes of the run at their peak; None: not measured
    settled: bool = True  # False: the ledger still waited for something after the last settling interval
    alarms: Sequence[str] = ()  # messages of the alarm topic, as JSON, in the order of arrival
    artifacts: Mapping[str, str] = field(
        default_factory=dict
    )  # file name -> text to keep, e.g. the ledger's dump
    fallbacks: Sequence[str] = ()  # what stood in for something that this machine lacks, in words
    broken_rules: Sequence[
        str
    ] = ()  # what the nodes did that LoRaWAN, the law or a radio chip's datasheet forbids
