"""Keeps secrets out of everything that is written: known values are replaced wherever they turn up."""

import re
from typing import Any

REDACTED = "[redacted]"
# A JSON web token has three dotted base64url parts, the first of which is an object that begins {" (eyJ).
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")
_SHORTEST = 4  # shorter "secrets" would blank out half of every line
_DEEPEST = 8


class Redactor:
    """Knows the secrets that were read and blanks them out of text and of nested values."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def add(self, secret: str) -> None:
        """From now on blank out `secret`."""
        if len(secret) >= _SHORTEST:
            self._secrets.add(secret)

    def text(self, text: str) -> str:
        """Return `text` without any known secret and without anything that looks like a token."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return _TOKEN.sub(REDACTED, text)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return `value` with every text in it redacted; what is neither number, text nor container becomes text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth >= _DEEPEST:
            return REDACTED
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item, depth + 1) for item in value]
        return self.text(value if isinstance(value, str) else str(value))
