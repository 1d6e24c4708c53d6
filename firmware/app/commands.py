"""Commands from the platform: read, remembered by their token before they are acted on, answered.

The session's downlink counter was stored before a command comes here. So neither a repeated frame nor a restart lets a
command be done twice: a reboot cannot loop.
"""

import asyncio

from zaehlwerk_protocol import answer, command
from zaehlwerk_protocol.errors import FrameError


def handle(node, uplinks, payload):
    """Act on a command frame and queue its answer. A frame that cannot be read is counted and dropped."""
    try:
        asked = command.Command.decode(payload)
    except FrameError as error:
        node.note("command refused: %s" % error)
        return
    for token, kind, result in node.epoch.tokens:
        if token == asked.token:
            _answer(uplinks, token, kind, result)
            return
    result, act, then = _judge(node, uplinks, asked)
    node.epoch.add_token(asked.token, asked.kind & 0xFF, result)
    if act is not None:
        act()
    if asked.kind not in _ANSWERED_BY_ITSELF or result != answer.OK:
        _answer(uplinks, asked.token, asked.kind, result, then)


# What follows is the answer.
_ANSWERED_BY_ITSELF = (command.STATUS, command.BACKFILL)


def _answer(uplinks, token, kind, result, then=None):
    uplinks.answer(answer.Answer(token, kind, result).encode(), None, then)


def _judge(node, uplinks, asked):
    """(result, what to do at once or None, what to do when the answer was sent or None)."""
    kind, args = asked.kind, asked.args
    fit = command.arguments_fit(kind, args)
    if fit is None:
        return answer.UNKNOWN_KIND, None, None
    if not fit:
        return answer.BAD_ARGS, None, None
    if kind == command.STATUS:
        return answer.OK, uplinks.request_status, None
    if kind == command.BACKFILL:
        result, act = _backfill(node, uplinks, *args)
        return result, act, None
    if kind == command.REBOOT:
        return answer.OK, None, node.restart
    if kind == command.REJOIN:
        return answer.OK, None, uplinks.rejoin
    act = None
    if kind == command.TIME:
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
