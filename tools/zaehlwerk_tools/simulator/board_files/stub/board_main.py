"""What the simulator starts: makes the board, forgets how, runs the node's own main.py and reports how that ended."""

import gc
import sys

import board_boot

del sys.modules["board_boot"], board_boot
import board_link as link

gc.collect()
try:
    exec(compile(open("/lib/main.py").read(), "main.py", "exec"), {"__name__": "__main__"})
    link.buffer[9] = 0
except SystemExit:
    link.buffer[9] = 0
except BaseException as error:
    sys.print_exception(error, sys.stderr)
    link.buffer[9] = 1
link.die(69, 1)
