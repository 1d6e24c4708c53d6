"""The steps of a `provision` with a server, and how one of them is the last: run as a program, it is killed there."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zaehlwerk_tools.technician import board_transport, provision, registration, unit
from zaehlwerk_tools.technician.board_transport import BoardTransport
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.unit import Outcome, Wishes, bring_up, read_unit

WAIT_S = 60
Patch = Callable[[Any, str, Any], None]


@dataclass(frozen=True)
class Step:
    """Before or after a call of `owner.name`, at the `nth` of those whose last argument has `words` in it."""

    owner: Any
    name: str
    after: bool = False
    nth: int = 1
    words: str = ""


_RENAME = "os.rename('settings.json.new'"
STEPS = {
    "nobody was asked anything": Step(provision, "read_facts"),
    "the board has said who it is": Step(provision, "_require_same", after=True),
    "the key is made": Step(provision, "new_key", after=True),
    "the settings are half written": Step(BoardTransport, "run", nth=2, words="f.write("),
    "the settings are written": Step(provision, "_hash_of"),
    "the settings are judged": Step(BoardTransport, "run", words=_RENAME),
    "the settings are in force": Step(BoardTransport, "run", after=True, words=_RENAME),
    "the self-test begins": Step(provision, "self_test"),
    "the self-test is done": Step(provision, "self_test", after=True),
    "the record is kept": Step(unit, "keep_record", after=True),
    "the server was looked at": Step(registration.provisioning, "provision"),
    "the server has it": Step(unit, "registered", after=True),
    "the record says so": Step(unit, "keep_record", after=True, nth=2),
    "the node starts": Step(BoardTransport, "reset", after=True),
    "the node is waited for": Step(registration, "wait_until_heard"),
}


def cut(step: Step, do: Callable[[], None], patch: Patch) -> None:
    """Have `do` called at this step, once."""
    original = getattr(step.owner, step.name)
    seen = 0

    def instead(*arguments: Any, **more: Any) -> Any:
        nonlocal seen
        seen += step.words in str(arguments[-1] if arguments else "")
        meant = seen == step.nth and step.words in str(arguments[-1] if arguments else "")
        if meant and not step.after:
            do()
        answer = original(*arguments, **more)
        if meant and step.after:
            do()
        return answer

    patch(step.owner, step.name, instead)
    patch(board_transport, "CHUNK", 64)  # else the settings would be one exchange


def brought_up(port: str, folder: Path, url: str, wait_s: float = WAIT_S) -> Outcome:
    """What the command does with everything in `folder`."""
    server = Server(url, folder / "api.key", wait_s=wait_s)
    wishes = Wishes(keys=folder / "keys", records=folder / "records", server=server)
    return bring_up(port, read_unit(folder / "node.json"), wishes)


if __name__ == "__main__":
    cut(STEPS[sys.argv[1]], lambda: os.kill(os.getpid(), signal.SIGKILL), setattr)
    brought_up(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
