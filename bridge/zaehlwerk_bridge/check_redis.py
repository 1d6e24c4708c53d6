"""Tries ChirpStack's Redis, where events come from there: login, rights, the stream, and how long an outage it survives."""

from zaehlwerk_bridge.check_finding import Findings
from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_bridge.errors import SettingsError
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.secret_file import SecretFile
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.sources.redis import ALIVE_MS
from zaehlwerk_bridge.sources.redis_stream import FAILURES, GroupMissing, RedisStream, describe
from zaehlwerk_bridge.sources.stream_history import SETTING, WANTED, StreamInfo, reach_s, too_short


async def check_redis(settings: Settings, redactor: Redactor) -> Findings:
    """Look at the stream without reading of it; a running bridge notices nothing. No findings for another source."""
    findings = Findings("redis", redactor)
    redis = settings.redis
    if settings.source != "redis":
        return findings
    try:
        password = None
        if redis.password_file is not None:
            password = SecretFile(redis.password_file, "redis.password_file", redactor)
            password.read()
        stream = RedisStream(redis, password, settings.id)
    except SettingsError as error:
        findings.wrong("connect", str(error))
        return findings
    try:
        info = await stream.info()
        findings.ok("connect", f"{redis.server} answers")
        _check_stream(info, stream.key, redis.outage_h * 3600, findings)
        if info.newest != (0, 0):
            await _check_group(stream, info, settings, findings)
    except FAILURES as error:
        what, _, remedy = describe(error, redis).partition("; ")
        findings.wrong("connect", what, remedy)
    finally:
        await stream.close()
    return findings


def _check_stream(info: StreamInfo, key: str, outage_s: float, findings: Findings) -> None:
    tried = f"stream {key}"
    now_ms = SystemClock().now_ns() // 1_000_000
    short = too_short(info, now_ms, outage_s)
    reach = reach_s(info, now_ms)
    if not info.added:
        findings.note(
            tried,
            "is not there, or empty",
            f"if devices were heard: check redis.db and redis.key_prefix, and that {SETTING} is not 0",
        )
    elif short:
        findings.wrong(tried, *short.split(": ", 1))
    elif reach is None:
        findings.note(
            tried,
            f"{info.length} entries, none was ever deleted, so its limit is not seen yet",
            f"{SETTING} has to hold {outage_s / 3600:g} h of events of all devices, for example {WANTED}",
        )
    else:
        findings.ok(tried, f"{info.length} entries reach back {reach / 3600:.1f} h")


async def _check_group(stream: RedisStream, info: StreamInfo, settings: Settings, findings: Findings) -> None:
    tried = f"consumer group {settings.redis.group}"
    try:
        consumers = await stream.consumers()
    except GroupMissing:
        findings.ok(
            tried, "is not there yet; the bridge makes it, and begins with the oldest entry that is there"
        )
        return
    others = [one.name for one in consumers if one.name != settings.id and one.idle_ms < ALIVE_MS]
    if others and not settings.shared:
        findings.wrong(
            tried,
            f"bridge {others[0]!r} reads in it",
            "each bridge with a database of its own needs a group of its own (redis.group)",
        )
    elif info.lost:
        findings.note(
            tried,
            f"{info.lost} entries were deleted before they were read",
            "the bridge was away for longer than the stream reaches back; nodes are asked for what is missing",
        )
    else:
        lag = "an unknown number of" if info.lag is None else info.lag
        findings.ok(tried, f"{lag} entries not read yet, {info.pending} read and not acknowledged")
