"""A stand-in for ChirpStack v4 in one process: a LoRaWAN 1.0.x network server for EU868 with ChirpStack's gRPC API.

It shares no LoRaWAN code with the firmware, so that one's mistake is not hidden by the other.
"""

from .grpc_server import PortInUse
from .identities import Identities
from .reception import Downlink, Reception
from .scheduler import Handle, Scheduler
from .server import NetworkServer
from .settings import Settings

__all__ = [
    "Downlink",
    "Handle",
    "Identities",
    "NetworkServer",
    "PortInUse",
    "Reception",
    "Scheduler",
    "Settings",
]
