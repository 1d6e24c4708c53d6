"""The one error of this package."""


class FrameError(ValueError):
    """Bytes that are no valid frame, or values that no frame can carry.

    The text says where (`counts.totals`, `cbor byte 3`), what was found and what is allowed. It never holds more of the
    input than the value that was wrong.
    """
