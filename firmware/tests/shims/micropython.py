"""`micropython` for CPython: const is no more than its argument."""


def const(value):
    return value
