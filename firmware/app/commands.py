"""Commands from the platform: read, remembered by their token before they are acted on, answered.

The session's downlink counter was stored before a command comes here. So neither a repeated frame nor a restart lets a
command be done twice: a reboot cannot loop.
"""

import asyncio
import gc

from micropython import const

from app import modules
from zaehlwerk_protocol import answer, command
from zaehlwerk_protocol.errors import FrameError


def handle(node, uplinks, payload):
    """Act on a command frame and queue its answer. A frame that cannot be read is counted and dropped."""
    try:
        asked = command.Command.decode(payload)
    except FrameError as error:
        node.note("command refused: %s" % error)
        return
    data, known = (), [entry for entry in node.epoch.tokens if entry[0] == asked.token]
    # To tell the settings again does nothing, and the answer of before is not stored.
    if known and not known[0][1] == asked.kind == command.GET_CONFIG:
        _answer(uplinks, *known[0])
        return
    act = then = None
    if asked.kind in _ABOUT_SETTINGS and command.arguments_fit(asked.kind, asked.args):
        result, data, then = _settings(node, uplinks, asked)
    else:
        result, act, then = _judge(node, uplinks, asked)
    if not known:
        node.epoch.add_token(asked.token, asked.kind & 0xFF, result)
    if act is not None:
        act()
    if asked.kind not in _ANSWERED_BY_ITSELF or result != answer.OK:
        _answer(uplinks, asked.token, asked.kind, result, data, then)


# What follows is the answer.
_ANSWERED_BY_ITSELF = (command.STATUS, command.BACKFILL)
_ABOUT_SETTINGS = (command.GET_CONFIG, command.SET_CONFIG)


def _answer(uplinks, token, kind, result, data=(), then=None):
    frame = answer.Answer(token, kind, result, data).encode()
    # What no longer fits must be asked for anew.
    short = answer.Answer(token, kind, answer.REFUSED).encode()
    uplinks.answer(frame, short, then)


# Bytes of an answer around the piece of a document, and around a reason, at most.
_AROUND_PIECE = const(12)
_AROUND_REASON = const(10)


def _settings(node, uplinks, asked):
    """(result, data of the answer, what to do when it was sent or None). New settings are stored when this returns."""
    try:
        if asked.kind == command.GET_CONFIG:
            return _piece(node, uplinks.longest, *asked.args)
        return _part(node, *asked.args)
    except ValueError as error:
        return answer.BAD_ARGS, (str(error).encode()[: uplinks.longest - _AROUND_REASON],), None
    except MemoryError:
        return answer.REFUSED, (), None
    finally:
        modules.unload("app.config", "app.parts", "app.settings", "app.trial")
        gc.collect()


def _piece(node, longest, part):
    """One piece of the settings in force. All have the length that fits when the first one is asked for."""
    from app import config

    whole = config.told(node.files)
    if part == 0 or node.piece is None:
        node.piece = longest - _AROUND_PIECE
    first, parts = part * node.piece, -(-len(whole) // node.piece)
    if part >= parts:
        return answer.NO_RECORD, (), None
    return answer.OK, (parts, whole[first : first + node.piece]), None


def _part(node, part, parts, digest, piece):
    """A piece of new settings; when it is the last one they are judged, and tried from the next start on."""
    from app.parts import take

    whole = take(node.files, part, parts, digest, piece)
    if whole is None:
        return answer.INCOMPLETE, (), None
    del take
    modules.unload("app.parts")
    from app import config, trial

    if node.settings.get("trial"):
        # This command was heard under them.
        trial.keep(node.files)
        node.settings["trial"] = False
    return answer.OK, (), node.restart if config.change(node.files, whole) else None


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
