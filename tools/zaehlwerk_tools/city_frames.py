"""What the air's log says of the count frames: how many were sent, and how long their payloads were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zaehlwerk_protocol.ports import COUNTS

# LoRaWAN L2 1.0.4, section 4: MHDR 1, DevAddr 4, FCtrl 1, FCnt 2, FOpts 0 to 15, FPort 1, FRMPayload, MIC 4 bytes.
_FCTRL, _FOPTS, _MIC = 5, 8, 4
_MESSAGE_TYPE_SHIFT = 5
_DATA_UP = {2, 4}  # unconfirmed, confirmed


def count_frames(log: Iterable[Mapping[str, object]]) -> tuple[int, int]:
    """(number of count frames sent, bytes of their application payloads together), the lost ones included."""
    frames = size = 0
    for entry in log:
        payload = _count_payload(bytes.fromhex(str(entry["payload"]))) if entry["direction"] == "up" else None
        if payload is not None:
            frames += 1
            size += payload
    return frames, size


def _count_payload(phy: bytes) -> int | None:
    """Bytes of the application payload if `phy` is an uplink on the port of count frames."""
    if len(phy) < _FOPTS + _MIC or phy[0] >> _MESSAGE_TYPE_SHIFT not in _DATA_UP:
        return None
    port = _FOPTS + (phy[_FCTRL] & 0x0F)
    if len(phy) <= port + _MIC or phy[port] != COUNTS:
        return None
    return len(phy) - port - 1 - _MIC
