"""What the technicians' command lines have in common: options that mean the same everywhere, and how a command ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.technician.troubles import Status, TechnicianError, UnwellError

Port = Annotated[
    str | None,
    typer.Argument(
        metavar="PORT",
        help="/dev/ttyUSB0, COM3, socket://HOST:PORT; the only board at USB unless named.",
        show_default=False,
    ),
]
ApiUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="ZAEHLWERK_API_URL",
        help="ChirpStack's API: http://HOST:8080, or https://HOST behind a proxy.",
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File with a writable API key: a tenant's with --tenant-id, or an admin's."
    ),
]
CaFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="PEM file of the authority that signed its certificate.")
]
TenantId = Annotated[
    str, typer.Option(metavar="UUID", help="The nodes' tenant.", show_default="the only one there is")
]
Application = Annotated[str, typer.Option(metavar="NAME", help="The nodes' application; made if missing.")]
ResetNonces = Annotated[
    str | None,
    typer.Option(metavar="DEVEUI", help="Have the server forget the DevNonces that this node has used."),
]
WaitHeard = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="Wait so long for its join or an uplink.", show_default="not"
    ),
]
Keys = Annotated[
    Path, typer.Option(metavar="DIR", help="Where <DevEUI>.key is, or is made with a random AppKey.")
]
Records = Annotated[Path, typer.Option(metavar="DIR", help="Where <DevEUI>.json says what was done.")]
NewBuild = Annotated[Path, typer.Option(metavar="DIR|ZIP", help="What `zaehlwerk firmware build` has made.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON for each, without any key; errors too.")]


def status_of(run: Callable[[], int], about: str, *, as_json: bool) -> int:
    """The exit status of `run`; an error is told in one sentence, and as a record if that is wanted."""
    try:
        return run()
    except ZaehlwerkError as error:
        status = int(error.status if isinstance(error, TechnicianError) else Status.REFUSED)
        if as_json and not isinstance(error, UnwellError):  # whose findings are told already
            record = {"about": about, "result": "failed", "status": status, "error": str(error)}
            sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
        sys.stderr.write(f"zaehlwerk: {' '.join(str(error).split())}\n")
        return status
