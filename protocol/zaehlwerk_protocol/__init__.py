"""The frames between a counting node and the bridge, one codec for MicroPython and CPython.

Authority: protocol/schema/zaehlwerk.cddl; prose: protocol/SPECIFICATION.md. Every frame module can be imported alone, so
that a node loads only what it sends; nothing here imports anything but this package.
"""

VERSION = 1
"""Version of the protocol; a status frame names it. Another number means that fixed positions have changed."""
