"""A command that came: read, obeyed, answered, with the code of each in the heap alone. Loaded for one command."""

import gc

from micropython import const

from app import modules

# Results, as zaehlwerk_protocol.answer numbers them.
_BAD_ARGS = const(2)
_REFUSED = const(3)
_INCOMPLETE = const(5)
# Bytes of an answer around the reason of a refusal, at most.
_AROUND_REASON = const(10)


def take(node, uplinks, payload):
    """Obey the command frame `payload` and queue its answer. A frame that cannot be read is noted and dropped."""
    try:
        token, kind, arguments, fit = _read(payload)
    except ValueError as error:
        node.note("command refused: %s" % error)
        return
    finally:
        modules.unload_frames()
    outcome = _commands("obey", node, uplinks, token, kind, arguments, fit)
    if isinstance(outcome, str):
        if outcome == "part":
            # Until it is done: it is stored before anything is acted on, and done again if the power goes meanwhile.
            _commands("remember", node, token, kind, _REFUSED)
        result, data, restarts = _settings(outcome, node, uplinks.longest, arguments)
        outcome = kind, result, data, node.restart if restarts else None
        _commands("remember", node, token, kind, result)
    if outcome is not None:
        _answer(uplinks, token, *outcome)


def _read(payload):
    """(token, kind, arguments, whether they fit the kind, None for an unknown kind); FrameError, a ValueError."""
    from zaehlwerk_protocol import command

    asked = command.Command.decode(payload)
    return asked.token, asked.kind, asked.args, command.arguments_fit(asked.kind, asked.args)


def _answer(uplinks, token, kind, result, data, then):
    from zaehlwerk_protocol import answer

    frame = answer.Answer(token, kind, result, data).encode()
    # What no longer fits must be asked for anew.
    short = answer.Answer(token, kind, _REFUSED).encode() if data else frame
    del answer
    modules.unload_frames()
    uplinks.answer(frame, short, then)


def _settings(what, node, longest, arguments):
    """(result, data, whether a restart follows) of a command about the settings: "piece" of them or "part" of new ones."""
    try:
        if what == "part":
            whole = _collected(node, *arguments)
            if whole is None:
                return _INCOMPLETE, (), False
        from app import config

        return config.piece(node, longest, *arguments) if what == "piece" else config.part(node, whole)
    except ValueError as error:
        return _BAD_ARGS, (str(error).encode()[: longest - _AROUND_REASON],), False
    except MemoryError:
        return _REFUSED, (), False
    finally:
        modules.unload("app.config", "app.settings", "app.trial", "app.fit", "app.taken")
        modules.unload_frames()


def _collected(node, *arguments):
    from app import parts

    try:
        return parts.take(node.files, *arguments)
    finally:
        del parts
        modules.unload("app.parts")


def _commands(what, *arguments):
    from app import commands

    try:
        return getattr(commands, what)(*arguments)
    finally:
        del commands
        modules.unload("app.commands")
        gc.collect()
