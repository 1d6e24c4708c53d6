"""What runs in a serial board's MicroPython process: makes the board, then does what its REPL is told.

Arguments: fd in, fd out, flash image, folder of stand-ins, and then: name of the machine, 1 if flash takes its time,
milliseconds of watchdog (0: none) and how many of them are left.
"""

import sys

program, machine_name, slow_flash = sys.argv[0], sys.argv[5], sys.argv[6] == "1"
dog_ms, dog_left_ms = int(sys.argv[7]), int(sys.argv[8])

import real_time  # before anything takes the simulator's clock

real_time.start(slow_flash)
import guarded_flash  # noqa: F401
import turns  # from here on the board's own flash is where modules are looked for
import board_boot  # noqa: F401

turns.run(program, machine_name, dog_ms, dog_left_ms)
