"""A frame's bytes in words, for whoever looks into ChirpStack's event log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import cast

from zaehlwerk_protocol import alarm, answer, channel, command, state
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.frame import Frame
from zaehlwerk_protocol.frames import decode as decode_frame
from zaehlwerk_tools.errors import ZaehlwerkError

MAX_FPORT = 255
_SEPARATORS = str.maketrans("", "", " :\t\n_-")
_FLAGS = (
    (state.UNSYNCED, "clock unsynced"),
    (state.FAULT, "fault"),
    (state.LOW_BATTERY, "low battery"),
    (state.TAMPER, "tamper"),
)
_KNOWN_STATE = state.GENERATION | state.UNSYNCED | state.FAULT | state.LOW_BATTERY | state.TAMPER


def _named(module: ModuleType, *names: str) -> Callable[[object], str]:
    """What to say of a number that is one of the module's constants."""
    known = {getattr(module, name): name.lower().replace("_", " ") for name in names}
    return lambda value: known.get(cast(int, value), "of a later version")


def decoded(text: str, port: int, *, as_json: bool = False) -> str:
    """What the frame in hexadecimal `text` on FPort `port` says: a line per field, or one line of JSON.

    Raises ZaehlwerkError if it is no hexadecimal text or no frame of that port.
    """
    if not 0 <= port <= MAX_FPORT:
        raise ZaehlwerkError(f"--port {port}: an FPort is 0 to {MAX_FPORT}")
    plain = text.translate(_SEPARATORS)
    plain = plain[2:] if plain[:2] in {"0x", "0X"} else plain
    try:
        payload = bytes.fromhex(plain)
    except ValueError:
        raise ZaehlwerkError(f"'{text[:40]}' is not hexadecimal: expected pairs of 0-9 and a-f") from None
    try:
        frame = decode_frame(port, payload)
    except FrameError as error:
        raise ZaehlwerkError(f"not a frame of FPort {port}: {error}") from error
    fields = {"frame": type(frame).__name__.lower(), "port": port, "bytes": len(payload), **_fields(frame)}
    if as_json:
        return json.dumps(fields, ensure_ascii=False) + "\n"
    return "".join(f"{line}\n" for line in _lines(type(frame).__name__, fields, ""))


def _fields(frame: Frame) -> dict[str, object]:
    return {name: _plain(getattr(frame, name)) for name in frame.FIELDS}


def _plain(value: object) -> object:
    """`value` as JSON has it: bytes become hexadecimal text, frames inside a frame become tables."""
    if isinstance(value, bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _fields(value) if isinstance(value, Frame) else value


def _lines(kind: str, fields: dict[str, object], indent: str) -> Iterator[str]:
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        if isinstance(value, dict):
            yield f"{indent}{name}"
            yield from _lines(name.capitalize(), value, indent + "  ")
        else:
            words = _WORDS.get((kind, name))
            meant = f"  ({words(value)})" if words is not None and value is not None else ""
            yield f"{indent}{name:<{width}}  {_told(value)}{meant}"


def _told(value: object) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return " | ".join(_row(item) for item in value)
    return str(value)


def _row(item: object) -> str:
    return ", ".join(_told(part) for part in item) if isinstance(item, list) else _told(item)


def _state(value: object) -> str:
    bits = cast(int, value)
    flags = [words for bit, words in _FLAGS if bits & bit]
    if bits & ~_KNOWN_STATE:
        flags.append(f"bits of a later version: {bits & ~_KNOWN_STATE:#x}")
    return ", ".join((f"generation {bits & state.GENERATION}", *flags))


def _channels(value: object) -> str:
    pairs = cast("list[tuple[int, int]]", value)
    return ", ".join(f"{channel.class_name(kind)} {channel.direction_name(way)}" for kind, way in pairs)


def _version(value: object) -> str:
    number = cast(int, value)
    return f"{number >> 16}.{number >> 8 & 0xFF}.{number & 0xFF}"


_COMMAND = _named(
    command,
    *("SET_CONFIG", "GET_CONFIG", "BACKFILL", "STATUS", "REBOOT"),
    *("REJOIN", "IDENTIFY", "TIME", "CLEAR_ALARM"),
)
_RESULT = _named(answer, "OK", "UNKNOWN_KIND", "BAD_ARGS", "REFUSED", "NO_RECORD", "INCOMPLETE")
_ALARM = _named(alarm, "STUCK", "SILENT", "TAMPER", "LOW_BATTERY", "CLOCK_LOST", "CONGESTION")
_WORDS: dict[tuple[str, str], Callable[[object], str]] = {
    **{(kind, "state"): _state for kind in ("Counts", "Status", "Flow", "Backfill", "Alarm")},
    ("Health", "firmware"): _version,
    ("Health", "channels"): _channels,
    ("Alarm", "kind"): _ALARM,
    ("Answer", "kind"): _COMMAND,
    ("Answer", "result"): _RESULT,
    ("Command", "kind"): _COMMAND,
}
