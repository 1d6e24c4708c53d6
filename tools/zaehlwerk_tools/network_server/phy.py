"""PHY payloads of LoRaWAN 1.0.x: reading uplinks, writing downlinks (TS001-1.0.4 chapters 4 and 6).

No keys here: what comes out is still encrypted, what goes in is encrypted already.
"""

from __future__ import annotations

from dataclasses import dataclass

JOIN_REQUEST = 0
JOIN_ACCEPT = 1
UNCONFIRMED_UP = 2
UNCONFIRMED_DOWN = 3
CONFIRMED_UP = 4
CONFIRMED_DOWN = 5
"""FType, the three upper bits of MHDR (TS001 4.2.1)."""

MIC_LENGTH = 4
JOIN_REQUEST_LENGTH = 23
FOPTS_MAX = 15

_ADR = 0x80
_ADR_ACK_REQ = 0x40
_ACK = 0x20
_PENDING = 0x10
"""Bits of FCtrl (TS001 4.3.1)."""


class PhyError(ValueError):
    """A PHY payload that is not LoRaWAN 1.0.x; the text says which part and why."""


@dataclass(frozen=True)
class JoinRequest:
    """A join request. EUIs are 16 lower-case hexadecimal digits, most significant first."""

    join_eui: str
    dev_eui: str
    dev_nonce: int
    signed: bytes
    """What the MIC is computed over."""
    mic: bytes


@dataclass(frozen=True)
class DataUplink:
    """A data frame from a device; `f_cnt` is the 16 bits on the air, `payload` is encrypted."""

    confirmed: bool
    dev_addr: int
    adr: bool
    adr_ack_req: bool
    ack: bool
    f_cnt: int
    f_opts: bytes
    f_port: int | None
    payload: bytes
    signed: bytes
    """What the MIC is computed over."""
    mic: bytes


def read_uplink(phy: bytes) -> JoinRequest | DataUplink:
    """Take an uplink apart. PhyError if it is none: wrong length, major version or type."""
    if not phy:
        raise PhyError("the PHY payload is empty")
    if phy[0] & 0x03:
        raise PhyError(f"MHDR {phy[0]:#04x}: major version {phy[0] & 3}, only 0 (LoRaWAN R1) is known")
    ftype = phy[0] >> 5
    if ftype == JOIN_REQUEST:
        return _read_join_request(phy)
    if ftype in (UNCONFIRMED_UP, CONFIRMED_UP):
        return _read_data(phy, ftype == CONFIRMED_UP)
    raise PhyError(f"MHDR {phy[0]:#04x}: frame type {ftype} is not an uplink that a network server takes")


def _read_join_request(phy: bytes) -> JoinRequest:
    if len(phy) != JOIN_REQUEST_LENGTH:
        raise PhyError(f"join request of {len(phy)} bytes, expected {JOIN_REQUEST_LENGTH}")
    return JoinRequest(
        join_eui=phy[1:9][::-1].hex(),
        dev_eui=phy[9:17][::-1].hex(),
        dev_nonce=int.from_bytes(phy[17:19], "little"),
        signed=phy[:-MIC_LENGTH],
        mic=phy[-MIC_LENGTH:],
    )


def _read_data(phy: bytes, confirmed: bool) -> DataUplink:
    if len(phy) < 12:
        raise PhyError(f"data frame of {len(phy)} bytes, at least 12 are needed")
    f_ctrl = phy[5]
    header_end = 8 + (f_ctrl & 0x0F)
    body = phy[header_end:-MIC_LENGTH]
    if header_end > len(phy) - MIC_LENGTH:
        raise PhyError(f"FOpts of {f_ctrl & 0x0F} bytes do not fit into a data frame of {len(phy)} bytes")
    f_opts = phy[8:header_end]
    f_port = body[0] if body else None
    if f_port == 0 and f_opts:
        raise PhyError("MAC commands in FOpts and on FPort 0 in one frame")
    return DataUplink(
        confirmed=confirmed,
        dev_addr=int.from_bytes(phy[1:5], "little"),
        adr=bool(f_ctrl & _ADR),
        adr_ack_req=bool(f_ctrl & _ADR_ACK_REQ),
        ack=bool(f_ctrl & _ACK),
        f_cnt=int.from_bytes(phy[6:8], "little"),
        f_opts=f_opts,
        f_port=f_port,
        payload=body[1:],
        signed=phy[:-MIC_LENGTH],
        mic=phy[-MIC_LENGTH:],
    )


@dataclass(frozen=True)
class DataDownlink:
    """A data frame to a device; `payload` is encrypted, `f_cnt` the full counter (16 bits of it go on the air)."""

    confirmed: bool
    dev_addr: int
    adr: bool
    ack: bool
    pending: bool
    f_cnt: int
    f_opts: bytes = b""
    f_port: int | None = None
    payload: bytes = b""

    def unsigned(self) -> bytes:
        """MHDR to FRMPayload: what the MIC is computed over, and what it is put behind."""
        if len(self.f_opts) > FOPTS_MAX:
            raise PhyError(f"FOpts of {len(self.f_opts)} bytes, at most {FOPTS_MAX} fit")
        ftype = CONFIRMED_DOWN if self.confirmed else UNCONFIRMED_DOWN
        f_ctrl = (
            (_ADR if self.adr else 0)
            | (_ACK if self.ack else 0)
            | (_PENDING if self.pending else 0)
            | len(self.f_opts)
        )
        head = bytes([ftype << 5]) + self.dev_addr.to_bytes(4, "little") + bytes([f_ctrl])
        port = b"" if self.f_port is None else bytes([self.f_port])
        return head + (self.f_cnt & 0xFFFF).to_bytes(2, "little") + self.f_opts + port + self.payload


def join_accept_body(
    join_nonce: int, net_id: int, dev_addr: int, dl_settings: int, rx_delay: int, cf_list: bytes
) -> bytes:
    """A join accept before MIC and encryption, without MHDR (TS001 6.2.3)."""
    return (
        join_nonce.to_bytes(3, "little")
        + net_id.to_bytes(3, "little")
        + dev_addr.to_bytes(4, "little")
        + bytes([dl_settings, rx_delay])
        + cf_list
    )
