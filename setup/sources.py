"""apt's sources as the machine has them, rewritten for a private index of one suite.

Both formats are read: one line each (`sources.list`) and deb822 (`*.sources`, see sources.list(5)). Only the
distribution's own suites are kept (`NAME`, `NAME-updates`, `NAME-security`), because nothing else is wanted and
another party's archive may have no such suite. `trusted=yes` is never carried over: what is not signed is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The first Debian release that carries a new enough MicroPython. Older ones borrow it.
FIRST_WITH_MICROPYTHON = "trixie"
BEFORE_IT = frozenset({"buster", "bullseye", "bookworm"})
# Names by which a machine may follow a release instead of its code name.
ALIASES = frozenset({"oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"})
# MicroPython and Mosquitto are in Debian's `main` and in Ubuntu's `universe`.
COMPONENTS = ("main", "universe")

_ONE_LINE = re.compile(
    r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)"
)
_SUITE = re.compile(r"^(?P<name>[a-z]+)(?P<kind>-updates|-security|/updates)?$")


@dataclass(frozen=True)
class Source:
    """One archive: its address, suites and components, and the key that must have signed it ("" = apt's own)."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def parse_one_line(text: str) -> Iterator[Source]:
    """Yield the binary archives of a `sources.list`."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.strip())
        if match:
            options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
            yield Source(
                match["uri"],
                (match["suite"],),
                tuple(match["components"].split()),
                options.get("signed-by", ""),
            )


def parse_deb822(text: str) -> Iterator[Source]:
    """Yield the enabled binary archives of a `*.sources` file; a key written into the file keeps its lines."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] = fields.get(name, "") + "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in (
            "no",
            "false",
        ):
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )


def read_machine(etc: Path = Path("/etc/apt")) -> list[Source]:
    """Return all archives that the machine's apt is configured with."""
    found: list[Source] = []
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # none there, or not for this user's eyes: the others may do
        if file.suffix == ".list":
            found += parse_one_line(text)
        elif file.suffix == ".sources":
            found += parse_deb822(text)
    return found


def code_name(os_release: str) -> str:
    """Return the code name of the release whose archives the machine uses, from the text of /etc/os-release.

    A derivative of Ubuntu names Ubuntu's. "" if there is none, as on Debian's unstable.
    """
    fields: Mapping[str, str] = {
        key: value.strip().strip("\"'")
        for key, separator, value in (line.partition("=") for line in os_release.splitlines())
        if separator
    }
    return fields.get("UBUNTU_CODENAME") or fields.get("VERSION_CODENAME", "")


def suite_for(name: str) -> str:
    """Return the suite to take MicroPython from on the release `name`."""
    return FIRST_WITH_MICROPYTHON if name in BEFORE_IT else name


def for_suite(machine: Iterable[Source], name: str, suite: str) -> list[Source]:
    """Return the distribution's own archives of the machine's release `name`, as those of `suite`."""
    found: list[Source] = []
    for source in machine:
        components = tuple(part for part in source.components if part in COMPONENTS)
        suites = tuple(filter(None, (_swapped(old, name, suite) for old in source.suites)))
        if suites and components and not source.uri.startswith("cdrom:"):
            found.append(Source(source.uri, suites, components, source.signed_by))
    return found


def _swapped(old: str, name: str, suite: str) -> str:
    """Return the suite to read instead of `old`, "" if it is none of the distribution's own."""
    match = _SUITE.match(old)
    if not match or (match["name"] != name and match["name"] not in ALIASES):
        return ""
    if suite == name:
        return old
    return suite + (match["kind"] or "").replace("/updates", "-security")


def as_deb822(sources: Iterable[Source]) -> str:
    """Return the text of a private `*.sources` file."""
    stanzas = []
    for source in sources:
        lines = [
            "Types: deb",
            f"URIs: {source.uri}",
            f"Suites: {' '.join(source.suites)}",
            f"Components: {' '.join(source.components)}",
        ]
        if source.signed_by:
            separator = "" if source.signed_by.startswith("\n") else " "
            lines.append(f"Signed-By:{separator}{source.signed_by}")
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)
