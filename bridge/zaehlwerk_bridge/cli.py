"""The command `zaehlwerk-bridge`."""

import typer

from zaehlwerk_bridge import cli_backup, cli_check, cli_command, cli_rejected, cli_run, cli_store
from zaehlwerk_bridge.command_line import EXIT_STATUSES

_STATUSES = ";\n".join(f"{status} {meaning}" for status, meaning in EXIT_STATUSES.items())
_HELP = f"""Takes counts from ChirpStack and publishes them over MQTT 5, exactly once in the sum.

Exit status: {_STATUSES}.

Example: zaehlwerk-bridge check-config --config /etc/zaehlwerk/bridge.toml
"""

app = typer.Typer(
    name="zaehlwerk-bridge",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(cli_run.run)
app.command()(cli_check.check_config)
app.add_typer(cli_rejected.app)
app.command()(cli_store.republish)
app.command()(cli_command.command)
app.command()(cli_backup.backup)
app.command()(cli_backup.restore)


def main() -> None:
    """Run the command line."""
    app()
