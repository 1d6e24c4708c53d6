"""The commands `backup` and `restore`."""

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from zaehlwerk_bridge.backup import Copied, back_up
from zaehlwerk_bridge.backup import restore as put_back
from zaehlwerk_bridge.command_line import (
    EXIT_BAD_INPUT,
    EXIT_BROKEN,
    ConfigOption,
    JsonOption,
    complain,
    read_settings,
)
from zaehlwerk_bridge.errors import BridgeError
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.store_lock import PATIENCE_S


def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the copy goes, for example a dated name.")
    ],
    config: ConfigOption,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Take the place of a file that is there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the store of a bridge that may be running: one file, checked, readable by its owner only, whole or not at all.

    It holds ledger, records, outbox and cursors, and no keys. The bridge goes on meanwhile. BACKUP.md says more.

    Exit status 0: the copy is there and was checked. 1: the disk failed or is full. 2: bad settings, no database, FILE is
    there already, or the database is damaged.

    Example: zaehlwerk-bridge backup --config /etc/zaehlwerk/bridge.toml /var/backups/zaehlwerk-2026-06-21.sqlite
    """
    path = _file(read_settings(config), _DUMP)
    with _told(file):
        copied = back_up(path, file, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps({"ok": True, **_as_dict(copied)}))
    else:
        typer.echo(_line(copied))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A copy that `backup` made.")],
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Put a copy in the place of the store. Only while the bridge is stopped.

    What is there is kept beside it under another name. The bridge asks the broker at its next start what was published
    since the copy was made, and publishes nothing twice into the sum; what ChirpStack's history and the nodes' memory
    still hold of that time is taken again. BACKUP.md says more.

    Exit status 0: it is in its place. 1: the disk failed or is full. 2: bad settings, a bridge is running, FILE is no
    store, is damaged or of a newer version; then nothing was changed.

    Example: zaehlwerk-bridge restore --config /etc/zaehlwerk/bridge.toml /var/backups/zaehlwerk-2026-06-21.sqlite
    """
    path = _file(read_settings(config), _RESTORE)
    with _told(path):
        restored = put_back(file, path, PATIENCE_S)
    kept = restored.kept
    if as_json:
        kept_name = None if kept is None else str(kept)
        typer.echo(json.dumps({"ok": True, **_as_dict(restored.copied), "kept": kept_name}))
        return
    typer.echo(_line(restored.copied))
    if kept is not None:
        typer.echo(f"{kept}: what was there before; delete it when all is well")


_DUMP = "the database is PostgreSQL, and its copies are PostgreSQL's own: pg_dump --format=custom; BACKUP.md says how"
_RESTORE = (
    "the database is PostgreSQL, and its copies are put back by pg_restore, which needs one more step before a bridge"
    " starts; BACKUP.md says which"
)


def _file(settings: Settings, refusal: str) -> Path:
    """The SQLite file; what is on a server is not for these commands."""
    path = settings.database_file
    if path is None:
        complain([refusal])
        raise typer.Exit(EXIT_BAD_INPUT)
    return path


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What goes wrong is one line and an exit status."""
    try:
        yield
    except BridgeError as error:
        complain([str(error)])
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except sqlite3.Error as error:
        complain([f"{path}: {error}"])
        raise typer.Exit(EXIT_BROKEN) from None
    except OSError as error:
        complain([f"{path}: {error.strerror or error}"])
        raise typer.Exit(EXIT_BROKEN) from None


def _line(copied: Copied) -> str:
    return (
        f"{copied.path}: {copied.size} bytes, schema {copied.schema}, {copied.stations} stations, "
        f"{copied.waiting} messages wait to be published"
    )


def _as_dict(copied: Copied) -> dict[str, object]:
    content = dataclasses.asdict(copied)
    return {"file": str(content.pop("path")), "bytes": content.pop("size"), **content}
