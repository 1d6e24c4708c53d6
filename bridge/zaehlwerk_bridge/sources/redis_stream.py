"""One connection to Redis and the commands on ChirpStack's event stream: what is asked, and how answers are read.

A stream is read in one transaction with what is known of its length: so it is certain what was trimmed before it was
read. Replies are taken raw, as RESP2 has them; the library's own reading of entries would hide a field that comes twice.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import RedisSettings
from zaehlwerk_bridge.sources.item_id import ItemId, parse
from zaehlwerk_bridge.sources.stream_entry import Fields
from zaehlwerk_bridge.sources.stream_history import StreamInfo

STREAM = "device:stream:event"
"""ChirpStack's stream of all devices' events; its `[redis] key_prefix` stands before it."""

_T = TypeVar("_T")

_LATE = f"{2**64 - 1}-0"
"""Behind all entries that can be pending. Not the largest id there is: Redis takes that for `>`, new entries."""

FAILURES = (RedisError, OSError, TimeoutError)
"""What a connection may raise."""


class GroupMissing(Exception):
    """Stream or group are not there: never were, or Redis lost them."""


class Entry(NamedTuple):
    """An entry of the stream; `fields` None: it was trimmed after it had been given to the group."""

    id: str
    fields: Fields | None


@dataclass(frozen=True, slots=True)
class Consumer:
    """A reader of the group."""

    name: str
    pending: int
    idle_ms: int
    """Since it last asked for entries."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was there when it was read, and what came."""

    before: StreamInfo
    entries: Sequence[Entry]


class RedisStream:
    """The stream as `consumer` of the group in `settings` sees it. Used by one task at a time.

    Methods raise one of FAILURES, and GroupMissing where the group is needed.
    """

    def __init__(self, settings: RedisSettings, password: SecretFile | None, consumer: str) -> None:
        """Raises SettingsError about certificates and the password's file."""
        self.key = f"{settings.key_prefix}{STREAM}"
        self._group = settings.group
        self._consumer = consumer
        host, _, port = settings.server.rpartition(":")
        self._client = Redis(
            host=host.strip("[]"),
            port=int(port),
            db=settings.db,
            username=settings.username,
            password=None if password is None else password.read(),
            socket_timeout=settings.request_timeout_s,
            socket_connect_timeout=settings.request_timeout_s,
            # Who tries again, and when, is decided by the source.
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            protocol=2,
            **_tls(settings),
        )
        self._client.response_callbacks.clear()

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def make_group(self) -> bool:
        """Make the group, and the stream if there is none; whether it was made now.

        It begins with the oldest entry that is there: what was trimmed before nobody had promised to read.
        """
        info = await self._info()
        try:
            await self._do(
                "XGROUP", "CREATE", self.key, self._group, "0", "MKSTREAM", "ENTRIESREAD", info.trimmed
            )
        except ResponseError as error:
            if str(error).startswith("BUSYGROUP"):
                return False
            raise
        return True

    async def register(self) -> None:
        """Appear among the consumers of the group without reading anything."""
        await self._do("XGROUP", "CREATECONSUMER", self.key, self._group, self._consumer)

    async def withdraw(self) -> None:
        """Be no consumer of the group any more; only if nothing is pending, for that would be lost to it."""
        mine = [one for one in await self.consumers() if one.name == self._consumer]
        if mine and not mine[0].pending:
            await self._do("XGROUP", "DELCONSUMER", self.key, self._group, self._consumer)

    async def consumers(self) -> list[Consumer]:
        """All readers of the group."""
        return [
            Consumer(_str(one[b"name"]), int(one[b"pending"]), int(one[b"idle"]))
            for one in map(_map, await self._do("XINFO", "CONSUMERS", self.key, self._group))
        ]

    async def pending(self, after: str, count: int) -> list[Entry]:
        """Entries behind `after` that this consumer was given before and has not acknowledged."""
        words = (
            "XREADGROUP",
            "GROUP",
            self._group,
            self._consumer,
            "COUNT",
            count,
            "STREAMS",
            self.key,
            after,
        )
        return _entries(await self._do(*words))

    async def read(self, count: int) -> Read:
        """Take at most `count` new entries, and look at the stream as it was just before, in one transaction."""
        transaction: Any = self._client.pipeline(transaction=True)
        transaction.execute_command("XINFO", "STREAM", self.key)
        transaction.execute_command("XINFO", "GROUPS", self.key)
        transaction.execute_command(
            "XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, "STREAMS", self.key, ">"
        )
        try:
            replies = await _answer(transaction.execute(raise_on_error=False))
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        except ResponseError as error:
            raise _group_missing(error) from None
        stream, groups, entries = replies
        return Read(self._stream_info(stream, groups), _entries(entries))

    async def wait(self, newest: ItemId, at_most_ms: int) -> None:
        """Return when there is an entry behind `newest`, or after so long."""
        after = f"{newest[0]}-{newest[1]}"
        await self._do("XREAD", "COUNT", 1, "BLOCK", at_most_ms, "STREAMS", self.key, after)

    async def note_read(self, delivered: ItemId, read: int) -> None:
        """Correct how many entries the group was given up to `delivered`, those included that were lost."""
        await self._do(
            "XGROUP", "SETID", self.key, self._group, f"{delivered[0]}-{delivered[1]}", "ENTRIESREAD", read
        )

    async def claim(self, idle_ms: int, after: str, count: int) -> tuple[str, list[Entry]]:
        """Take over entries that some consumer has held for `idle_ms`; returns also where to go on, "0-0" at the end."""
        reply = await self._do(
            "XAUTOCLAIM", self.key, self._group, self._consumer, idle_ms, after, "COUNT", count
        )
        gone = [Entry(_str(entry_id), None) for entry_id in reply[2]]
        return _str(reply[0]), [*gone, *map(_entry, reply[1])]

    async def show_life(self) -> None:
        """Ask for what is pending behind everything: that is nothing, but Redis notes that somebody asked."""
        await self.pending(_LATE, 1)

    async def acknowledge(self, entry_ids: Sequence[str]) -> None:
        """Say that entries are stored."""
        await self._do("XACK", self.key, self._group, *entry_ids)

    async def info(self) -> StreamInfo:
        """The stream, without changing anything. `read` is None if there is no group."""
        return await self._info()

    async def _info(self) -> StreamInfo:
        try:
            stream = await self._do("XINFO", "STREAM", self.key)
            groups = await self._do("XINFO", "GROUPS", self.key)
        except GroupMissing:
            return StreamInfo(0, 0, (0, 0), (0, 0))
        return self._stream_info(stream, groups)

    def _stream_info(self, stream: Any, groups: Any) -> StreamInfo:
        about = _map(stream)
        first = about[b"first-entry"]
        mine: dict[bytes, Any] = next(
            (group for group in map(_map, groups) if _str(group[b"name"]) == self._group), {}
        )
        return StreamInfo(
            int(about[b"length"]),
            # Redis before 7.0 does not count.
            int(about.get(b"entries-added", about[b"length"])),
            (0, 0) if first is None else _id(first[0]),
            _id(about[b"last-generated-id"]),
            _id(mine.get(b"last-delivered-id", b"0-0")),
            mine.get(b"entries-read"),
            int(mine.get(b"pending", 0)),
        )

    async def _do(self, *words: str | int) -> Any:
        try:
            return await _answer(self._client.execute_command(*words))  # type: ignore[no-untyped-call]
        except ResponseError as error:
            raise _group_missing(error) from None


