"""What a frame on its way to or from the network server is, as far as that can be read without a key.

Message type and FOpts are in the clear in LoRaWAN 1.0.x (TS001-1.0.4, 4.2 and 4.3.1.6).
"""

from __future__ import annotations

JOIN_REQUEST, JOIN_ACCEPT = 0, 1

_TYPE_SHIFT = 5
_FCTRL, _FOPTS, _MIC_BYTES = 5, 8, 4
_FOPTS_LENGTH = 0x0F
_DATA_DOWN = (3, 5)

LINK_ADR_REQUEST, DEVICE_TIME_ANSWER = 0x03, 0x0D
_COMMAND_BYTES = {
    0x02: 2,  # LinkCheckAns
    LINK_ADR_REQUEST: 4,
    0x04: 1,  # DutyCycleReq
    0x05: 4,  # RXParamSetupReq
    0x06: 0,  # DevStatusReq
    0x07: 5,  # NewChannelReq
    0x08: 1,  # RXTimingSetupReq
    0x09: 1,  # TXParamSetupReq
    0x0A: 4,  # DlChannelReq
    DEVICE_TIME_ANSWER: 5,
}
"""Bytes behind the identifier of a command from the network server (TS001-1.0.4, chapter 5)."""


def message_type(phy: bytes) -> int | None:
    """The MType of a frame, None for an empty one."""
    return phy[0] >> _TYPE_SHIFT if phy else None


def mac_commands(phy: bytes) -> list[int]:
    """The identifiers of the MAC commands in the FOpts of a data downlink, up to the first that is unknown."""
    if message_type(phy) not in _DATA_DOWN or len(phy) < _FOPTS + _MIC_BYTES:
        return []
    options = phy[_FOPTS : _FOPTS + (phy[_FCTRL] & _FOPTS_LENGTH)]
    found = []
    at = 0
    while at < len(options) and options[at] in _COMMAND_BYTES:
        found.append(options[at])
        at += 1 + _COMMAND_BYTES[options[at]]
    return found
