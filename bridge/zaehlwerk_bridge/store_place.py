"""Where a bridge's store is, as its settings say it."""

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from zaehlwerk_bridge.database import PROGRAM, Server
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings

PASSWORD_SETTING = "store.password_file"  # noqa: S105 - the setting's name
_LOCAL = ("", "localhost", "127.0.0.1", "::1")
_VERIFIED = {"sslmode": "verify-full", "sslrootcert": "system"}


def store_place(settings: Settings, redactor: Redactor) -> Path | Server:
    """The SQLite file, or the PostgreSQL server, whose password is read anew for each connection."""
    if isinstance(settings.database, Path):
        return settings.database
    password = None
    if settings.store.password_file is not None:
        password = SecretFile(settings.store.password_file, PASSWORD_SETTING, redactor)
    return Server(
        verified(settings.database),
        lambda: None if password is None else password.read(),
        f"{PROGRAM} {settings.id}",
    )


def verified(url: str) -> str:
    """`url`, with TLS and the server's certificate verified unless it says something else or stays on this machine."""
    parts = urlsplit(url)
    given = parse_qs(parts.query)
    host = parts.hostname or given.get("host", [""])[0]
    if "sslmode" in given or host in _LOCAL or host.startswith("/"):
        return url
    missing = {name: value for name, value in _VERIFIED.items() if name not in given}
    query = "&".join(part for part in (parts.query, urlencode(missing)) if part)
    return urlunsplit(parts._replace(query=query))
