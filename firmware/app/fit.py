"""Whether the settings fit the chip and the board. Loaded at the start, and when a command brings settings."""

from machine import Pin

from app.taken import TAKEN

_PINS = ("pin", "pin_b", "tx_pin", "ok_pin")


def check(document):
    """Refuse pins that the chip has not, and those that the board has something else on: ValueError says which."""
    board = document["board"]
    pins = [entry.get(name) for entry in document["channels"] for name in _PINS]
    for pin in pins + [document["tamper_pin"]]:  # noqa: RUF005 - MicroPython has no * here
        if pin is None:
            continue
        if any([pin in group for group in TAKEN.get(board, ())]):
            raise ValueError("pin %d: taken on the %s" % (pin, board))
        try:
            Pin(pin)
        except ValueError:
            raise ValueError("pin %d: this chip has none" % pin)
