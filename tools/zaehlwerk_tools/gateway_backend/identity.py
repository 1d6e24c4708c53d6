"""What tells one run from all others at the same network server."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

NAME_PREFIX = "zaehlwerk-simulation-"
_EUI_PREFIX = "025a57"
"""Of every EUI of a run. 02 marks it as locally administered (EUI-64, U/L bit): it can be nobody's bought address."""
_GATEWAY_BLOCK = 0xFF00
"""Numbers of nodes are below it, those of gateways from it on."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Six hexadecimal digits that names and EUIs of a run have in common."""

    digits: str

    @classmethod
    def drawn(cls) -> RunIdentity:
        """A new one."""
        return cls(secrets.token_hex(3))

    @property
    def name(self) -> str:
        """Of tenant, application and device profile."""
        return f"{NAME_PREFIX}{self.digits}"

    def dev_eui(self, number: int) -> str:
        """The DevEUI of a node, numbered from 1."""
        assert 0 < number < _GATEWAY_BLOCK
        return f"{_EUI_PREFIX}{self.digits}{number:04x}"

    def gateway_id(self, number: int) -> str:
        """The EUI of a gateway, numbered from 1."""
        assert 0 < number < 0x100
        return f"{_EUI_PREFIX}{self.digits}{_GATEWAY_BLOCK + number:04x}"
