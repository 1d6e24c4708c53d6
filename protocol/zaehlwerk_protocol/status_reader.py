"""The reading half of `status` and `health`."""

from . import fields
from .errors import FrameError
from .frame import MAX_PAYLOAD
from .frame_reader import array, open_array
from .health import Health, checked
from .notes import MAX_NOTED, check
from .status import (
    MAX_INTERVAL_S,
    MAX_TOTAL,
    U32,
    Status,
    check_channels,
    checked_mapping,
    checked_version,
)
from .varint_reader import read_all


def read(data: bytes) -> Status:
    """Return the frame in `data`; FrameError if it is none, or one of another version."""
    known, extra = open_array(data, "status", 6, 2)
    version = checked_version(known[0])
    anchor = None
    if known[4] is not None:
        index, packed = array(known[4], 2, "status.anchor")
        totals = read_all(
            fields.byte_string(packed, 1, MAX_PAYLOAD, "status.anchor totals"),
            MAX_TOTAL,
            "status.anchor totals",
        )
        if len(totals) > fields.MAX_CHANNELS:
            raise FrameError(
                f"status.anchor totals: {len(totals)} channels, 1 to {fields.MAX_CHANNELS} are possible"
            )
        anchor = (fields.integer(index, 0, fields.MAX_INDEX, "status.anchor index"), totals)
    mapping = None if known[5] is None else checked_mapping(array(known[5], 2, "status.mapping"))
    health = None if known[6] is None else _health(known[6])
    check_channels(anchor, health)
    return Status(
        version,
        fields.state(known[1], "status"),
        fields.integer(known[2], 0, U32, "status.epoch"),
        fields.integer(known[3], 1, MAX_INTERVAL_S, "status.interval_s"),
        anchor,
        mapping,
        health,
        None if known[7] is None else _notes(known[7]),
        extra,
    )


def _notes(value: object) -> tuple[int, list[tuple[int, int]]]:
    packed = fields.byte_string(value, 1, MAX_PAYLOAD, "status.notes")
    minutes, *numbers = read_all(packed, MAX_NOTED, "status.notes")
    if len(numbers) % 2:
        raise FrameError(f"status.notes: {len(numbers)} numbers of channels are no pairs")
    channels = [(numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2)]
    check(minutes, channels)
    return minutes, channels


def _health(value: object) -> Health:
    items = list(checked(array(value, len(Health.FIELDS), "health")))
    packed = items[9]
    if isinstance(packed, bytes):
        items[9] = [(byte >> 4, byte & 15) for byte in packed]
    return Health(*items)  # type: ignore[arg-type]  # `checked` has looked at every type
