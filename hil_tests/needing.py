"""`@needs("pulse_generator", "power_switch")`: a test says what of a rig it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from hil_tests.capability import Capability

MARK = "needs"
_Test = TypeVar("_Test", bound=Callable[..., object])


def needs(*names: str) -> Callable[[_Test], _Test]:
    """Mark a test. Raises ValueError for a name that is no capability: a misspelt one would never be there."""
    known = [capability.value for capability in Capability]
    for name in names:
        if name not in known:
            raise ValueError(f"needs({name!r}): no such capability; known: {', '.join(known)}")
    mark = getattr(pytest.mark, MARK)(*names)

    def marked(test: _Test) -> _Test:
        return mark(test)  # type: ignore[no-any-return]

    return marked


def missing(wanted: tuple[str, ...], there: frozenset[Capability]) -> list[str]:
    """The names that are not there."""
    return [name for name in wanted if Capability(name) not in there]
