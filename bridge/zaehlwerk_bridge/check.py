"""Tries everything that the settings name and says what is wrong with each, and what to do about it. Changes nothing."""

import asyncio

from zaehlwerk_bridge.check_broker import check_broker
from zaehlwerk_bridge.check_chirpstack import check_chirpstack
from zaehlwerk_bridge.check_files import check_files
from zaehlwerk_bridge.check_finding import Finding
from zaehlwerk_bridge.check_http import check_http
from zaehlwerk_bridge.check_redis import check_redis
from zaehlwerk_bridge.check_store import check_store
from zaehlwerk_bridge.redaction import Redactor
from zaehlwerk_bridge.settings import Settings


async def check(settings: Settings, redactor: Redactor, queued: int = 0) -> list[Finding]:
    """Try each side as the bridge would use it, beside a bridge that may be running. `queued`: see check_broker."""
    sides = await asyncio.gather(
        asyncio.to_thread(check_files, settings, redactor),
        check_chirpstack(settings, redactor),
        check_redis(settings, redactor),
        check_broker(settings, redactor, queued),
        asyncio.to_thread(check_store, settings, redactor),
        asyncio.to_thread(check_http, settings, redactor),
    )
    return [finding for side in sides for finding in side]