async def _answer(asked: Awaitable[_T]) -> _T:
    """Return what `asked` brings, unless the task is cancelled meanwhile.

    The library waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes together with
    what it waits for (https://github.com/python/cpython/issues/86296): the task would go on for ever.
    """
    answer = await asked
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return answer


def describe(error: BaseException, settings: RedisSettings) -> str:
    """What went wrong in one line, and what to do about it."""
    of_tls = (one for one in (error, error.__cause__, error.__context__) if isinstance(one, ssl.SSLError))
    tls_error = next(of_tls, None)
    text = " ".join(str(tls_error or error).split())[:300] or type(error).__name__
    fitting = (says for kind, word, says in _SAYS if isinstance(error, kind) and word in text)
    tls = "without TLS" if settings.insecure else "with TLS"
    says = _TLS_FAILED if tls_error else next(fitting, f"cannot be reached {tls}: {{text}}")
    key = f"{settings.key_prefix}{STREAM}"
    return f"Redis at {settings.server} {says.format(text=text, key=key)}"


_TLS_FAILED = "fails in TLS: {text}; check redis.ca_file and that the certificate is for this host name"
_LOGIN = "refuses the login: {text}; check redis.username and redis.password_file"
_CLUSTER = "is part of a cluster, which is not supported: {text}"
_SAYS: Sequence[tuple[type[BaseException], str, str]] = (
    (AuthenticationError, "", _LOGIN),
    (AuthenticationWrongNumberOfArgsError, "", _LOGIN),
    (ResponseError, "NOAUTH", _LOGIN),
    (NoPermissionError, "", "forbids a command: {text}; its user needs +@stream +@transaction ~{key}"),
    (BusyLoadingError, "", "is still loading its data"),
    (ReadOnlyError, "", "is a replica, which cannot acknowledge; name the primary in redis.server"),
    (
        ResponseError,
        "WRONGTYPE",
        "has something else than a stream at {key}; check redis.db and redis.key_prefix",
    ),
    (ResponseError, "MOVED", _CLUSTER),
    (ResponseError, "CLUSTERDOWN", _CLUSTER),
    (ResponseError, "", "answers: {text}"),
)
"""Of which kind an error is, a word in it, and what is said of it; the first that fits."""


def _group_missing(error: ResponseError) -> Exception:
    text = str(error)
    return GroupMissing(text) if "NOGROUP" in text or "no such key" in text.lower() else error


def _tls(settings: RedisSettings) -> dict[str, Any]:
    if settings.insecure:
        return {}
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, name)
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise SettingsError([f"redis.{name}: cannot read {path}: {error.strerror}"]) from None
    files = {
        "ssl_ca_certs": settings.ca_file,
        "ssl_certfile": settings.cert_file,
        "ssl_keyfile": settings.key_file,
    }
    return {
        "ssl": True,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        **{name: str(path) for name, path in files.items() if path is not None},
    }


def _entries(reply: Any) -> list[Entry]:
    return [] if not reply else [_entry(one) for one in reply[0][1]]


def _entry(reply: Any) -> Entry:
    entry_id, flat = reply
    return Entry(_str(entry_id), None if flat is None else tuple(zip(flat[::2], flat[1::2], strict=False)))


def _map(flat: Any) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _str(value: Any) -> str:
    return bytes(value).decode("ascii", "replace")


def _id(value: Any) -> ItemId:
    return parse(_str(value)) or (0, 0)
