"""Whether a line at the REPL begins something that goes on: py/repl.c of MicroPython, mp_repl_continue_with_input."""

from __future__ import annotations

import re

_COMPOUND = re.compile(r"(?:@|(?:if|while|for|try|with|def|class|async)\b)")
_OPENS, _CLOSES = "([{", ")]}"
_QUOTE = re.compile(r"'''|\"\"\"|'|\"")


def continues(source: str) -> bool:
    """True if the REPL asks for another line of `source` before it runs it; lines end with newlines."""
    if not source:
        return False
    compound = _COMPOUND.match(source) is not None
    depth = 0
    quote = ""
    at = 0
    while at < len(source):
        char = source[at]
        if quote:
            if char == "\\":
                at += 1
            elif source.startswith(quote, at):
                at += len(quote) - 1
                quote = ""
        elif char == "#" and not depth:
            end = source.find("\n", at)
            at = len(source) if end < 0 else end
            continue
        elif (opened := _QUOTE.match(source, at)) is not None:
            quote = opened.group()
            at += len(quote) - 1
        elif char in _OPENS:
            depth += 1
        elif char in _CLOSES:
            depth -= 1
        at += 1
    if len(quote) == 3 or (not quote and depth > 0):
        return True
    if source.endswith("\\"):
        return True
    # A compound statement ends with an empty line.
    return compound and not source.endswith("\n")
