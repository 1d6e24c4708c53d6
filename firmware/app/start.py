"""How a start begins, and what is done when it fails. Needed once."""

import sys
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

    files = Files("state")
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
            document, wrong = table.load(trial.DOCUMENT, trial.LAST_GOOD)
            trouble = trouble and "rolled back, " + trouble
            if wrong:
                print("zaehlwerk:", wrong)
                trouble = wrong.replace(trial.DOCUMENT + ": ", "")[:_TOLD]
        document["trial"] = on_trial
        return table.derive(document), trouble
    finally:
        modules.unload("app.settings", "app.trial")
        modules.unload_frames()


def failed(error):
    """The node could not be put together: settings on trial are over; the start counts as one that did not last.

    Settings that nobody can use are the technician's: SystemExit(2). Everything else is tried again, after a while.
    """
    print("zaehlwerk: cannot start:", error)
    files = Files("state")
    from app import state, trial
    from app.crash import describe

    on_trial = files.read("trial") is not None
    if on_trial:
        trial.undo(files)
    elif isinstance(error, ValueError):
        sys.exit(2)
    boots, short, _ = state.boot_record(files)
    state.save_crash(files, boots, short, describe(error).encode()[-60:])
    if not on_trial:
        time.sleep_ms(_PAUSE_MS)
    machine.reset()
