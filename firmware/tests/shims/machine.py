"""`machine` for CPython: what the import of a sensor asks for. A test brings its own counters."""


class Pin:
    IN = 1
    PULL_DOWN, PULL_UP = 1, 2

    def __init__(self, number, mode=-1, pull=-1):
        self.id = number
