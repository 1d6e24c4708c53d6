"""The laptop and its ports, and the clock against that of a server which answers HTTP (RFC 9110 section 6.6.1, Date)."""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from serial.tools import list_ports

from zaehlwerk_tools.technician.finding import Finding, ok, skipped, warning, wrong

PYTHON = (3, 11)
PACKAGES = ("zaehlwerk", "mpremote", "pyserial")
CLOCK_S = 30.0
"""More makes the times of records wrong, and soon TLS and API keys too."""
HTTP_S = 5.0
LAPTOP, PORT = "laptop", "port"


def examine_laptop(urls: Sequence[str]) -> list[Finding]:
    """Python, packages, clock."""
    return [python_finding(sys.version_info[:3]), _packages(), clock_finding(urls)]


def python_finding(present: tuple[int, ...]) -> Finding:
    """Whether this Python does."""
    text = ".".join(str(part) for part in present)
    if present[:2] < PYTHON:
        return wrong(LAPTOP, f"Python {text} is too old: install {PYTHON[0]}.{PYTHON[1]} or newer")
    return ok(LAPTOP, f"Python {text} on {sys.platform}")


def _packages() -> Finding:
    told = []
    for name in PACKAGES:
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return wrong(
                LAPTOP, f"{name} is not installed: install zaehlwerk again (`pip install zaehlwerk`)"
            )
    return ok(LAPTOP, ", ".join(told))


def clock_finding(urls: Sequence[str]) -> Finding:
    """The clock against the first server of `urls` that says what time it is."""
    for url in urls:
        before = time.time()
        date = _date_of(url)
        after = time.time()
        if date is not None:
            # The header has whole seconds, rounded down.
            return offset_finding((before + after) / 2 - date - 0.5, url)
    if urls:
        return skipped(
            LAPTOP, f"clock: {urls[0]} does not say what time it is; compare it with a radio clock"
        )
    return skipped(LAPTOP, "clock: nothing to compare it with; name --bridge-url or --api-url")


def offset_finding(offset_s: float, url: str) -> Finding:
    """`offset_s`: this clock minus that one."""
    side = "fast" if offset_s > 0 else "slow"
    if abs(offset_s) > CLOCK_S:
        return wrong(
            LAPTOP,
            f"the clock is {abs(offset_s):.0f} s {side} against {url}: switch on setting the time by network, records and TLS "
            "need it",
        )
    return ok(LAPTOP, f"the clock is within {abs(offset_s) + 1:.0f} s of {url}")


def _date_of(url: str) -> float | None:
    """Unix seconds by the header Date; None: no answer that has one."""
    try:
        text = answer_of(url)[2]
        return None if text is None else parsedate_to_datetime(text).timestamp()
    except (OSError, ValueError, TypeError):
        return None


def answer_of(url: str) -> tuple[int, bytes, str | None]:
    """Status, body and header Date of a GET, past any proxy. Raises OSError, ValueError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url}: http://HOST:PORT is expected")
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(Request(url), timeout=HTTP_S) as answer:  # noqa: S310 - checked above
            return int(answer.status), bytes(answer.read(100_000)), answer.headers.get("Date")
    except HTTPError as error:
        with error:
            return int(error.code), bytes(error.read(100_000)), error.headers.get("Date")
    except URLError as error:
        raise OSError(str(error.reason)) from None
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP there ({type(error).__name__})") from None


def examine_ports(port: str | None) -> list[Finding]:
    """The ports of this machine, and whether the one that is meant may be opened."""
    there = [found.device for found in list_ports.comports()]
    told = (
        ok(PORT, f"ports here: {', '.join(there)}")
        if there
        else skipped(PORT, "no serial port here: is a board plugged in, and does its cable carry data?")
    )
    wanted = [port] if port is not None else there
    return [told, *(finding for name in wanted for finding in rights_finding(name))]


def rights_finding(port: str) -> list[Finding]:
    """Whether this user may open it; nothing is said of what is no device file."""
    if os.name != "posix" or "://" in port:
        return []
    path = Path(port)
    if not path.exists():
        return [wrong(PORT, f"{port} is not there: look at the cable, `mpremote devs` lists what is")]
    if not os.access(path, os.R_OK | os.W_OK):
        return [
            wrong(
                PORT,
                f"{port} may not be opened: `sudo usermod -aG {_group(path)} $USER`, then log out and in again",
            )
        ]
    if sys.platform == "linux" and path.name.startswith("ttyACM") and Path("/usr/sbin/ModemManager").exists():
        return [
            warning(PORT, f"{port} may be opened, but ModemManager tries ports of this kind too: remove it")
        ]
    return [ok(PORT, f"{port} may be opened")]


def _group(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError):
        return "dialout"
