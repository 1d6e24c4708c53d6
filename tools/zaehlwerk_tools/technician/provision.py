"""Makes a board a certain node: writes its settings with identity and key, and proves them by hash.

The board's own firmware judges the settings before they are in force. What the node has stored (totals, nonces) stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as with_other
from pathlib import Path
from typing import Any

from zaehlwerk_tools.simulator.known_boards import KNOWN_BOARDS
from zaehlwerk_tools.technician.board_facts import BoardFacts, read_facts
from zaehlwerk_tools.technician.board_transport import BoardProgramError, BoardTransport, open_board
from zaehlwerk_tools.technician.manifest import sha256
from zaehlwerk_tools.technician.node_key import NodeKey, given_key, kept_key, new_key
from zaehlwerk_tools.technician.self_test import Check, first_failure, self_test
from zaehlwerk_tools.technician.troubles import (
    AnotherIdentityError,
    CutOffError,
    NotVerifiedError,
    TechnicianError,
    UnsuitableError,
)

SETTINGS = "settings.json"
_NEW = SETTINGS + ".new"
_EUI = re.compile(r"[0-9a-f]{16}\Z")

# Of the key only its hash leaves the board.
_LOOK = """
import hashlib, binascii, json
def _h(b):
    return binascii.hexlify(hashlib.sha256(b).digest()).decode()
try:
    with open('settings.json', 'rb') as f:
        t = f.read()
    try:
        d = json.loads(t)
        r = (_h(t), str(d.get('dev_eui')).lower(), _h(str(d.get('app_key')).lower().encode()))
    except (ValueError, AttributeError):
        r = (_h(t), None, None)
except OSError:
    r = (None, None, None)
print(repr(r))
"""
_JUDGE = f"""
try:
    from app import settings
except ImportError:
    print(repr('no firmware'))
else:
    try:
        settings.load({_NEW!r}, {_NEW!r})
        print(repr(None))
    except Exception as e:
        print(repr(str(e)))
"""

# Firmware that found no settings has noted that as a crash, and after some starts a node would begin in safe mode for it.
# Where there is more than that note somebody has counted: then it stays.
_FORGET_STARTS = """
try:
    if set(os.listdir('state')) <= {'boot', 'boot.new'}:
        os.remove('state/boot')
except OSError:
    pass
"""


class SettingsFileError(TechnicianError):
    """The settings for the node are not what is wanted."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was done. `result`: "unchanged", "provisioned", or "would provision"."""

    facts: BoardFacts
    dev_eui: str
    key: NodeKey | None
    result: str
    self_test: tuple[Check, ...] = ()
    """Empty if none was made."""

    @property
    def failure(self) -> str | None:
        """The sentence of the self-test's first failure; None: there is none."""
        return first_failure(self.self_test)

    def document(self) -> dict[str, Any]:
        """One record, without any key."""
        kept = None if self.key is None or self.key.kept_in is None else str(self.key.kept_in)
        return {
            "result": self.result,
            "board": self.facts.document(),
            "dev_eui": self.dev_eui,
            "key_file": kept,
            "key_made": self.key is not None and self.key.made,
            "self_test": [check.document() for check in self.self_test],
        }


