"""What is said when a chip fails: what happened, and what to check. Loaded by need, see `transceiver.fault`.

The first 60 characters reach the platform in the node's status: what failed comes first.
"""

from radio import RadioError

# An outcome, see transceiver.
_NOTHING = 3

# 13.6.1 of the SX1261/2 datasheet, bit by bit.
_ERRORS = (
    "RC64k oscillator not calibrated: check the supply",
    "RC13M oscillator not calibrated: check the supply",
    "PLL not calibrated: check oscillator and supply",
    "ADC not calibrated: check the supply",
    "image rejection not calibrated: check oscillator and supply",
    "oscillator did not start: check the crystal, or tcxo_mv and tcxo_us in the board's file",
    "PLL did not lock: check oscillator and supply",
    "",
    "power amplifier did not ramp up: check antenna and supply",
)

_STATUS = {
    3: "was not completed in time: check the SPI's speed and wires",
    4: "was not understood: check the SPI's speed and wires",
    5: "could not be carried out: check oscillator and supply",
}


def errors(flags):
    """The flags of GetDeviceErrors in words."""
    named = [text for i, text in enumerate(_ERRORS) if text and flags >> i & 1]
    return "; ".join(named) or "error flags 0x%04x" % flags


def _wires(chip):
    return "check its supply, NSS %s, RESET %s and %s" % (chip.nss, chip.reset, chip.spi)


def _sending(chip, outcome):
    """A frame did not get out; the SX1262 knows why."""
    text = "gave up sending" if outcome == _NOTHING else "did not report the end of sending"
    try:
        flags = chip.ask(0x17) if chip.NAME == "sx1262" else 0
    except RadioError as error:
        return "%s; %s" % (text, error)
    return "%s; %s" % (text, errors(flags) if flags else "check antenna, supply and oscillator")


def _lost(chip, found):
    """The sync word, or mode and sync word, are not those that the start-up left."""
    if found in ((0, 0), (255, 255)):
        return "no answer over SPI any more: " + _wires(chip)
    return "lost its settings, found %s: check supply, battery, wires" % (found,)


def _status(chip, detail):
    status, opcode = detail
    if status in (0, 255):
        return "no answer to command 0x%02x: %s" % (opcode, _wires(chip))
    return "command 0x%02x %s" % (opcode, _STATUS[status >> 1 & 7])


_TEXTS = {
    "busy": lambda chip, _: (
        "BUSY %s stays high: check supply, RESET %s, the wire of BUSY" % (chip.busy, chip.reset)
    ),
    "silent": lambda chip, _: "no answer over SPI: " + _wires(chip),
    "stranger": lambda chip, detail: "%s: another chip or another board? %s" % (detail, _wires(chip)),
    "status": _status,
    "errors": lambda _, detail: errors(detail),
    "lost": _lost,
    "calibration": lambda _, __: "image calibration does not end: check crystal and supply",
    "sending": _sending,
    "listening": lambda _, __: "a window did not end: check supply and oscillator",
    "unprepared": lambda _, __: "receive without prepare_receive",
    "size": lambda _, detail: "payload of %d bytes: a LoRa frame holds 1 to 255" % detail,
    "setting": lambda _, detail: "SF%d at %d Hz: there are SF7 to SF12 at 125, 250, 500 kHz" % detail,
}


def run(chip, kind, detail):
    """The RadioError for `kind`; `detail` is what that kind needs."""
    return RadioError("%s: %s" % (chip.NAME.upper(), _TEXTS[kind](chip, detail)))
