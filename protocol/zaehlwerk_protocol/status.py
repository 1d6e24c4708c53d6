"""Status, port 2: which epoch the totals are of, their full width at a named boundary, where unsynced intervals lie in time.

    [version, state, epoch, interval, anchor / null, mapping / null, ? health, ? notes, * extra]

Count frames carry only a generation and 16 bits of each total; a status frame is what anchors them.
"""

from . import VERSION, fields, varint
from .errors import FrameError
from .frame import MAX_PAYLOAD, Frame, close_array, within
from .health import Health

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOTAL = (1 << 35) - 1
"""The largest total at full width: five bytes of LEB128."""
MAX_INTERVAL_S = 86400
U32 = 0xFFFFFFFF


class Status(Frame):
    """One status, or a part of one: what is None is not said here, and what another frame said of it stays valid.

    version: of the protocol; another one than 1 is refused, because fixed positions may have moved
    state: its generation is the one of `epoch`, and UNSYNCED says which space the anchor's index is of
    epoch: 32 random bits that name this run of the totals; new when totals, channel map or interval change
    interval_s: length of an interval in seconds
    anchor: (index, totals per channel at full width at the end of that closed interval)
    mapping: (index in the unsynced space, Unix seconds at which that interval started)
    health: see health.py
    notes: (minutes, per channel (codes, percent)): what the sensors noted in so many minutes before it, see note_codes.py,
        and in what share of them, rounded up; channels at the end of which nothing was noted are left out
    extra: elements that this version does not know
    """

    PORT = 2
    FIELDS = ("version", "state", "epoch", "interval_s", "anchor", "mapping", "health", "notes", "extra")

    def __init__(
        self,
        version: int,
        state: int,
        epoch: int,
        interval_s: int,
        anchor: "tuple[int, Sequence[int]] | None" = None,
        mapping: "tuple[int, int] | None" = None,
        health: Health | None = None,
        notes: "tuple[int, Sequence[tuple[int, int]]] | None" = None,
        extra: "Sequence[object]" = (),
    ) -> None:
        self.version = version
        self.state = state
        self.epoch = epoch
        self.interval_s = interval_s
        self.anchor = None if anchor is None else (anchor[0], tuple(anchor[1]))
        self.mapping = None if mapping is None else (mapping[0], mapping[1])
        self.health = health
        self.notes = None if notes is None else (notes[0], tuple((item[0], item[1]) for item in notes[1]))
        self.extra = tuple(extra)

    def encode(self, limit: int = MAX_PAYLOAD) -> bytes:
        """Return the frame; FrameError if a field is out of range or it is longer than `limit` (then see `split`)."""
        anchor = None
        if self.anchor is not None:
            anchor = (
                fields.integer(self.anchor[0], 0, fields.MAX_INDEX, "status.anchor index"),
                _packed(self.anchor[1]),
            )
        mapping = None
        if self.mapping is not None:
            mapping = checked_mapping(self.mapping)
        required: list[object] = [
            checked_version(self.version),
            fields.state(self.state, "status"),
            fields.integer(self.epoch, 0, U32, "status.epoch"),
            fields.integer(self.interval_s, 1, MAX_INTERVAL_S, "status.interval_s"),
            anchor,
            mapping,
        ]
        check_channels(self.anchor, self.health)
        health = None if self.health is None else self.health.items()
        notes = None
        if self.notes is not None:
            # Mostly there are none: a node loads this when it has some.
            from .notes import packed

            notes = packed(*self.notes)
        return within(close_array("status", required, [health, notes], self.extra), limit, "status")

    @staticmethod
    def decode(data: bytes) -> "Status":
        """Return the frame in `data`; FrameError if it is none, or one of another version."""
        # A node writes such frames and reads none.
        from .status_reader import read

        return read(data)

    def split(self, limit: int) -> "list[Status]":
        """Return frames of at most `limit` bytes that together say what this one says, the anchor first.

        One frame if it fits; else each takes what it has room for, field by field. 51 B (DR0) are enough as long as no total
        has reached 2^28. Of a crash's text that fits no frame as much as fits is said. Raises FrameError where a single
        field fits none.
        """
        whole = Status(
            self.version, self.state, self.epoch, self.interval_s, None, None, None, None, self.extra
        )
        parts = [whole.part()]
        for field in ("anchor", "mapping", "extra"):
            if getattr(self, field):
                _add(parts, field, getattr(self, field), limit)
        if self.health is not None:
            for field in Health.FIELDS:
                value = getattr(self.health, field)
                if value is not None:
                    _add(parts, field, value, limit)
        if self.notes is not None:
            _add(parts, "notes", self.notes, limit)
        return parts

    def part(self) -> "Status":
        """Return a status of the same epoch that says nothing else yet."""
        return Status(self.version, self.state, self.epoch, self.interval_s)


def _add(parts: list[Status], field: str, value: object, limit: int) -> None:
    """Put one field into the last of `parts`, or into a new one if it no longer fits."""
    last = parts[-1]
    if _takes(last, field, value, limit):
        return
    fresh = last.part()
    if not _takes(fresh, field, value, limit):
        while field == "crash" and isinstance(value, bytes) and len(value) > 1:
            value = value[1:]
            if _takes(fresh, field, value, limit):
                break
        else:
            raise FrameError(f"status.{field}: fits no frame of {limit} bytes")
    if last == last.part():
        # Nothing was said in it yet.
        parts.pop()
    parts.append(fresh)


def _takes(status: Status, field: str, value: object, limit: int) -> bool:
    """Set the field if the frame still fits `limit` with it; say whether it did."""
    before = status.health
    if field in Health.FIELDS:
        health = Health()
        for name in Health.FIELDS:
            setattr(health, name, getattr(before, name) if before is not None else None)
        setattr(health, field, value)
        status.health = health
    else:
        setattr(status, field, value)
    if len(status.encode()) <= limit:
        return True
    if field in Health.FIELDS:
        status.health = before
    else:
        setattr(status, field, () if field == "extra" else None)
    return False


def checked_version(value: object) -> int:
    """Return `value`; FrameError if it is not the version that this codec knows."""
    if value != VERSION or type(value) is not int:
        raise FrameError(f"status.version: {value!r}, this reader knows version {VERSION}: update it")
    return value


def check_channels(anchor: "tuple[int, Sequence[int]] | None", health: Health | None) -> None:
    """Raise FrameError if a frame's totals are of another number of channels than its channel map."""
    if anchor is None or health is None or health.channels is None:
        return
    if len(anchor[1]) != len(health.channels):
        raise FrameError(
            f"status: totals of {len(anchor[1])} channels, but {len(health.channels)} in the channel map"
        )


def _packed(totals: tuple[int, ...]) -> bytes:
    if not 1 <= len(totals) <= fields.MAX_CHANNELS:
        raise FrameError(
            f"status.anchor totals: {len(totals)} channels, 1 to {fields.MAX_CHANNELS} are possible"
        )
    out = bytearray()
    for total in totals:
        varint.write(out, fields.integer(total, 0, MAX_TOTAL, "status.anchor totals"))
    return bytes(out)


def checked_mapping(value: "Sequence[object]") -> tuple[int, int]:
    """Return the pair; FrameError if a field is out of range."""
    return (
        fields.integer(value[0], 0, fields.MAX_INDEX, "status.mapping index"),
        fields.integer(value[1], 0, U32, "status.mapping seconds"),
    )
