"""Where a technician's nodes are registered: the options that name it, without importing what speaks to it."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.technician.troubles import TechnicianError

APPLICATION = "Zählwerk"
_NEEDS = ("chirpstack_api", "grpc")


class ServerOptionsError(TechnicianError):
    """The network server is not named, or what speaks to it is not installed."""


@dataclass(frozen=True, slots=True)
class Server:
    """ChirpStack's API. `tenant_id` empty: the only tenant there is; a tenant's own key may not look for that."""

    api_url: str
    api_key_file: Path
    ca_file: Path | None = None
    tenant_id: str = ""
    application: str = APPLICATION
    replace: str | None = None
    """The DevEUI whose name, JoinEUI or AppKey there may be overwritten."""
    reset_nonces: str | None = None
    """The DevEUI whose used DevNonces shall be forgotten."""
    wait_s: float = 0.0
    """How long to wait for the node to be heard; 0: not at all."""


def named_server(
    api_url: str | None,
    api_key_file: Path | None,
    *,
    ca_file: Path | None = None,
    tenant_id: str = "",
    application: str = APPLICATION,
    replace: str | None = None,
    reset_nonces: str | None = None,
    wait_s: float = 0.0,
    otherwise: str = "",
) -> Server:
    """What the options say; `otherwise`: what can be done instead of naming a server. Raises ServerOptionsError."""
    if api_url is None:
        raise ServerOptionsError(f"name the network server by --api-url and --api-key-file{otherwise}")
    if api_key_file is None:
        raise ServerOptionsError("--api-url needs --api-key-file: a file with a writable API key")
    for name in _NEEDS:
        if importlib.util.find_spec(name) is None:
            raise ServerOptionsError(
                f"{name} is not installed: registering needs pip install 'zaehlwerk[register]'"
            )
    # gRPC writes of its own on standard error, in the midst of what people read.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return Server(
        api_url,
        api_key_file,
        ca_file=ca_file,
        tenant_id=tenant_id,
        application=application,
        replace=replace,
        reset_nonces=reset_nonces,
        wait_s=wait_s,
    )
