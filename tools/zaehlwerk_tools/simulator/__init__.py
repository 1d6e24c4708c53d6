"""A city in software: virtual boards that run the real firmware on the real MicroPython, their time and their air."""
