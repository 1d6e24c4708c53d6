"""Commands from the platform: read, remembered by their token before they are acted on, answered.

The session's downlink counter was stored before a command comes here. So neither a repeated frame nor a restart lets a
command be done twice: a reboot cannot loop.
"""

import asyncio

from zaehlwerk_protocol import answer, command
from zaehlwerk_protocol.errors import FrameError


def handle(node, uplinks, payload):
    """Act on a command frame and queue its answer. A frame that cannot be read is counted and dropped.

    Of a command about the settings only (what to do, token, kind, arguments) is returned: see `asked`.
    """
    try:
        asked = command.Command.decode(payload)
    except FrameError as error:
        node.note("command refused: %s" % error)
        return None
    known = [entry for entry in node.epoch.tokens if entry[0] == asked.token]
    # To tell the settings again does nothing, and the answer of before is not stored.
    if known and not known[0][1] == asked.kind == command.GET_CONFIG:
        _answer(uplinks, *known[0])
        return None
    if asked.kind in _ABOUT_SETTINGS and command.arguments_fit(asked.kind, asked.args):
        return _ABOUT_SETTINGS[asked.kind], asked.token, asked.kind, asked.args
    result, act, then = _judge(node, uplinks, asked)
    node.epoch.add_token(asked.token, asked.kind & 0xFF, result)
    if act is not None:
        act()
    if asked.kind not in _ANSWERED_BY_ITSELF or result != answer.OK:
        _answer(uplinks, asked.token, asked.kind, result, (), then)
    return None


def finish(node, uplinks, token, kind, outcome):
    """Answer a command about the settings. outcome: (name of the result, data, whether a restart follows)."""
    name, data, restarts = outcome
    result = getattr(answer, name)
    if token not in [entry[0] for entry in node.epoch.tokens]:
        node.epoch.add_token(token, kind, result)
    _answer(uplinks, token, kind, result, data, node.restart if restarts else None)


# What follows is the answer.
_ANSWERED_BY_ITSELF = (command.STATUS, command.BACKFILL)
_ABOUT_SETTINGS = {command.GET_CONFIG: "piece", command.SET_CONFIG: "part"}


def _answer(uplinks, token, kind, result, data=(), then=None):
    frame = answer.Answer(token, kind, result, data).encode()
    # What no longer fits must be asked for anew.
    short = answer.Answer(token, kind, answer.REFUSED).encode()
    uplinks.answer(frame, short, then)


def _judge(node, uplinks, asked):
    """(result, what to do at once or None, what to do when the answer was sent or None)."""
    kind, args = asked.kind, asked.args
    fit = command.arguments_fit(kind, args)
    if not fit:
        return (answer.UNKNOWN_KIND if fit is None else answer.BAD_ARGS), None, None
    if kind == command.BACKFILL:
        result, act = _backfill(node, uplinks, *args)
        return result, act, None
    if kind in (command.REBOOT, command.REJOIN):
        return answer.OK, None, node.restart if kind == command.REBOOT else uplinks.rejoin
    act = None
    if kind == command.STATUS:
        act = uplinks.request_status
    elif kind == command.TIME:
        act = lambda: node.clock.ask(args[0] * 1000 if args else None)  # noqa: E731
    elif kind == command.IDENTIFY and getattr(node.board, "LED", None) is not None:
        act = lambda: _identify(node, args[0])  # noqa: E731
    elif kind == command.CLEAR_ALARM:
        alarms = getattr(node, "alarms", None)
        if alarms is not None:
            act = lambda: alarms.clear(args[0])  # noqa: E731
    return (answer.REFUSED if act is None else answer.OK), act, None


def _identify(node, seconds):
    """Blink from now on for so long; a former request is over."""
    from app import led

    if node.blinking is not None:
        node.blinking.cancel()
    node.blinking = asyncio.create_task(led.blink(node.board.LED, seconds))


def _backfill(node, uplinks, unsynced, start, count):
    unsynced = bool(unsynced)
    newest = node.ring.newest(unsynced, node.epoch.generation)
    if newest is None:
        return answer.NO_RECORD, None
    # The asked index is the latest one with these 16 bits that is closed.
    first = newest.index - ((newest.index - start) & 0xFFFF)
    end = min(first + count, newest.index + 1)
    if first < 0 or node.ring.next_index(unsynced, node.epoch.generation, first, end) is None:
        return answer.NO_RECORD, None
    return answer.OK, lambda: uplinks.backfill(unsynced, first, end)
