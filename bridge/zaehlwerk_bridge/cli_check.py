"""The command `check-config`."""

import asyncio
import json
from typing import Annotated

import typer

from zaehlwerk_bridge.check_finding import Verdict
from zaehlwerk_bridge.command_line import EXIT_BAD_INPUT, ConfigOption, JsonOption, read_settings
from zaehlwerk_bridge.redaction import Redactor


def check_config(
    config: ConfigOption,
    queued: Annotated[
        int,
        typer.Option(
            "--queue",
            metavar="N",
            min=0,
            max=1_000_000,
            help="Also let N small messages wait for a subscriber that is away. Only before the platform uses the broker:"
            " they go into its queue as well.",
        ),
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Try each connection of the settings; say what is wrong with each and what to do. Changes nothing.

    Exit status 0: nothing is wrong. 2: something is.

    Example: zaehlwerk-bridge check-config --config /etc/zaehlwerk/bridge.toml --json
    """
    # Redis and certificates come with it, 17 MB that a bridge which runs does without.
    from zaehlwerk_bridge.check import check  # noqa: PLC0415

    redactor = Redactor()
    settings = read_settings(config)
    findings = asyncio.run(check(settings, redactor, queued))
    wrong = [finding for finding in findings if finding.verdict is Verdict.WRONG]
    if as_json:
        typer.echo(json.dumps({"ok": not wrong, "findings": [finding.as_dict() for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(finding.line())
    if wrong:
        raise typer.Exit(EXIT_BAD_INPUT)
