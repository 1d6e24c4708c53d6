"""A command that came: what it needs is in the heap one after the other. Loaded for one command."""

import gc

from micropython import const

from app import modules

# Bytes of an answer around the reason of a refusal, at most.
_AROUND_REASON = const(10)


def take(node, uplinks, payload):
    """Obey the command frame `payload`."""
    about = _commands("handle", node, uplinks, payload)
    if about is not None:
        what, token, kind, arguments = about
        outcome = _settings(what, node, uplinks.longest, arguments)
        _commands("finish", node, uplinks, token, kind, outcome)


def _settings(what, node, longest, arguments):
    """The outcome, as `commands.finish` takes it, of a command about the settings."""
    try:
        if what == "part":
            whole = _collected(node, *arguments)
            if whole is None:
                return "INCOMPLETE", (), False
        from app import config

        return config.piece(node, longest, *arguments) if what == "piece" else config.part(node, whole)
    except ValueError as error:
        return "BAD_ARGS", (str(error).encode()[: longest - _AROUND_REASON],), False
    except MemoryError:
        return "REFUSED", (), False
    finally:
        modules.unload("app.config", "app.settings", "app.trial")
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
        modules.unload_frames()
        gc.collect()
