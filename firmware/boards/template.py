"""Copy this file under the board's name and fill it in; cite the maker's schematic beside each pin.

A board without a radio still counts: `radio()` raises, the node says so and goes on counting.
"""

from radio import RadioError

# Hardware counters of the chip (esp32.PCNT): 8 on the ESP32, 4 on the ESP32-S3.
PCNT_UNITS = 8

# (GPIO, level at which it shines) of the LED that a technician sees, None without.
LED = None

# (GPIO, whether the chip has to pull it up) of a button to ground, None without.
BUTTON = None

# (SCL, SDA, reset or None, pin that switches its supply on at 0 or None) of an SSD1306 display, None without.
DISPLAY = None


def radio():
    """The radio of this board, not started yet."""
    raise RadioError("boards/template.py: name the radio's driver and pins here")


def battery_mv():
    """Supply in mV, None on mains."""
    return


def temperature():
    """Temperature of the chip in 0.1 degrees Celsius (ESP32-S3; the ESP32 has no usable sensor), None without."""
    return
