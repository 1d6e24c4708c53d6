"""What a running node is asked: programs for its raw prompt that read what it knows of itself and change nothing.

They speak of the node as its sources do. A build has short names for what is its own (`zaehlwerk_tools.short_names`), so they
are translated by the build's `names.json`, and the node must run that very build.

Counts are read without taking them away (`Inputs.so_far`): the next reading has them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from zaehlwerk_tools.short_names import EVERYWHERE, Names, shortened
from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport
from zaehlwerk_tools.technician.manifest import NAMES, Manifest, build_files, read_build
from zaehlwerk_tools.technician.running_node import MARGIN_MS
from zaehlwerk_tools.technician.troubles import BuildError, UnsuitableError

MARK = "\x1e"
"""Before each line of an observer (ASCII: record separator): the node prints lines of its own."""
LIFETIME_S = 3600
"""An observer that nobody ends, because the cable was pulled, ends itself."""

_INPUTS = """
def zwcounts():
    new = node.inputs.so_far()
    return [node.intervals.pulses[k] + new[k] for k in range(len(new))]
"""
_NODE = """
import asyncio, json
def zwlook():
    from app import VERSION
    i, c, d, u = node.intervals, node.clock, node.device, node.uptime()
    m = None if d is None else d.mac
    s = None if m is None else m.session
    now = zwcounts()
    begun = [i.start[k] + i.unsynced_totals[k] for k in range(len(now))] if i.live else [None] * len(now)
    return {
        'dev_eui': None if m is None else m.identity.dev_eui.hex(),
        'firmware': '.'.join([str(part) for part in VERSION]),
        'boots': node.boots,
        'safe_mode': node.safe,
        'uptime_s': u // 1000,
        'joined': d is not None and d.joined,
        'heard': node.heard,
        'data_rate': None if s is None else m.next_rate(),
        'uplinks': None if s is None else s.fcnt_up,
        'downlinks': None if s is None else s.fcnt_down + 1,
        'sent_s': None if d is None or not d.tx_end else (u - d.tx_end) // 1000,
        'rest_s': None if m is None else max(0, m.duty.free_at(868100000, 0 if s is None else s.max_duty) - u) // 1000,
        'radio': None if d is None else d.radio_error,
        'counts': now,
        'since_boundary': [None if begun[k] is None else (now[k] - begun[k]) & 0xFFFFFFFF for k in range(len(now))],
        'interval_s': i.interval_s,
        'utc': c.utc_ms(u) // 1000 if c.known else None,
        'clock_error_ms': c.error_ms(u),
        'battery_mv': node.battery_mv,
        'temperature': node.temperature,
        'channels': [n[0] << 4 | n[1] for n in node.channel_map],
        'health': [n for n in node.inputs.health],
        'alarms': [n for n in node.alarms.now],
        'fault': node.faulty,
        'crash': None if not node.crash else bytes(node.crash).decode(),
    }
"""
_MAY_HOLD = (
    "not node.quiet.locked() and (not node.intervals.live or "
    f"node.intervals.boundary_ms() - node.clock.utc_ms(node.uptime()) > {MARGIN_MS})"
)
_SHOW = f"""
def zwshow():
    print({MARK!r} + json.dumps(zwlook()))
"""
_BEGIN = f"""
zwon = [True]
async def zwwatch(on):
    for zwleft in range({LIFETIME_S}):
        if not on:
            return
        zwshow()
        await asyncio.sleep(1)
asyncio.create_task(zwwatch(zwon))
"""
# asyncio cancels no task that it takes for the one that runs, and after an interrupt that is the last one that ran.
_END = """
try:
    zwon.clear()
    del zwon, zwwatch
except (NameError, KeyError):
    pass
try:
    del zwshow, zwlook, zwcounts
except (NameError, KeyError):
    pass
"""
_LIKE = """
import hashlib, binascii
def zwhash(path):
    with open(path, 'rb') as f:
        return binascii.hexlify(hashlib.sha256(f.read()).digest()).decode()
print([zwhash(path) for path in {paths!r}])
del zwhash
"""
_READ = (
    "app/node.mpy",
    "app/intervals.mpy",
    "app/clock.mpy",
    "app/alarms.mpy",
    "counting/inputs.mpy",
    "lorawan/device.mpy",
    "lorawan/mac.mpy",
)
"""Files whose names the programs use: they must be those of the build."""


@dataclass(frozen=True, slots=True)
class Observer:
    """The programs for one build. `folder` names it to people."""

    folder: Path
    manifest: Manifest
    names: Names

    @property
    def may_hold(self) -> str:
        """Whether the node is neither on the air nor about to close an interval: an expression."""
        return shortened(_MAY_HOLD, "", self.names)

    @property
    def definitions(self) -> str:
        """What the other programs need, and the node keeps while it is watched: about 3 kB of its heap."""
        own = shortened(_INPUTS, "counting/inputs.py", self.names)
        return own + shortened(_NODE, "", self.names) + _SHOW

    @property
    def once(self) -> str:
        """Print one line and leave nothing behind."""
        return self.definitions + "zwshow()\n" + _END

    @property
    def begin(self) -> str:
        """Print a line every second from now on, beside the node's own tasks."""
        return _END + self.definitions + _BEGIN

    @property
    def end(self) -> str:
        """No more of that; nothing stays."""
        return _END

    def require_fits(self, board: BoardTransport) -> None:
        """Raises UnsuitableError: the node runs another firmware than the build."""
        wanted = {file.path: file.sha256 for file in self.manifest.files}
        paths = [path for path in _READ if path in wanted]
        try:
            there = board.value_of(_LIKE.format(paths=paths))
        except (BoardProgramError, ValueError, SyntaxError):
            there = None
        if not paths or there != [wanted[path] for path in paths]:
            raise self.misfit()

    def misfit(self) -> UnsuitableError:
        """The node does not know the names of this build."""
        return UnsuitableError(
            f"the node runs another firmware than {self.folder} ({self.manifest.firmware}): name the build that it has by "
            "--build, or bring this one onto it with `zaehlwerk firmware update`"
        )


def read_observer(build: Path) -> Observer:
    """The programs for the nodes that run `build`. Raises BuildError."""
    manifest, _ = read_build(build)
    path = build / NAMES
    text = build_files(build).get(NAMES)
    if text is None:
        raise BuildError(f"{path} is missing: build the firmware again")
    try:
        names = json.loads(text)
    except ValueError as error:
        raise BuildError(f"{path} is not JSON ({error}): build the firmware again") from None
    if not isinstance(names, dict) or not isinstance(names.get(EVERYWHERE), dict):
        raise BuildError(f"{path} is no table of names: build the firmware again")
    return Observer(build, manifest, names)
