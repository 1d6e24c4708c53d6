"""Where a real network server is: addresses and credentials from the command line, checked before anything is tried.

No password and no key is ever an argument: they stand in files, or in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from zaehlwerk_tools.errors import ZaehlwerkError

MQTT_PORTS = {"mqtt": 1883, "tcp": 1883, "mqtts": 8883, "ssl": 8883}
"""Schemes, ChirpStack's own tcp and ssl among them, and their ports (IANA: mqtt, secure-mqtt)."""
MQTT_TLS = frozenset({"mqtts", "ssl"})

API_PORTS = {"http": 8080, "https": 443}
"""ChirpStack's own `api.bind`, which has no TLS; a proxy in front of it has."""

PASSWORD_VARIABLE = "ZAEHLWERK_MQTT_PASSWORD"  # noqa: S105 - its name, not a password


class AddressError(ZaehlwerkError):
    """An address or a file with a secret does not do; the text never holds the secret."""


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """The broker that gateways and ChirpStack meet at. `password` never appears in a `repr`."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """ChirpStack's gRPC API."""

    host: str
    port: int
    tls: bool = False
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


def mqtt_address(
    url: str,
    *,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> MqttAddress:
    """Reads `mqtt://[USER@]HOST[:PORT]` or `mqtts://…`. Raises AddressError."""
    environ = os.environ if environ is None else environ
    option = "--mqtt-url"
    parts = _split(option, url, MQTT_PORTS, "mqtt://USER@HOST:1883, or mqtts:// for TLS")
    if parts.password is not None:
        raise AddressError(
            f"{option}: a password in a URL is seen by everybody on this machine: put it into a file and name that "
            f"with --mqtt-password-file, or into the variable {PASSWORD_VARIABLE}"
        )
    password = environ.get(PASSWORD_VARIABLE) or None
    if password_file is not None:
        password = read_secret(password_file, "--mqtt-password-file")
    if password_file is not None and not parts.username:
        raise AddressError(f"--mqtt-password-file is given but {option} names no user: mqtt://USER@HOST")
    return MqttAddress(
        host=parts.hostname or "",
        port=parts.port or MQTT_PORTS[parts.scheme],
        tls=parts.scheme in MQTT_TLS,
        username=unquote(parts.username) if parts.username else None,
        password=password if parts.username else None,
        ca_file=_readable(ca_file) if parts.scheme in MQTT_TLS else None,
    )


def api_address(url: str, *, ca_file: Path | None = None) -> ApiAddress:
    """Reads `http://HOST[:PORT]` or `https://HOST[:PORT]`. Raises AddressError."""
    option = "--api-url"
    parts = _split(option, url, API_PORTS, "http://HOST:8080, or https://HOST behind a proxy with TLS")
    if parts.username is not None or parts.password is not None:
        raise AddressError(f"{option}: no user belongs there; the API key's file is --api-key-file")
    tls = parts.scheme == "https"
    return ApiAddress(
        host=parts.hostname or "",
        port=parts.port or API_PORTS[parts.scheme],
        tls=tls,
        ca_file=_readable(ca_file) if tls else None,
    )


def read_secret(path: Path, option: str) -> str:
    """The one line of a file that holds a secret. Raises AddressError, which names the option and the file only."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise AddressError(f"{option} {path}: cannot be read: {reason}") from None
    if not text:
        raise AddressError(f"{option} {path}: is empty")
    if not text.isprintable():
        raise AddressError(f"{option} {path}: expected one line")
    return text


def _split(option: str, url: str, schemes: Mapping[str, int], expected: str) -> SplitResult:
    refusal = AddressError(f"{option} '{_without_password(url)}': expected {expected}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refusal from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise refusal
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise refusal
    return parts


def _without_password(url: str) -> str:
    """The URL as it may be shown: of what is in front of an @ only what is in front of a colon, too."""
    head, at, host = url.rpartition("@")
    if not at:
        return url
    scheme, slashes, user = head.rpartition("//")
    return f"{scheme}{slashes}{user.partition(':')[0]}@{host}"


def _readable(path: Path | None) -> Path | None:
    if path is not None:
        try:
            path.read_bytes()
        except OSError as error:
            raise AddressError(f"--ca-file {path}: cannot be read: {error.strerror}") from None
    return path


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
