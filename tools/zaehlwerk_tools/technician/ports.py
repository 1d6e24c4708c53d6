"""Where boards are: the ports of this machine that have something at USB. A port that is not named is the only one there is."""

from __future__ import annotations

from collections.abc import Sequence

from serial.tools import list_ports

from zaehlwerk_tools.technician.troubles import NoBoardError


def usb_ports() -> list[str]:
    """Ports with a USB device behind them, in the order of their names; a PC's built-in ones have none. Nobody is disturbed."""
    return sorted(found.device for found in list_ports.comports() if found.vid is not None)


def port_of(named: str | None) -> str:
    """`named`, else the only port with something at USB. Raises NoBoardError: there is none, or there are several."""
    if named is not None:
        return named
    there = usb_ports()
    if not there:
        raise NoBoardError(
            "no board is at USB: plug it in with a cable that carries data, or name its port, as /dev/ttyUSB0 or COM3"
        )
    if len(there) > 1:
        raise NoBoardError(f"boards may be at {', '.join(there)}: name the port of the one that is meant")
    return there[0]


def ports_of(named: Sequence[str] | None) -> list[str]:
    """`named`, else all ports with something at USB. Raises NoBoardError: there is none."""
    return list(named or usb_ports()) or [port_of(None)]
