"""Commands from the platform: read, remembered by their token before they are acted on, answered."""

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
            uplinks.answer(answer.Answer(token, kind, result))
            return
    result, act = _judge(node, uplinks, asked)
    node.epoch.add_token(asked.token, asked.kind & 0xFF, result)
    if act is None:
        uplinks.answer(answer.Answer(asked.token, asked.kind, result))
    else:
        act()


def _judge(node, uplinks, asked):
    """(result, what to do). With nothing to do the result itself is the answer."""
    fit = command.arguments_fit(asked.kind, asked.args)
    if fit is None:
        return answer.UNKNOWN_KIND, None
    if not fit:
        return answer.BAD_ARGS, None
    if asked.kind == command.STATUS:
        return answer.OK, uplinks.request_status
    if asked.kind == command.BACKFILL:
        return _backfill(node, uplinks, *asked.args)
    return answer.REFUSED, None


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
