"""What a start has to prove: that it lasts, and under new settings that the network is heard. Loaded every half minute
until nothing is left to prove.
"""

from micropython import const

from app import modules, trial

# A start that lasts so long ends the count of those that did not. By then the watchdog has been fed for a while.
HEALTHY_MS = const(600000)
# Safe mode ends with a restart after so long.
SAFE_MS = const(21600000)


def over(node):
    """Whether nothing is left to prove; looks at what is, and may restart the node. Not while something is on the air."""
    now, settings = node.uptime(), node.settings
    if settings.get("trial"):
        if node.heard:
            settings["trial"] = False
            _trial("keep", node)
        elif now >= trial.TRIAL_MS:
            node.note("settings: rolled back, unheard")
            node.save_crash()
            _trial("undo", node)
            node.restart()
    if not node.healthy and now >= HEALTHY_MS:
        node.healthy = True
        if not node.safe:
            node.short_starts = 0
        node.crash_unsaved = True
        node.save_crash()
    if node.safe and now >= SAFE_MS:
        node.restart()
    return node.healthy and not node.safe and not settings.get("trial")


def _trial(what, node):
    try:
        getattr(trial, what)(node.files)
    finally:
        modules.unload("app.trial")
