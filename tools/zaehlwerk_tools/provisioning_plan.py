"""What shall be registered at ChirpStack, and whether it can be: EUIs and keys are validated before anything is sent.

ChirpStack itself takes an empty EUI or key for all zeros. No key is ever part of a `repr` or of an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_HEX = frozenset("0123456789abcdef")


class ProvisioningError(Exception):
    """Something could not be registered; the text says what, why and what to do. It never holds a key."""


def eui64(text: str, what: str) -> str:
    """16 lower-case hexadecimal digits from any case, with or without `-` and `:`; ProvisioningError naming `what`."""
    digits = text.replace("-", "").replace(":", "").lower()
    if len(digits) != 16 or not _HEX.issuperset(digits):
        raise ProvisioningError(f"{what} {text!r}: an EUI is 16 hexadecimal digits")
    return digits


def root_key(value: bytes | str, what: str) -> bytes:
    """A 16-byte AppKey from bytes or 32 hexadecimal digits; ProvisioningError naming `what`, never the value."""
    try:
        key = bytes.fromhex(value) if isinstance(value, str) else value
    except ValueError:
        key = b""
    if len(key) != 16:
        raise ProvisioningError(f"{what}: a key is 16 bytes, 32 hexadecimal digits")
    if not any(key):
        raise ProvisioningError(f"{what}: the key is all zeros; draw a random one")
    return key


@dataclass(frozen=True)
class Node:
    """A device to be registered. `tags` are what the bridge reads: station, channels, classes, directions, position, ..."""

    dev_eui: str
    name: str
    app_key: bytes | str = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    join_eui: str = "0000000000000000"
    description: str = ""


@dataclass(frozen=True)
class Profile:
    """The device profile of the nodes: LoRaWAN 1.0.4, RP002-1.0.3, EU868, OTAA, no codec (the bridge decodes)."""

    name: str = "Zählwerk EU868"
    uplink_interval_s: int = 900
    device_status_req_interval: int = 1
    """DevStatusReq a day; 0: never."""
    adr_algorithm_id: str = "default"
    flush_queue_on_activate: bool = False
    """True drops commands that were queued before a node joined."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What shall be registered. With `tenant_id` that tenant is used: a tenant's own key cannot look for one by name."""

    application: str
    nodes: Iterable[Node]
    tenant: str = ""
    tenant_id: str = ""
    profile: Profile = field(default_factory=Profile)
    application_tags: Mapping[str, str] = field(default_factory=dict)
    replace_keys: bool = False
    """True: a device that has another key gets the plan's. False: that is an error."""


@dataclass(frozen=True)
class CheckedNode:
    """A node whose EUIs (lower case) and key are valid."""

    node: Node
    dev_eui: str
    join_eui: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, node: Node) -> CheckedNode:
        """Check a node; ProvisioningError naming it and what is wrong."""
        if not node.name:
            raise ProvisioningError(f"device {node.dev_eui!r} has no name; give it the station's")
        dev_eui = eui64(node.dev_eui, f"device {node.name!r}: DevEUI")
        if not int(dev_eui, 16):
            raise ProvisioningError(f"device {node.name!r}: the DevEUI is all zeros")
        join_eui = eui64(node.join_eui, f"device {node.name!r}: JoinEUI")
        return cls(node, dev_eui, join_eui, root_key(node.app_key, f"device {node.name!r}: AppKey"))


def check_nodes(nodes: Iterable[Node]) -> list[CheckedNode]:
    """Check all nodes of a plan; ProvisioningError for the first that is wrong or has another's DevEUI."""
    checked: dict[str, CheckedNode] = {}
    for node in map(CheckedNode.of, nodes):
        twin = checked.setdefault(node.dev_eui, node)
        if twin is not node:
            raise ProvisioningError(
                f"DevEUI {node.dev_eui} is given twice: {twin.node.name!r} and {node.node.name!r}"
            )
    return list(checked.values())
