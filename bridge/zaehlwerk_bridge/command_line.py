"""What the commands share: the option --config, exit statuses, and how a mistake is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from zaehlwerk_bridge.database import FAULTS
from zaehlwerk_bridge.errors import BridgeError, SettingsError
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings, load
from zaehlwerk_bridge.store import Store
from zaehlwerk_bridge.store_place import store_place

EXIT_OK = 0
EXIT_BROKEN = 1
EXIT_BAD_INPUT = 2
EXIT_TAKEN_OVER = 3
EXIT_NOT_ALL = 4
EXIT_STATUSES = {
    EXIT_OK: "all is well, or stopped by SIGTERM or SIGINT",
    EXIT_BROKEN: "broke unexpectedly, the log says where: start again",
    EXIT_BAD_INPUT: "bad settings, arguments or database, or check-config found something wrong: starting again helps nothing",
    EXIT_TAKEN_OVER: "another client took the bridge's MQTT client id over: starting again would take it back, do not",
    EXIT_NOT_ALL: "some of what a command was to do could not be done, its output says what and why",
}
"""What each means, and whether to start a bridge again that ended so."""

ConfigOption = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="The settings, TOML; SETTINGS.md lists them.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of lines for people.")]


def complain(problems: list[str]) -> None:
    """Write one line each to stderr."""
    for problem in problems:
        typer.echo(f"zaehlwerk-bridge: {problem}", err=True)


def read_settings(config: Path) -> Settings:
    """Return the settings; what is wrong with them ends the command."""
    try:
        return load(config)
    except SettingsError as error:
        complain(error.problems)
        raise typer.Exit(EXIT_BAD_INPUT) from None


@contextmanager
def store_beside(settings: Settings) -> Iterator[Store]:
    """Open the store of a bridge that runs or does not; what keeps it from being read or written ends the command."""
    try:
        place = store_place(settings, Redactor())
        store = Store(place, prefix=settings.prefix, bridge_id=settings.id, existing=True)
    except BridgeError as error:
        complain([str(error)])
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except FAULTS as error:
        complain([f"{settings.database}: {error}"])
        raise typer.Exit(EXIT_BROKEN) from None
    try:
        yield store
    except FAULTS as error:
        complain([f"{settings.database}: {error}; nothing that was not told was done"])
        raise typer.Exit(EXIT_BROKEN) from None
    finally:
        store.close()
