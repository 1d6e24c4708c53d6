"""How long the SX1262 takes: SX1261/2 data sheet rev. 2.1. All in ns."""

from __future__ import annotations

from typing import Final

from zaehlwerk_tools.simulator.chips.sx1262_commands import (
    MODE_FS,
    MODE_RX,
    MODE_STDBY_RC,
    MODE_STDBY_XOSC,
    MODE_TX,
)

US: Final = 1_000

RTC_STEP: Final = 15_625
"""Section 13.1.4: timeouts, periods and the TCXO's delay count 15.625 µs (64 kHz)."""

START_UP: Final = 3_500 * US
"""Table 8-2, cold start; also after power-on and reset, which calibrate too."""
WAKE_UP: Final = 340 * US
"""Table 8-2, warm start."""

SAVE: Final = 500 * US
"""Section 13.1.1: after SetSleep the chip saves and switches off, and must be left alone."""

SWITCH: Final = {
    # Table 8-2, typical: until the PLL is locked, the receiver hears, the PA begins to ramp up.
    (MODE_STDBY_RC, MODE_STDBY_XOSC): 31 * US,
    (MODE_STDBY_RC, MODE_FS): 50 * US,
    (MODE_STDBY_RC, MODE_RX): 83 * US,
    (MODE_STDBY_RC, MODE_TX): 126 * US,
    (MODE_STDBY_XOSC, MODE_FS): 40 * US,
    (MODE_STDBY_XOSC, MODE_RX): 62 * US,
    (MODE_STDBY_XOSC, MODE_TX): 105 * US,
    (MODE_FS, MODE_RX): 41 * US,
    (MODE_FS, MODE_TX): 76 * US,
    (MODE_RX, MODE_FS): 15 * US,
    (MODE_RX, MODE_TX): 92 * US,
}

COMMAND: Final = 15 * US
"""BUSY after a command that table 8-2 does not have; the data sheet gives no figure, this is its shortest one."""

CALIBRATION: Final = 3_500 * US
"""Section 13.1.12: all blocks. For fewer, and for the image alone, there is no figure; a driver that waits for BUSY does
not need one."""

RAMP: Final = (10 * US, 20 * US, 40 * US, 80 * US, 200 * US, 800 * US, 1_700 * US, 3_400 * US)
"""Table 13-41, by RampTime."""

RESET_LOW: Final = 100 * US
"""Section 8.1: NRESET is held low for typically this long."""
RESET_SEEN: Final = 50 * US
"""Section 8.1 up to rev. 1.2: what is not longer than this does not reset the chip."""

TCXO_START_UP: Final = 2_000 * US
"""What a 32 MHz TCXO may take until its output is good, e.g. ECS-TXO-20CSMV4: 2 ms. The chip itself only waits as long as
it was told to (section 13.3.6)."""
