"""What the platform is told of commands: the contents of messages on the topic `result`. Pure."""

from collections.abc import Mapping
from typing import Any

from zaehlwerk_bridge.commands.entry_table import Entry
from zaehlwerk_bridge.commands.life import Fate, Stage
from zaehlwerk_bridge.commands.planning import document
from zaehlwerk_bridge.reports import RESULTS, utc
from zaehlwerk_protocol import command
from zaehlwerk_protocol.answer import BAD_ARGS, INCOMPLETE, OK, Answer

Content = dict[str, Any]

NAMES = {
    command.SET_CONFIG: "set_config",
    command.GET_CONFIG: "get_config",
    command.BACKFILL: "backfill",
    command.STATUS: "status",
    command.REBOOT: "reboot",
    command.REJOIN: "rejoin",
    command.IDENTIFY: "identify",
    command.TIME: "time",
    command.CLEAR_ALARM: "clear_alarm",
}
_HEARD = (Stage.SENT, Stage.ACKNOWLEDGED, Stage.GIVEN_UP)


def result(entry: Entry) -> Content:
    """The present fate of a command."""
    life = entry.life
    return _content(
        entry.id,
        entry.kind,
        "bridge" if entry.own else "platform",
        life.fate,
        entry.fate_ns,
        life.reason,
        expires=utc(life.expires_ns),
        frames={
            "all": len(life.downlinks),
            "sent": sum(downlink.stage in _HEARD for downlink in life.downlinks),
            "acknowledged": sum(downlink.stage is Stage.ACKNOWLEDGED for downlink in life.downlinks),
        },
        answer=entry.answer,
    )


def refusal(identity: str, reason: str, now_ns: int) -> Content:
    """A message that became no command; `identity` empty: it did not say which it was."""
    return _content(identity or None, None, "platform", Fate.REFUSED, now_ns, reason)


def foreign(answer: Answer, received_ns: int) -> Content:
    """The answer to a command that somebody else sent."""
    told = {"received": utc(received_ns), **_answer(answer)}
    return _content(None, _name(answer.kind), "other", Fate.ANSWERED, received_ns, "", answer=told)


def answer_of(entry: Entry, received_ns: int) -> Content:
    """What the answers to an answered command say together."""
    answers = [Answer.decode(downlink.data) for downlink in entry.life.downlinks if downlink.data is not None]
    telling = next((one for one in answers if one.result not in (OK, INCOMPLETE)), None)
    if telling is None:
        telling = next((one for one in answers if one.result == OK), answers[-1])
    told = {"received": utc(received_ns), **_answer(telling)}
    if telling.kind == command.GET_CONFIG and telling.result == OK:
        told.pop("data", None)
        told |= document(entry.life.downlinks)
    return told


def _answer(answer: Answer) -> Content:
    content: Content = {
        "token": answer.token,
        "result": RESULTS.get(answer.result, str(answer.result)),
    }
    why = _reason(answer)
    if why is not None:
        content["reason"] = why
    elif answer.data and answer.kind != command.GET_CONFIG:
        content["data"] = [_plain(value) for value in answer.data]
    return content


def _reason(answer: Answer) -> str | None:
    """What a node says is wrong with arguments (firmware/README.md, Commands); None: it does not say, or says something else."""
    said = answer.data[0] if len(answer.data) == 1 else None
    if answer.result != BAD_ARGS or not isinstance(said, bytes) or not said:
        return None
    # The frame's end may have cut a letter of several bytes.
    return said.decode("utf-8", "ignore") or None


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _name(kind: int) -> str:
    return NAMES.get(kind, str(kind))


def _content(
    identity: str | None,
    kind: str | None,
    by: str,
    fate: Fate,
    at_ns: int,
    reason: str,
    *,
    expires: str | None = None,
    frames: Mapping[str, int] | None = None,
    answer: Mapping[str, Any] | None = None,
) -> Content:
    return {
        "id": identity,
        "command": kind,
        "by": by,
        "fate": str(fate),
        "time": utc(at_ns),
        "reason": reason or None,
        "expires": expires,
        "frames": None if frames is None else dict(frames),
        "answer": None if answer is None else dict(answer),
    }
