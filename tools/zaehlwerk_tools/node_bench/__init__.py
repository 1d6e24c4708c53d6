"""What a node costs: heap, flash, work and charge, measured with its own program on the 32-bit MicroPython."""
