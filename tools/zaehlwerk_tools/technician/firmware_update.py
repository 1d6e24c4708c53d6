"""`zaehlwerk firmware update`: another firmware for a mounted node, over its cable; what it has stored is proven to stay.

The node's settings and everything below `state/` (totals, nonces, session, ring, epoch) are hashed before the first byte is
written and again before the node starts: they must be the same. What was counted since the node last stored its totals, a minute
at most, is lost as by a power cut, and flagged like one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport
from zaehlwerk_tools.technician.flash import Flashed, Progress, flash
from zaehlwerk_tools.technician.hash_program import HASH
from zaehlwerk_tools.technician.manifest import Manifest, read_build
from zaehlwerk_tools.technician.provision import SETTINGS, identity_of
from zaehlwerk_tools.technician.terminal_commands import shown_flash
from zaehlwerk_tools.technician.troubles import (
    BuildError,
    NotRunningError,
    NotVerifiedError,
    Status,
    UnsuitableError,
)

STATE = "state"
_VERSIONS = """
def _v(name):
    try:
        return __import__(name).VERSION
    except (ImportError, AttributeError, SyntaxError, ValueError):
        return None
print(repr((_v('app'), _v('zaehlwerk_protocol'))))
"""
_STORED = f"""
import os
{HASH}def _walk(d):
    for e in os.ilistdir(d):
        p = d + '/' + e[0]
        if e[1] & 0x4000:
            _walk(p)
        else:
            print(repr((p, _hash(p))), end=',')
print('[', end='')
for p in ({SETTINGS!r},):
    try:
        print(repr((p, _hash(p))), end=',')
    except OSError:
        pass
try:
    _walk({STATE!r})
except OSError:
    pass
print(']')
"""


@dataclass(slots=True)
class Before:
    """What the board had: versions (None: cannot be read, as after a cut), and the hash of each file that must stay."""

    dev_eui: str | None = None
    firmware: str | None = None
    protocol: int | None = None
    stored: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Updated:
    """What was done, or with `dry_run` what would be."""

    flashed: Flashed
    before: Before

    def document(self) -> dict[str, Any]:
        """One record."""
        words = {"flashed": "updated", "would flash": "would update"}
        document = self.flashed.document()
        return {
            **document,
            "result": words.get(document["result"], document["result"]),
            "dev_eui": self.before.dev_eui,
            "before": {"firmware": self.before.firmware, "protocol": self.before.protocol},
            "stays": len(self.before.stored),
        }


def update(
    port: str,
    manifest: Manifest,
    contents: Mapping[str, bytes],
    *,
    protocol: int | None,
    dry_run: bool,
    progress: Progress,
) -> Updated:
    """Bring `contents` onto the node at `port`, which then starts. `protocol`: the version that may be another than the node's.

    Raises TechnicianError.
    """
    _require_harmless(manifest)
    before = Before()

    @contextmanager
    def stays(board: BoardTransport) -> Iterator[None]:
        _look(board, before)
        _require_protocol(before, manifest, protocol)
        yield
        after = _stored(board)
        if after != before.stored:
            differing = sorted(dict(before.stored.items() ^ after.items()))
            raise NotVerifiedError(
                f"{differing[0]} on the board is not what it was before: the firmware is on it; look at its counts, and keep "
                "the old ones' bounds in mind"
            )

    flashed = flash(port, manifest, contents, dry_run=dry_run, progress=progress, guard=stays)
    return Updated(flashed, before)


def run_update(port: str, build: Path, *, protocol: int | None, dry_run: bool, as_json: bool) -> int:
    """Update one node; the exit status. Raises TechnicianError."""
    manifest, contents = read_build(build)
    with shown_flash(quiet=as_json) as progress:
        updated = update(port, manifest, contents, protocol=protocol, dry_run=dry_run, progress=progress)
    if as_json:
        sys.stdout.write(json.dumps({"port": port, **updated.document(), "status": 0}) + "\n")
    else:
        sys.stdout.write(f"{port}: {told(updated)}\n")
    return int(Status.DONE)


def told(updated: Updated) -> str:
    """What was done, in a line."""
    flashed, before = updated.flashed, updated.before
    new = flashed.manifest.firmware
    if flashed.plan.nothing:
        return f"node {before.dev_eui} has firmware {new} already, nothing written; it starts again"
    what = f"{len(flashed.plan.write)} files, {flashed.plan.size / 1000:.1f} kB"
    old = before.firmware or "an unfinished one"
    if flashed.dry_run:
        return f"node {before.dev_eui} would get firmware {new} for {old} ({what}); it starts again as it was"
    return (
        f"node {before.dev_eui} has firmware {new} now, before {old} ({what}); settings and {len(before.stored) - 1} stored "
        "files are as they were, verified by hash; it starts"
    )


def _look(board: BoardTransport, before: Before) -> None:
    before.dev_eui = identity_of(board)
    before.stored = _stored(board)
    if before.dev_eui is None or len(before.stored) < 2:
        raise NotRunningError(
            "this board is no node that has counted: `zaehlwerk flash` and `zaehlwerk provision` make it one"
        )
    before.firmware, before.protocol = read_versions(board)


def read_versions(board: BoardTransport) -> tuple[str | None, int | None]:
    """Of the firmware and of the frames; None where a board has none, or only half of it. Raises CutOffError."""
    try:
        firmware, spoken = board.value_of(_VERSIONS)
    except (BoardProgramError, ValueError, SyntaxError, TypeError):
        return None, None
    text = ".".join(str(part) for part in firmware) if isinstance(firmware, tuple) else None
    return text, spoken if isinstance(spoken, int) else None


def _require_harmless(manifest: Manifest) -> None:
    """Folders of a build belong to the firmware: what else lies in them goes."""
    for file in manifest.files:
        if file.path.split("/")[0] in (STATE, SETTINGS):
            raise BuildError(
                f"the build has a file {file.path}, which is the node's own: build the firmware again"
            )


def _require_protocol(before: Before, manifest: Manifest, named: int | None) -> None:
    """Without a version on the board an update was cut off that had passed here."""
    if before.protocol in (None, manifest.protocol) or named == manifest.protocol:
        return
    raise UnsuitableError(
        f"the node speaks protocol {before.protocol} and this build {manifest.protocol}: when the bridge can read that, say "
        f"--protocol {manifest.protocol}"
    )


def _stored(board: BoardTransport) -> dict[str, str]:
    return dict(board.value_of(_STORED))
