"""The command `command`: what the platform can ask of a node by MQTT, asked from the bridge's own machine."""

import json
import uuid
from typing import Annotated

import typer

from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_bridge.command_line import (
    EXIT_BAD_INPUT,
    EXIT_NOT_ALL,
    ConfigOption,
    JsonOption,
    complain,
    read_settings,
    store_beside,
)
from zaehlwerk_bridge.commands.life import Fate
from zaehlwerk_bridge.messages import VERSION
from zaehlwerk_bridge.station import slug


def command(
    kind: Annotated[
        str, typer.Argument(metavar="COMMAND", help="status, identify, reboot, …: COMMANDS.md lists them.")
    ],
    config: ConfigOption,
    station: Annotated[
        str, typer.Option("--station", help="Name of the station, or as its topics carry it.")
    ],
    fields: Annotated[
        str, typer.Option("--fields", metavar="JSON", help="Further fields of the command, a JSON object.")
    ] = "{}",
    identity: Annotated[
        str | None, typer.Option("--id", help="Id of the command; one that is known is not done again.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Give a node a command, as a message on the station's topic would, whether or not commands.enabled is on.

    A running bridge takes it up within a second; one that does not run does when it starts. What becomes of it is told on the
    topic `result`; the same id once more shows how far it is.

    Exit status 0: the bridge has it. 2: bad settings or arguments. 4: it is refused, the reason is told.

    Example: zaehlwerk-bridge command identify --config /etc/zaehlwerk/bridge.toml --station Neutor --fields '{"seconds": 30}'
    """
    settings = read_settings(config)
    try:
        content = json.loads(fields)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        complain(["--fields must be a JSON object, for example '{\"seconds\": 30}'"])
        raise typer.Exit(EXIT_BAD_INPUT)
    content |= {"id": identity or f"cli.{uuid.uuid4().hex}", "command": kind}
    name = slug(station)
    topic = f"{settings.prefix}/{VERSION}/{name}/command"
    with store_beside(settings) as store:
        told = store.commands.take(
            topic, name, json.dumps(content).encode(), settings.commands, SystemClock().now_ns()
        )
    refused = told.get("fate", Fate.REFUSED) == Fate.REFUSED
    if as_json:
        typer.echo(json.dumps({"ok": not refused, **told}, ensure_ascii=False))
    elif refused:
        complain([f"{name}: {kind} is refused: {told['reason']}"])
    else:
        typer.echo(f"{name}: {kind} {told['id']}: {told['fate']}")
    if refused:
        raise typer.Exit(EXIT_NOT_ALL)
