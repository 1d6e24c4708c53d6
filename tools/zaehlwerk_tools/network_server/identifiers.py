"""Reading of EUIs, keys and UUIDs in requests, with ChirpStack's traps: an empty EUI or key is all zeros."""

from __future__ import annotations

import uuid

from .errors import ApiError, internal, invalid

_HEX = "0123456789abcdefABCDEF"


def eui(text: str) -> str:
    """16 lower-case hexadecimal digits; ApiError INTERNAL if malformed, zeros if empty."""
    return _octets(text, 8).hex()


def key(text: str) -> bytes:
    """16 bytes; ApiError INTERNAL if malformed (the text is not repeated), zeros if empty."""
    return _octets(text, 16)


def _octets(text: str, length: int) -> bytes:
    if not text:
        return bytes(length)
    error = _hex_error(text, length)
    if error:
        raise error
    return bytes.fromhex(text)


def _hex_error(text: str, length: int) -> ApiError | None:
    # The texts are those of Rust's `hex` crate, which ChirpStack hands through.
    if len(text) % 2:
        return internal("Odd number of digits")
    if len(text) != 2 * length:
        return internal("Invalid string length")
    for position, character in enumerate(text):
        if character not in _HEX:
            return internal(f"Invalid character '{character}' at position {position}")
    return None


def uuid_text(text: str) -> str:
    """A UUID in its canonical form; ApiError INVALID_ARGUMENT if malformed or empty."""
    try:
        if len(text) in (32, 36):
            return str(uuid.UUID(text))
    except ValueError:
        raise invalid(f"invalid character in the UUID of {len(text)} characters") from None
    raise invalid(f"invalid length: found {len(text)}")
