"""A Mosquitto that asks for a user and grants rights by topic, as a city's broker does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from zaehlwerk_tools.broker import BrokerProcess
from zaehlwerk_tools.broker_program import find_program

ROUNDS = 101


def password_line(user: str, password: str) -> str:
    """A line of a password file: Mosquitto's format 7, PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"{user}:$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def _configured(folder: Path, users: dict[str, str], rights: str) -> str:
    folder.mkdir()
    lines = ["listener {port} {host}", "allow_anonymous false", "log_dest stderr"]
    files = {
        "password_file": "".join(password_line(user, password) for user, password in users.items()),
        "acl_file": rights,
    }
    for option, text in files.items():
        if text:
            path = folder / option
            path.write_text(text)
            path.chmod(0o600)
            lines.append(f"{option} {path}")
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def guarded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, users: dict[str, str], rights: str = ""
) -> AsyncIterator[BrokerProcess]:
    """A broker for `users` (name to password) only; `rights` is the text of an ACL file, none: everybody may everything."""
    program = find_program()
    if not program.is_mosquitto:
        pytest.skip("this machine has no Mosquitto")
    monkeypatch.setattr("zaehlwerk_tools.broker.MOSQUITTO_CONF", _configured(folder, users, rights))
    async with await BrokerProcess.start(folder, program=program) as broker:
        yield broker


@asynccontextmanager
async def deaf_server() -> AsyncIterator[int]:
    """A TCP port that accepts and says nothing."""
    done = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        done.set()
        server.close()
        await server.wait_closed()
