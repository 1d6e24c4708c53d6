"""A registered device: identity, keys, session and downlink queue."""

from __future__ import annotations

from dataclasses import dataclass, field

from .session import Session


@dataclass
class Keys:
    """Root keys of a device and what has been used of its nonces. A 1.0.x AppKey stands in `nwk_key`, as in ChirpStack."""

    nwk_key: bytes = field(repr=False)
    app_key: bytes = field(repr=False)
    gen_app_key: bytes = field(repr=False)
    created_ns: int
    updated_ns: int
    join_nonce: int = 0
    """The next one to be used."""
    dev_nonces: set[tuple[str, int]] = field(default_factory=set)
    """(JoinEUI, DevNonce) of all joins so far."""


@dataclass
class QueueItem:
    """A downlink that waits. A confirmed one that was sent is pending until the device's next uplink."""

    id: str
    f_port: int
    data: bytes
    confirmed: bool = False
    expires_ns: int | None = None
    is_encrypted: bool = False
    is_pending: bool = False
    f_cnt_down: int | None = None


@dataclass
class Status:
    """What the last DevStatusAns said: margin in dB, battery in percent or None."""

    margin: int
    external_power: bool
    battery_percent: float | None


@dataclass
class Device:
    """A device as created over the API, and what became of it since. Times are ns of UTC Unix time."""

    dev_eui: str
    join_eui: str
    name: str
    description: str
    application_id: str
    profile_id: str
    tags: dict[str, str]
    variables: dict[str, str]
    skip_f_cnt_check: bool
    is_disabled: bool
    created_ns: int
    updated_ns: int
    last_seen_ns: int | None = None
    status: Status | None = None
    keys: Keys | None = None
    session: Session | None = None
    queue: list[QueueItem] = field(default_factory=list)

    def pending_item(self) -> QueueItem | None:
        """The confirmed item that was sent and is not acknowledged."""
        return next((item for item in self.queue if item.is_pending), None)

    def discard(self, item: QueueItem) -> None:
        """Take an item out of the queue, if it is still there."""
        self.queue = [other for other in self.queue if other.id != item.id]

    def flush(self, *, pending_too: bool = True) -> None:
        """Empty the queue; with `pending_too` False a sent and unacknowledged item stays."""
        self.queue = [] if pending_too else [item for item in self.queue if item.is_pending]
