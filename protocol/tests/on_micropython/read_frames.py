"""MicroPython's side of test_fuzz.py: reads `FPort hex` lines, answers each with the frame's bytes or `refused`.

Any other exception than FrameError ends the program, and so the test.
"""

import sys

from zaehlwerk_protocol import frames
from zaehlwerk_protocol.errors import FrameError

for line in sys.stdin:
    port, _, text = line.strip().partition(" ")
    data = bytes.fromhex(text) if text else b""
    try:
        print(frames.decode(int(port), data).encode().hex())
    except FrameError:
        print("refused")
