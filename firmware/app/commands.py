"""What commands do: each is remembered by its token before it is acted on. See `asked`.

The session's downlink counter was stored before a command comes here. So neither a repeated frame nor a restart lets a
command be done twice: a reboot cannot loop.
"""

import asyncio

from micropython import const

# Kinds, as zaehlwerk_protocol.command numbers them, and results, as zaehlwerk_protocol.answer does.
_SET_CONFIG = const(1)
_GET_CONFIG = const(2)
_BACKFILL = const(3)
_STATUS = const(4)
_REBOOT = const(5)
_REJOIN = const(6)
_IDENTIFY = const(7)
_TIME = const(8)
_CLEAR_ALARM = const(9)
_OK = const(0)
_UNKNOWN_KIND = const(1)
_BAD_ARGS = const(2)
_REFUSED = const(3)
_NO_RECORD = const(4)


def obey(node, uplinks, token, kind, args, fit):
    """Act on a command: (kind, result, data, what to do when that was answered or None), None if the answer follows by itself.

    fit: whether the arguments fit the kind, None if nobody knows that. Of a command about the settings only its name.
    """
    known = [entry for entry in node.epoch.tokens if entry[0] == token]
    if known:
        # To tell the settings again does nothing, and the answer of before is not stored; to set what the power or the heap
        # was in the way of makes of it what the first time would have made.
        again = kind == _GET_CONFIG or (kind == _SET_CONFIG and known[0][2] == _REFUSED)
        if not again or known[0][1] != kind:
            return known[0][1], known[0][2], (), None
    if fit and kind in (_SET_CONFIG, _GET_CONFIG):
        return "part" if kind == _SET_CONFIG else "piece"
    result, act, then = _judge(node, uplinks, kind, args, fit)
    remember(node, token, kind, result)
    if act is not None:
        act()
    if result == _OK and kind in (_STATUS, _BACKFILL):
        return None
    return kind, result, (), then


def remember(node, token, kind, result):
    """Store the token with this result, in the place of a former one."""
    epoch, entry = node.epoch, (token, kind & 0xFF, result)
    if entry not in epoch.tokens:
        epoch.tokens = [known for known in epoch.tokens if known[0] != token]
        epoch.add_token(*entry)


def _judge(node, uplinks, kind, args, fit):
    """(result, what to do at once or None, what to do when the answer was sent or None)."""
    if not fit:
        return (_UNKNOWN_KIND if fit is None else _BAD_ARGS), None, None
    if kind == _BACKFILL:
        result, act = _backfill(node, uplinks, *args)
        return result, act, None
    if kind in (_REBOOT, _REJOIN):
        return _OK, None, node.restart if kind == _REBOOT else uplinks.rejoin
    act = None
    if kind == _STATUS:
        act = uplinks.request_status
    elif kind == _TIME:
        act = lambda: node.clock.ask(args[0] * 1000 if args else None)  # noqa: E731
    elif kind == _IDENTIFY and getattr(node.board, "LED", None) is not None:
        act = lambda: _identify(node, args[0])  # noqa: E731
    elif kind == _CLEAR_ALARM:
        act = lambda: node.alarms.rarely("clear", args[0])  # noqa: E731
    return (_REFUSED if act is None else _OK), act, None


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
        return _NO_RECORD, None
    # The asked index is the latest one with these 16 bits that is closed.
    first = newest.index - ((newest.index - start) & 0xFFFF)
    end = min(first + count, newest.index + 1)
    if first < 0 or node.ring.next_index(unsynced, node.epoch.generation, first, end) is None:
        return _NO_RECORD, None
    return _OK, lambda: uplinks.backfill(unsynced, first, end)
