"""The errors a person at the command line can do something about.

Each one's text is a single line that says what is wrong, where, and, if that helps, what to do. The command line
prints it and ends with exit status 2; everything else that is raised is a fault of ours and shows its traceback.
"""

from __future__ import annotations

from pathlib import Path


class ZaehlwerkError(Exception):
    """Something the user gave or the machine has does not do; `str()` is the line to show."""


class TableError(ZaehlwerkError):
    """A city's table cannot be read as it stands."""

    def __init__(self, path: Path, line: int | None, what: str) -> None:
        self.path = path
        self.line = line
        self.what = what
        place = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {what}")


class DayError(ZaehlwerkError):
    """The day asked for is not, or not wholly, in the tables."""


class StationError(ZaehlwerkError):
    """No station of that name, or none at all, was selected."""


class BrokerError(ZaehlwerkError):
    """The MQTT broker cannot be started, refused, died, or dropped messages."""


class OutputError(ZaehlwerkError):
    """The place for the results cannot be written."""


class MissingExtraError(ZaehlwerkError):
    """A command needs the extra `[sim]`, which is not installed."""
