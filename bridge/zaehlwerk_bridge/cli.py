"""The command `zaehlwerk-bridge`."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer

from zaehlwerk_bridge.check import Finding, Verdict, check
from zaehlwerk_bridge.errors import BridgeError, ClientTakenOver, SettingsError
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import Settings, load

EXIT_BROKEN = 1
EXIT_BAD_INPUT = 2
EXIT_TAKEN_OVER = 3

_HELP = """Takes counts from ChirpStack and publishes them over MQTT 5, exactly once in the sum.

Exit status: 0 all is well, or stopped by SIGTERM or SIGINT; 1 broke unexpectedly; 2 bad settings, or check-config
found something wrong; 3 another client took the bridge's MQTT client id over (restarting would take it back: do not).

Example: zaehlwerk-bridge check-config --config /etc/zaehlwerk/bridge.toml
"""

app = typer.Typer(
    name="zaehlwerk-bridge",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="The settings, TOML; SETTINGS.md lists them.")
]


@app.command()
def run(config: ConfigOption) -> None:
    """Run until SIGTERM or SIGINT. Logs are JSON lines on stderr.

    Example: zaehlwerk-bridge run --config /etc/zaehlwerk/bridge.toml
    """
    redactor = Redactor()
    settings = _settings(config)
    log = make_logger(redactor, settings.log.level)
    try:
        _read_secrets(settings, redactor)
        asyncio.run(_run(Bridge(settings, log=log, redactor=redactor)))
    except SettingsError as error:
        _complain(error.problems)
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except ClientTakenOver as error:
        _complain([str(error)])
        raise typer.Exit(EXIT_TAKEN_OVER) from None
    except BridgeError as error:
        _complain([str(error)])
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except Exception:
        log.exception("bridge broke")
        raise typer.Exit(EXIT_BROKEN) from None


@app.command("check-config")
def check_config(
    config: ConfigOption,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of lines for people.")
    ] = False,
) -> None:
    """Try each connection of the settings; say what is wrong with each and what to do. Changes nothing.

    Exit status 0: nothing is wrong. 2: something is.

    Example: zaehlwerk-bridge check-config --config /etc/zaehlwerk/bridge.toml --json
    """
    redactor = Redactor()
    settings = _settings(config)
    findings = asyncio.run(check(settings, redactor))
    wrong = [finding for finding in findings if finding.verdict is Verdict.WRONG]
    if as_json:
        typer.echo(json.dumps({"ok": not wrong, "findings": [finding.as_dict() for finding in findings]}))
    else:
        _print(findings)
    if wrong:
        raise typer.Exit(EXIT_BAD_INPUT)


def main() -> None:
    """Run the command line."""
    app()


async def _run(bridge: Bridge) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bridge.stop)
    await bridge.run()


def _settings(config: Path) -> Settings:
    try:
        return load(config)
    except SettingsError as error:
        _complain(error.problems)
        raise typer.Exit(EXIT_BAD_INPUT) from None


def _read_secrets(settings: Settings, redactor: Redactor) -> None:
    """A secret that cannot be read is a mistake at the start; later it may be a file that is just being replaced."""
    files = {
        "chirpstack.api_key_file": settings.chirpstack.api_key_file,
        "chirpstack.write_key_file": settings.chirpstack.write_key_file,
        "mqtt.password_file": settings.mqtt.password_file,
    }
    for setting, path in files.items():
        if path is not None:
            SecretFile(path, setting, redactor).read()


def _complain(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(f"zaehlwerk-bridge: {problem}", err=True)


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        typer.echo(finding.line())
