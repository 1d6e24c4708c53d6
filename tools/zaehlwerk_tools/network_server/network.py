"""What all parts of the LoRaWAN side share: registry, settings, clock, the way to the gateways and to the event streams."""

from __future__ import annotations

from dataclasses import dataclass

from .device import Device
from .events import Event
from .gateways import DownlinkPath
from .identities import Identities
from .reception import Uplink
from .registry import Registry
from .scheduler import Scheduler
from .settings import Settings
from .streams import Streams


@dataclass(frozen=True)
class Network:
    """The surroundings that every handler of uplinks and downlinks is given."""

    scheduler: Scheduler
    settings: Settings
    identities: Identities
    registry: Registry
    streams: Streams
    downlinks: DownlinkPath

    def emit(self, device: Device, event: Event) -> None:
        """Put an event of a device out."""
        self.streams.append(device.dev_eui, event)

    def rx_time(self, uplink: Uplink) -> int:
        """When an uplink was received, ns of UTC Unix time: by the gateways' GPS, else by the server's clock."""
        return uplink.end_ns if self.settings.gateway_time else self.scheduler.now_ns
