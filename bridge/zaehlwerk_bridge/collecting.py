"""How often Python looks for garbage in a bridge's processes."""

import gc

COLLECT_AFTER = 20_000
"""Objects made and not freed, after which Python looks for cycles among the newest; messages on their way make none, and
with Python's 700 it would look through them again and again."""


def collect_seldom() -> None:
    """Look seldom, and never through what is imported by now."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
