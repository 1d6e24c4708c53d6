"""Which frames a request becomes, and what the node's answers to them say. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zaehlwerk_bridge.commands.life import Downlink
from zaehlwerk_bridge.commands.request import (
    ALARMS,
    MAX_INTERVALS,
    BackfillRequest,
    BackfillUnsyncedRequest,
    ClearAlarmRequest,
    GetConfigRequest,
    IdentifyRequest,
    RebootRequest,
    RejoinRequest,
    RepublishRequest,
    Request,
    SetConfigRequest,
    StatusRequest,
    TimeRequest,
    seconds,
)
from zaehlwerk_bridge.commands.setting_names import NAMES, named
from zaehlwerk_bridge.station import Station
from zaehlwerk_protocol import command
from zaehlwerk_protocol.answer import Answer
from zaehlwerk_protocol.receiver import MODULUS

FRAME_BYTES = 36
"""A frame of this size always goes out: the 51 bytes of EU868's DR0 (RP002-1.0.4, 2.4.6), less 15 of MAC commands."""
FRAME_BYTES_MOST = 51
"""A larger one would be thrown away at DR0; one above FRAME_BYTES may have to wait for a downlink without MAC commands."""
HASH_BYTES = 4
MAX_BACKFILLS = 8
"""Frames of one backfill command: more intervals than a node keeps."""
_SECRET = frozenset({"app_key", "nwk_key"})
SECRETS = _SECRET | {key for key, name in NAMES.items() if name in _SECRET}
"""Settings that never travel, by name and by key: neither to a node nor from it."""

Arguments = tuple[object, ...]


class Impossible(ValueError):
    """A request that cannot be made a command of this station; the text says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The frames of a command: kind and arguments of each."""

    kind: int
    frames: tuple[Arguments, ...]
    complete: bool = True
    one_answer: bool = False


def plan(request: Request, station: Station, interval_s: int | None, now_ns: int) -> Plan:
    """What to send for `request`. `interval_s`: length of the node's intervals, None: not known.

    Raises Impossible.
    """
    match request:
        case StatusRequest():
            made = Plan(command.STATUS, ((),))
        case BackfillRequest():
            made = Plan(command.BACKFILL, _backfill(request, interval_s, now_ns))
        case BackfillUnsyncedRequest():
            made = Plan(command.BACKFILL, ((1, request.first, request.count),))
        case SetConfigRequest():
            made = Plan(command.SET_CONFIG, _parts(request.settings), one_answer=True)
        case GetConfigRequest():
            made = Plan(command.GET_CONFIG, ((0,),), complete=False)
        case RebootRequest():
            made = Plan(command.REBOOT, ((),))
        case RejoinRequest():
            made = Plan(command.REJOIN, ((),))
        case IdentifyRequest():
            made = Plan(command.IDENTIFY, ((request.seconds,),))
        case TimeRequest():
            made = Plan(command.TIME, (() if request.hint is None else (seconds(request.hint),),))
        case ClearAlarmRequest():
            made = Plan(command.CLEAR_ALARM, ((ALARMS[request.alarm], _mask(request.channels, station)),))
        case RepublishRequest():
            raise Impossible("republish is no command to a node")
    return made


def frame(kind: int, arguments: Arguments, token: int) -> bytes:
    """The frame of a command. Raises Impossible if no node could understand it."""
    if not command.arguments_fit(kind, arguments):
        raise Impossible(f"arguments {arguments!r} do not fit the command")
    return command.Command(token, kind, arguments).encode()


def _backfill(request: BackfillRequest, interval_s: int | None, now_ns: int) -> tuple[Arguments, ...]:
    if interval_s is None:
        raise Impossible("the length of the node's intervals is not known before its first status frame")
    begin, end = seconds(request.begin), seconds(request.end)
    if begin >= end:
        raise Impossible("from must be before to")
    present = now_ns // 1_000_000_000
    if begin >= present:
        raise Impossible("from must be in the past")
    first, after = begin // interval_s, -(-min(end, present) // interval_s)
    if after - first > MAX_BACKFILLS * MAX_INTERVALS:
        raise Impossible(
            f"{after - first} intervals; at most {MAX_BACKFILLS * MAX_INTERVALS} can be asked for at once"
        )
    return tuple(
        (0, at % MODULUS, min(MAX_INTERVALS, after - at)) for at in range(first, after, MAX_INTERVALS)
    )


def _parts(settings: Mapping[str, Any]) -> tuple[Arguments, ...]:
    """The document in as many parts as it takes; larger parts only if it would not fit otherwise."""
    secret = sorted(SECRETS & set(settings))
    if secret:
        name = NAMES.get(secret[0], secret[0])
        raise Impossible(f"{name} never travels; it is set where the node is")
    try:
        text = json.dumps(
            settings, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        document = text.encode()
    except ValueError:
        raise Impossible("settings hold a number or a text that JSON cannot say") from None
    digest = hashlib.sha256(document).digest()[:HASH_BYTES]
    for most in range(FRAME_BYTES, FRAME_BYTES_MOST + 1):
        size = _piece_bytes(most)
        parts = -(-len(document) // size)
        if parts <= command.MAX_PARTS:
            return tuple(
                (part, parts, digest, document[part * size : (part + 1) * size]) for part in range(parts)
            )
    limit = command.MAX_PARTS * _piece_bytes(FRAME_BYTES_MOST)
    raise Impossible(f"settings of {len(document)} bytes; at most {limit} fit the frames")


def _piece_bytes(most: int) -> int:
    """Bytes of a document that fit a frame of `most` bytes, whatever its token and part."""
    last = command.MAX_PARTS - 1
    size = most
    while True:
        arguments = (last, command.MAX_PARTS, bytes(HASH_BYTES), bytes(size))
        if len(command.Command(command.MAX_TOKEN, command.SET_CONFIG, arguments).encode()) <= most:
            return size
        size -= 1


def _mask(channels: Sequence[str], station: Station) -> int:
    mask = 0
    names = [channel.name for channel in station.channels]
    for name in channels:
        if name not in names:
            raise Impossible(
                f"there is no such channel; the station has {', '.join(names) or 'none by name'}"
            )
        mask |= 1 << names.index(name)
    return mask


def further_parts(answer: Answer) -> int | None:
    """How many parts the node says its settings have; None: it does not say, or says nonsense."""
    parts = answer.data[0] if answer.data else None
    if type(parts) is not int or not 1 <= parts <= command.MAX_PARTS:
        return None
    return parts


def document(downlinks: Sequence[Downlink]) -> dict[str, Any]:
    """The settings that the answers to a get_config hold, by name; without those that are secret, whatever the node sent."""
    pieces = []
    for downlink in downlinks:
        answer = Answer.decode(downlink.data) if downlink.data is not None else None
        piece = answer.data[1] if answer is not None and len(answer.data) > 1 else None
        if not isinstance(piece, bytes):
            return {}
        pieces.append(piece)
    whole = b"".join(pieces)
    try:
        content = json.loads(whole)
    except (ValueError, RecursionError):
        return {"document": whole.hex()}
    if not isinstance(content, dict):
        return {"document": whole.hex()}
    return {"settings": named({name: value for name, value in content.items() if name not in SECRETS})}
