"""How a start begins, and what is done when it fails. Needed once."""

import time

import machine
from micropython import const

from app import modules
from lorawan.records import Files

# Time for a technician to interrupt before it begins anew, and a bound of what a failing start wears the flash.
_PAUSE_MS = const(60000)
# A status has room for so much of what is wrong with settings.json; the setting's name is at its begin.
_TOLD = const(22)


def settings():
    """(settings with what is derived from them, trouble or None): those on trial, else those of settings.json.

    Raises SettingsError when there are none that can be used.
    """
    from app import settings as table
    from app import trial

    files = Files("state", False)
    try:
        text, trouble = trial.begin(files)
        document = None
        if text is not None:
            try:
                document = table.validate(table.parse("trial", text))
            except table.SettingsError as error:
                trial.undo(files)
                trouble = str(error)
        on_trial = document is not None
        if document is None:
            given_up = trial.given_up(files, machine.reset_cause() == machine.PWRON_RESET)
            document, wrong = table.load(trial.DOCUMENT, trial.LAST_GOOD, given_up)
            trouble = trouble and "rolled back, " + trouble
            if wrong:
                print("zaehlwerk:", wrong)
                trouble = wrong.replace(trial.DOCUMENT + ": ", "")[:_TOLD]
                trial.give_up(files, trouble)
        document["trial"] = on_trial
        return table.derive(document), trouble
    finally:
        modules.unload("app.settings", "app.trial")
        modules.unload_frames()


def board(document):
    """The module of boards/ that the settings name. Raises ValueError if there is none, or if they do not fit it."""
    from app import fit

    fit.check(document)
    modules.unload("app.fit", "app.taken")
    name = document["board"]
    try:
        return getattr(__import__("boards." + name), name)
    except ImportError as error:
        raise ValueError("board: boards/%s.py: %s" % (name, error))


def failed(error):
    """The node could not be put together, or its program came to an end: it is tried again after a while, for a
    technician's sake and the flash's. At once if there are other settings to go back to.
    """
    print("zaehlwerk: cannot start:", error)
    try:
        back = _give_up(error)
    except Exception as trouble:  # noqa: BLE001 - a flash that cannot be written, no memory: the next start may fare better
        print("zaehlwerk:", trouble)
        back = False
    if not back:
        time.sleep_ms(_PAUSE_MS)
    machine.reset()


def _give_up(error):
    """Settings on trial are over, and so are those of settings.json if it is they that cannot be used; whether there
    are others. The crash is remembered."""
    from app import state, trial
    from app.crash import describe
    from counting import SensorError

    files = Files("state")
    back = files.read("trial") is not None
    if back:
        trial.undo(files)
    elif isinstance(error, (ValueError, SensorError)):
        back = trial.give_up(files, str(error)[:_TOLD])
    boots, short, _ = state.boot_record(files)
    state.save_crash(files, boots, short, describe(error).encode()[-60:])
    return back
