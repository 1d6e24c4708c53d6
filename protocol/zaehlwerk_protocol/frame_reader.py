"""The reading half of `frame`."""

from . import cbor
from .errors import FrameError
from .frame import MAX_PAYLOAD


def open_array(
    data: bytes, name: str, required: int, optional: int, longest: int = MAX_PAYLOAD
) -> tuple[list[object], tuple[object, ...]]:
    """Return a frame's known elements (those left out as None) and the unknown ones after them.

    Raises FrameError, naming the frame, unless `data` is one array of at most `longest` bytes and at least `required`
    elements whose optional part does not end with a null (leaving it out says the same in fewer bytes).
    """
    if len(data) > longest:
        raise FrameError(f"{name}: {len(data)} bytes, more than the {longest} of the longest one")
    try:
        items = cbor.decode(data)
    except FrameError as error:
        raise FrameError(f"{name}: {error}")
    if not isinstance(items, tuple):
        raise FrameError(f"{name}: not an array")
    if len(items) < required:
        raise FrameError(f"{name}: {len(items)} elements, {required} are needed")
    if len(items) > required and items[-1] is None:
        raise FrameError(f"{name}: ends with a null that says nothing")
    known = list(items[: required + optional])
    while len(known) < required + optional:
        known.append(None)
    return known, items[required + optional :]


def array(value: object, length: int, where: str) -> tuple[object, ...]:
    """Return `value` if it is an array of `length` elements, else raise FrameError."""
    if isinstance(value, tuple) and len(value) == length:
        return value
    raise FrameError(f"{where}: {value!r} is no array of {length}")
