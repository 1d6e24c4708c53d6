"""A virtual board on a port: the simulator's board in real time, behind MicroPython's serial protocol.

`mpremote` and every other program for MicroPython boards works on it. See docs/technician.md.
"""
