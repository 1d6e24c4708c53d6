"""What takes a node's power: any command, a USB hub that switches its ports, a relay at a serial line."""

from __future__ import annotations

import shlex
import string
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import serial

from hil_tests.interface import RigError

_SECONDS = 15


class PowerSwitch(Protocol):
    """Both raise RigError: what did not work, and what to do."""

    def on(self) -> None:
        """The node has power when this returns."""
        ...

    def off(self) -> None:
        """And has none."""
        ...


def checked_template(text: str, where: str, needed: Sequence[str] = ()) -> str:
    """A command whose places in braces are the `needed` ones and no others. Raises RigError."""
    try:
        places = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        words = shlex.split(text)
    except ValueError as error:
        raise RigError(f"{where}: {text!r} is no command: {error}") from None
    if not words:
        raise RigError(f"{where}: a command is expected")
    if unknown := places - set(needed):
        raise RigError(f"{where}: {{{min(unknown)}}} is unknown in a command")
    if missing := set(needed) - places:
        raise RigError(f"{where}: the command needs {{{min(missing)}}}")
    return text


def run_command(template: str, **values: object) -> None:
    """Run a command, word by word and by no shell. Raises RigError."""
    words = [word.format(**values) for word in shlex.split(template)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        raise RigError(
            f"{words[0]} is not installed: install it, or name another command in rig.toml"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RigError(f"{shlex.join(words)}: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RigError(
            f"{shlex.join(words)} ended with status {done.returncode}{': ' + said[0] if said else ''}"
        )


@dataclass(frozen=True, slots=True)
class CommandSwitch:
    """Any program that switches, as words of a command line."""

    on_command: str
    off_command: str

    def on(self) -> None:
        """See `PowerSwitch`."""
        run_command(self.on_command)

    def off(self) -> None:
        """See `PowerSwitch`."""
        run_command(self.off_command)


@dataclass(frozen=True, slots=True)
class UsbHub:
    """A hub with switched ports, through uhubctl (`-l` location, `-p` port, `-a` action; its README)."""

    location: str
    port: int

    def on(self) -> None:
        """See `PowerSwitch`."""
        self._switch("on")

    def off(self) -> None:
        """See `PowerSwitch`."""
        self._switch("off")

    def _switch(self, action: str) -> None:
        run_command(f"uhubctl -l {shlex.quote(self.location)} -p {self.port} -a {action}")


_BAUD = 9600
_START = 0xA0


@dataclass(frozen=True, slots=True)
class SerialRelay:
    """A relay of the LCUS kind (CH340): four bytes, 0xA0, channel, 1 or 0, and their sum; 9600 baud; it does not answer.

    `closed_is_on`: the node's supply goes through the contact that is closed while the relay is on.
    """

    port: str
    channel: int
    closed_is_on: bool = True

    def on(self) -> None:
        """See `PowerSwitch`."""
        self._switch(self.closed_is_on)

    def off(self) -> None:
        """See `PowerSwitch`."""
        self._switch(not self.closed_is_on)

    def _switch(self, closed: bool) -> None:
        words = [_START, self.channel, int(closed)]
        try:
            with serial.serial_for_url(self.port, baudrate=_BAUD, write_timeout=5) as line:
                line.write(bytes([*words, sum(words) & 0xFF]))
                line.flush()
        except (serial.SerialException, OSError, ValueError) as error:
            raise RigError(f"the relay at {self.port} cannot be reached: {error}") from None
