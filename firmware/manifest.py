"""For those who build MicroPython themselves: freezes the node into the firmware image.

make BOARD=ESP32_GENERIC FROZEN_MANIFEST=/path/to/firmware/manifest.py
"""

include("$(PORT_DIR)/boards/manifest.py")  # type: ignore[name-defined]  # noqa: F821
for room in ("app", "boards", "counting", "lorawan", "radio"):
    package(room, base_path=".")  # type: ignore[name-defined]  # noqa: F821
package("zaehlwerk_protocol", base_path="../protocol")  # type: ignore[name-defined]  # noqa: F821
module("main.py", base_path=".")  # type: ignore[name-defined]  # noqa: F821
