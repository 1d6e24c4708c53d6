"""What a start has to prove: that it lasts, and under new settings that the network is heard. Loaded every half minute
until nothing is left to prove.
"""

from micropython import const

from app import modules

# Without the network being heard for so long new settings are over.
TRIAL_MS = const(7200000)
# A start that lasts so long ends the count of those that did not. By then the watchdog has been fed for a while.
HEALTHY_MS = const(600000)
# Safe mode ends with a restart after so long.
SAFE_MS = const(21600000)


def over(node):
    """Whether nothing is left to prove; looks at what is, and may restart the node. Not while something is on the air."""
    now, settings = node.uptime(), node.settings
    if settings.get("trial") and (node.heard or now >= TRIAL_MS):
        _end_trial(node)
    if not node.healthy and now >= HEALTHY_MS:
        node.healthy = True
        if not node.safe:
            node.short_starts = 0
            if node.trouble is None and not settings.get("trial"):
                from app import trial

                trial.lasted(node.files)
                del trial
        node.crash_unsaved = True
        node.save_crash()
    if node.safe and now >= SAFE_MS:
        node.restart()
    return node.healthy and not node.safe and not settings.get("trial")


def _end_trial(node):
    from app import trial

    node.settings["trial"] = False
    try:
        if node.heard:
            trial.keep(node.files)
            return
        node.note("settings: rolled back, unheard")
        node.save_crash()
        trial.undo(node.files)
    finally:
        del trial
        modules.unload("app.trial")
    node.restart()
