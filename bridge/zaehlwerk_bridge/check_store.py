"""Whether the database can be what the bridge relies on: its place, its disk, its schema, its writability."""

import getpass
import os
import sqlite3
import tempfile
from pathlib import Path

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.database import BUSY_S, SCHEMA_VERSION, open_to_read
from zaehlwerk_bridge.disk_watch import MB
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.store_figures import disk_free_bytes

MOUNTS = Path("/proc/self/mountinfo")  # proc_pid_mountinfo(5)
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs"}
)
"""File systems on which SQLite's write-ahead log does not work (sqlite.org/wal.html, section 1)."""


def check_store(settings: Settings, redactor: Redactor) -> Findings:
    """Look, and write nothing that stays."""
    findings = Findings("store", redactor)
    path = settings.database_file
    if path is None:
        from zaehlwerk_bridge.check_postgres import check_postgres  # noqa: PLC0415 - takes its time, and few need it

        check_postgres(settings, redactor, findings)
        return findings
    directory = path.parent
    if not directory.is_dir():
        findings.wrong("directory", f"{directory}: there is none", f"install -d -m 0750 {directory}")
        return findings
    _where(findings, directory)
    _space(findings, path, settings.store.low_water_mb)
    _writable(findings, directory)
    if path.exists():
        _database(findings, path)
    else:
        findings.ok("database", f"{path}: is not there yet, the first start makes it")
    return findings


def _where(findings: Findings, directory: Path) -> None:
    kind = file_system(directory)
    if kind in NETWORK:
        remedy = "put the database on a disk of this machine"
        findings.wrong("file system", f"{directory}: is on {kind}, over a network", remedy)
    elif kind:
        findings.ok("file system", f"{directory}: {kind}")


def file_system(directory: Path, mounts: Path = MOUNTS) -> str:
    """The kind of file system that holds `directory`, as Linux names it; empty if that cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place = directory.resolve()
    found = ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ")
        if (place == Path(point) or Path(point) in place.parents) and len(point) >= len(found[0]):
            found = (point, after.split(" ")[0])
    return found[1]


def _space(findings: Findings, path: Path, low_water_mb: int) -> None:
    free_mb = disk_free_bytes(path) // MB
    if free_mb < low_water_mb:
        text = f"{free_mb} MB free, fewer than store.low_water_mb = {low_water_mb}: no events would be read"
        findings.wrong("space", text, "make space, or lower store.low_water_mb")
    elif free_mb < 2 * low_water_mb:
        findings.note("space", f"{free_mb} MB free; below {low_water_mb} MB the bridge stops reading")
    else:
        findings.ok("space", f"{free_mb} MB free")


def _writable(findings: Findings, directory: Path) -> None:
    user = _user()
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"\0")
    except OSError as error:
        remedy = f"chown or chmod {directory}, or run this as the bridge's user"
        findings.wrong("directory", f"{directory}: {user} cannot write there: {error.strerror}", remedy)
    else:
        findings.ok("directory", f"{directory}: {user} can write there")


def _database(findings: Findings, path: Path) -> None:
    try:
        database = open_to_read(path)
        try:
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
        finally:
            database.close()
    except sqlite3.Error as error:
        remedy = "`database` names another file, or restore a backup (zaehlwerk-bridge restore)"
        findings.wrong("database", f"{path}: {error}", remedy)
        return
    if version > SCHEMA_VERSION:
        text = f"{path}: schema {version} is newer than this program's {SCHEMA_VERSION}"
        findings.wrong("schema", text, "use the newer bridge, or restore a backup that this one made")
        return
    if version < SCHEMA_VERSION:
        text = f"{path}: schema {version}; the next start brings it to {SCHEMA_VERSION}, and there is no way back"
        findings.note("schema", text, "make a backup before (zaehlwerk-bridge backup)")
    else:
        findings.ok("schema", f"{path}: {version}")
    _lock(findings, path)


def _lock(findings: Findings, path: Path) -> None:
    """Begin a transaction that writes, and take it back."""
    try:
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=BUSY_S
        )
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        finally:
            database.close()
    except sqlite3.Error as error:
        remedy = "another program holds it, or it belongs to somebody else"
        findings.wrong("database", f"{path}: {_user()} cannot write to it: {error}", remedy)
    else:
        findings.ok("database", f"{path}: {_user()} can write to it")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return f"user {os.geteuid()}"
