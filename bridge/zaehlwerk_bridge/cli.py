"""The command `zaehlwerk-bridge`."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import typer
from structlog.typing import FilteringBoundLogger

from zaehlwerk_bridge import cli_rejected, cli_store
from zaehlwerk_bridge.check import Finding, Verdict, check
from zaehlwerk_bridge.command_line import (
    EXIT_BAD_INPUT,
    EXIT_BROKEN,
    EXIT_TAKEN_OVER,
    ConfigOption,
    JsonOption,
    complain,
    read_settings,
)
from zaehlwerk_bridge.errors import BridgeError, ClientTakenOver, SettingsError
from zaehlwerk_bridge.http_endpoints import HttpEndpoints
from zaehlwerk_bridge.logs import make_logger
from zaehlwerk_bridge.metrics import registry
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.service import Bridge
from zaehlwerk_bridge.settings import Settings

_HELP = """Takes counts from ChirpStack and publishes them over MQTT 5, exactly once in the sum.

Exit status: 0 all is well, or stopped by SIGTERM or SIGINT; 1 broke unexpectedly; 2 bad settings, or check-config
found something wrong; 3 another client took the bridge's MQTT client id over (restarting would take it back: do not);
4 some of what a command was to do could not be done, its output says what and why.

Example: zaehlwerk-bridge check-config --config /etc/zaehlwerk/bridge.toml
"""

app = typer.Typer(
    name="zaehlwerk-bridge",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(config: ConfigOption) -> None:
    """Run until SIGTERM or SIGINT. Logs are JSON lines on stderr.

    Example: zaehlwerk-bridge run --config /etc/zaehlwerk/bridge.toml
    """
    redactor = Redactor()
    settings = read_settings(config)
    log = make_logger(redactor, settings.log.level)
    try:
        _read_secrets(settings, redactor)
        asyncio.run(_run(settings, log, redactor))
    except SettingsError as error:
        complain(error.problems)
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except ClientTakenOver as error:
        complain([str(error)])
        raise typer.Exit(EXIT_TAKEN_OVER) from None
    except BridgeError as error:
        complain([str(error)])
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except Exception:
        log.exception("bridge broke")
        raise typer.Exit(EXIT_BROKEN) from None


@app.command("check-config")
def check_config(
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Try each connection of the settings; say what is wrong with each and what to do. Changes nothing.

    Exit status 0: nothing is wrong. 2: something is.

    Example: zaehlwerk-bridge check-config --config /etc/zaehlwerk/bridge.toml --json
    """
    redactor = Redactor()
    settings = read_settings(config)
    findings = asyncio.run(check(settings, redactor))
    wrong = [finding for finding in findings if finding.verdict is Verdict.WRONG]
    if as_json:
        typer.echo(json.dumps({"ok": not wrong, "findings": [finding.as_dict() for finding in findings]}))
    else:
        _print(findings)
    if wrong:
        raise typer.Exit(EXIT_BAD_INPUT)


app.add_typer(cli_rejected.app)
app.command()(cli_store.republish)


def main() -> None:
    """Run the command line."""
    app()


async def _run(settings: Settings, log: FilteringBoundLogger, redactor: Redactor) -> None:
    bridge = Bridge(settings, log=log, redactor=redactor)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bridge.stop)
    with _endpoints(bridge, redactor):
        await bridge.run()


def _endpoints(bridge: Bridge, redactor: Redactor) -> AbstractContextManager[object]:
    """What is served over HTTP as long as it is entered; nothing if the settings say so."""
    if not bridge.settings.http.port:
        return nullcontext()

    def redacted(troubles: Callable[[], Mapping[str, str]]) -> Callable[[], Mapping[str, str]]:
        return lambda: {side: redactor.text(trouble) for side, trouble in troubles().items()}

    return HttpEndpoints(
        bridge.settings.http, bridge.heartbeat.troubles, redacted(bridge.troubles), registry(bridge)
    )


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


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        typer.echo(finding.line())
