"""What all frames share: an array with fixed positions that may grow at its end, equality and a readable form."""

from . import cbor
from .errors import FrameError

MAX_PAYLOAD = 242
"""The longest application payload of EU868 (RP002-1.0.4 section 2.4.6, DR4 to DR7); nothing longer is looked at."""


class Frame:
    """One frame. A subclass names its port and its attributes, in the order of its constructor."""

    PORT = 0
    FIELDS: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in self.FIELDS)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.FIELDS))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({shown})"


def close_array(
    name: str, required: list[object], optional: list[object], extra: tuple[object, ...]
) -> bytes:
    """Return the bytes of a frame, optional elements that are None left out where nothing follows them."""
    if extra and extra[-1] is None:
        raise FrameError(f"{name}.extra: ends with a null that says nothing")
    items = required + optional + list(extra)
    while len(items) > len(required) and items[-1] is None:
        items.pop()
    data = cbor.encode(items)
    if len(data) > MAX_PAYLOAD:
        raise FrameError(f"{name}: {len(data)} bytes, more than the {MAX_PAYLOAD} of the longest payload")
    return data


def within(data: bytes, limit: int, name: str) -> bytes:
    """Return `data`; FrameError if it is longer than `limit`, which is what the data rate has room for."""
    if len(data) > limit:
        raise FrameError(f"{name}: {len(data)} bytes, the limit is {limit}")
    return data
