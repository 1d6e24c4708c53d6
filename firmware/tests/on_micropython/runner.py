"""Runs the test functions of one module on MicroPython: `runner.py MODULE`, a line per test for the plugin to read.

Paths to import from follow as further arguments.
"""

import sys

name = sys.argv[1]
sys.path[:0] = sys.argv[2:]
module = __import__(name)
for test in sorted(dir(module)):
    if not test.startswith("test_"):
        continue
    try:
        getattr(module, test)()
        print("\x1epassed", test)
    except BaseException as error:  # noqa: BLE001 - a power cut of the test is one too
        print("\x1efailed", test)
        sys.print_exception(error)
    print("\x1eend")