def read_settings(path: Path, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings without key; `given` takes precedence over the file's. Raises SettingsFileError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsFileError(f"{path} cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise SettingsFileError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise SettingsFileError(f"{path}: expected an object of settings")
    document.update(given or {})
    if "app_key" in document:
        raise SettingsFileError(
            f"{path}: app_key: keys are in files of their own, see --app-key-file; take it out"
        )
    for name in ("dev_eui", "join_eui"):
        document[name] = str(document.get(name, "")).lower()
        if not _EUI.match(document[name]):
            raise SettingsFileError(f"{path}: {name}: 16 hex digits are expected")
    return document


def provision(
    port: str,
    document: dict[str, Any],
    *,
    app_key_file: str | None,
    keys: Path,
    replace: str | None,
    dry_run: bool,
    before_start: Callable[[Provisioned], None] = lambda done: None,
) -> Provisioned:
    """Give the board at `port` the settings `document` and its key, and have it test itself.

    The key is that of `app_key_file` ("-": standard input), else that of its file in `keys`, else a new one, kept there before
    the board gets it. `replace`: the DevEUI that may be overwritten. `before_start` is called while the node does not run yet:
    a node that joins before the network server knows it would wait long for its next try. Raises TechnicianError.
    """
    dev_eui = document["dev_eui"]
    key = given_key(app_key_file) if app_key_file is not None else kept_key(keys, dev_eui)
    with open_board(port) as board:
        try:
            facts = read_facts(board)
            _require_chip(facts, document)
            there = board.value_of(_LOOK)
            _require_same(there, dev_eui, key, replace)
            same = key is not None and there[0] == sha256(_text(document, key))
            if dry_run:
                return Provisioned(facts, dev_eui, key, "unchanged" if same else "would provision")
            key = key or new_key(keys, dev_eui)
            if not same:
                _write(board, _text(document, key), first=there[1] is None)
            done = Provisioned(facts, dev_eui, key, "unchanged" if same else "provisioned")
            done = with_other(done, self_test=self_test(board))
            before_start(done)
        finally:
            # Its program was interrupted, and goes on, with the new settings if there are some.
            with suppress(CutOffError):
                board.reset()
    return done


def identity_of(board: BoardTransport) -> str | None:
    """The DevEUI in the board's settings, None if it is nobody yet. Raises BoardProgramError, CutOffError."""
    theirs = board.value_of(_LOOK)[1]
    return theirs if isinstance(theirs, str) else None


def require_identity(theirs: str | None, dev_eui: str, replace: str | None) -> None:
    """Raises AnotherIdentityError if the board is another node than `dev_eui`, unless that one is named by `replace`."""
    if theirs is not None and theirs != dev_eui and (replace or "").lower() != theirs:
        raise AnotherIdentityError(
            f"this board is the node {theirs}, and not {dev_eui}: take the right board, or say --replace {theirs}"
        )


def _text(document: dict[str, Any], key: NodeKey) -> bytes:
    return (json.dumps({**document, "app_key": key.hex}, sort_keys=True) + "\n").encode()


def _require_chip(facts: BoardFacts, document: dict[str, Any]) -> None:
    known = next((board for board in KNOWN_BOARDS.values() if board.file == document.get("board")), None)
    if known is not None and known.hardware.mcu.upper() != facts.chip:
        raise UnsuitableError(
            f"the settings are for the board {known.file}, and this one has a chip {facts.chip}: take the right one"
        )


def _require_same(
    there: tuple[str | None, str | None, str | None], dev_eui: str, key: NodeKey | None, replace: str | None
) -> None:
    _, their_eui, their_key = there
    require_identity(their_eui, dev_eui, replace)
    if their_eui is None or (replace is not None and replace.lower() == their_eui):
        return
    if key is None or sha256(key.hex.encode()) != their_key:
        whose = "and there is no key file for it here" if key is None else "and not the one of its key file"
        raise AnotherIdentityError(
            f"the node {their_eui} has an AppKey already, {whose}: bring its key file, "
            f"or give it another key by --replace {their_eui} (the network server needs that one too)"
        )


def _write(board: BoardTransport, text: bytes, *, first: bool) -> None:
    """`first`: it was nobody until now."""
    try:
        board.write(_NEW, text)
        if _hash_of(board, _NEW) != sha256(text):
            raise NotVerifiedError(
                f"{SETTINGS} on the board is not what was written: run the same command again"
            )
        complaint = board.value_of(_JUDGE)
        if complaint == "no firmware":
            raise UnsuitableError(
                "the board has no firmware that could read settings: run `zaehlwerk flash` first"
            )
        if complaint is not None:
            raise SettingsFileError(f"the node refuses the settings: {complaint.replace(_NEW, SETTINGS)}")
        forget = _FORGET_STARTS if first else ""
        board.run(f"import os\n{forget}os.rename({_NEW!r}, {SETTINGS!r})")
    except (TechnicianError, ValueError) as error:
        if not isinstance(error, CutOffError):
            with suppress(BoardProgramError, CutOffError):
                board.run(f"import os\nos.remove({_NEW!r})")
        raise
    if _hash_of(board, SETTINGS) != sha256(text):
        raise NotVerifiedError(f"{SETTINGS} on the board is not what was written: run the same command again")


def _hash_of(board: BoardTransport, path: str) -> object:
    return board.value_of(
        "import hashlib, binascii\n"
        f"print(repr(binascii.hexlify(hashlib.sha256(open({path!r}, 'rb').read()).digest()).decode()))"
    )
