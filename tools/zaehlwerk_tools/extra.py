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
