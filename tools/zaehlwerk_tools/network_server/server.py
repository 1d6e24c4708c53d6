"""The network server in one process: uplinks in, downlinks out, ChirpStack's gRPC API beside it.

It runs in virtual time: nothing in it looks at the wall clock, and with the same seed, calls and uplinks it gives the same
bytes. Everything happens in one thread: in the scheduler's calls and in the event loop that serves gRPC.
"""

from __future__ import annotations

from . import phy
from .api_keys import ApiKeys
from .deduplication import Deduplication
from .downlinks import Downlinks
from .gateways import DirectPath, DownlinkPath
from .grpc_server import GrpcServer
from .identities import Identities
from .joins import Joins
from .network import Network
from .reception import Reception, TransmitDownlink, Uplink
from .registry import Registry, Tenant
from .scheduler import Scheduler
from .settings import Settings
from .streams import Delivered, Streams
from .uplinks import Uplinks


class NetworkServer:
    """A stand-in for ChirpStack.

    `transmit_downlink` is given each downlink ahead of its time; it may refuse one (see `TransmitDownlink`). In its place a
    `DownlinkPath` may stand, for gateways that answer later. `identities` replaces the seeded random values.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        transmit_downlink: TransmitDownlink | DownlinkPath,
        seed: int,
        settings: Settings | None = None,
        identities: Identities | None = None,
    ) -> None:
        settings = settings or Settings()
        identities = identities or Identities(seed)
        self._streams = Streams(scheduler, settings.history)
        path = (
            transmit_downlink
            if isinstance(transmit_downlink, DownlinkPath)
            else DirectPath(transmit_downlink)
        )
        self._network = Network(scheduler, settings, identities, Registry(), self._streams, path)
        self._add_built_in_tenant()
        self._keys = ApiKeys(identities.secret(), lambda: identities.uuid("api key"))
        self._grpc = GrpcServer(self._network, self._keys)
        self._joins = Joins(self._network)
        self._uplinks = Uplinks(self._network, Downlinks(self._network))
        self._deduplication = Deduplication(scheduler, identities, settings.deduplication_ns, self._collected)
        self.admin_key: str = self._keys.create(None)
        """Token of an admin's API key."""
        self.unreadable = 0
        """Uplinks that were no LoRaWAN 1.0.x frames."""

    def _add_built_in_tenant(self) -> None:
        """The tenant that every new ChirpStack has."""
        now = self._network.scheduler.now_ns
        self._network.registry.add_tenant(
            Tenant(
                id=self._network.identities.uuid("tenant"),
                name="ChirpStack",
                description="",
                can_have_gateways=True,
                max_device_count=0,
                max_gateway_count=0,
                tags={},
                created_ns=now,
                updated_ns=now,
            )
        )

    def tenant_key(self, tenant_id: str, read_only: bool = False) -> str:
        """Token of a new API key of a tenant."""
        return self._keys.create(tenant_id, read_only=read_only)

    def uplink(self, at_ns: int, phy: bytes, reception: Reception) -> None:
        """One gateway heard a frame that ended at `at_ns`; called once for each gateway, when it has told.

        ValueError if the modulation is none of EU868's data rates 0 to 5.
        """
        if not self._grpc.is_down:
            self._deduplication.put(at_ns, phy, reception)

    @property
    def now_ns(self) -> int:
        """The present moment of the server's clock."""
        return self._network.scheduler.now_ns

    def knows_gateway(self, gateway_id: str) -> bool:
        """Whether a gateway is registered."""
        return gateway_id in self._network.registry.gateways

    def gateway_seen(self, gateway_id: str, metadata: dict[str, str]) -> None:
        """A gateway has sent statistics; those of an unknown one are dropped."""
        if self.knows_gateway(gateway_id):
            gateway = self._network.registry.gateways.get(gateway_id)
            gateway.last_seen_ns, gateway.metadata = self.now_ns, metadata

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Serve the gRPC API; returns the port. PortInUse if it is taken."""
        return await self._grpc.start(host, port)

    async def stop(self) -> None:
        """Stop serving; open streams end as UNAVAILABLE."""
        await self._grpc.stop()

    def delivered(self, token: str | None = None) -> dict[str, str]:
        """DevEUI to the id (`<ms>-<seq>`) of the last item pushed to an open stream.

        With the token of an API key only streams opened with it count. A device without an open stream is not in it.
        """
        return self._streams.delivered(None if token is None else self._keys.key_id(token))

    @property
    def on_delivered(self) -> Delivered | None:
        """Called in the scheduler's turn with (DevEUI, item id) whenever items were pushed to an open stream."""
        return self._streams.on_delivered

    @on_delivered.setter
    def on_delivered(self, callback: Delivered | None) -> None:
        self._streams.on_delivered = callback

    @property
    def pending_work(self) -> int:
        """API calls (Enqueue and all others but streams) that have arrived and are not done.

        A request that is still on its way, in a socket, is not seen here: only its caller knows of it.
        """
        return self._grpc.pending

    @property
    def open_streams(self) -> int:
        """Number of event streams that are open."""
        return self._streams.count()

    def forget_sessions(self) -> None:
        """Lose all sessions: uplinks go unheard until the devices join again.

        Keys and used DevNonces stay.
        """
        for device in self._network.registry.devices.values():
            device.session = None

    def forget_history(self) -> None:
        """Lose all event histories, as a flushed Redis does."""
        self._streams.forget()

    def outage(self, is_down: bool) -> None:
        """Begin or end an outage: uplinks are not received, streams end and calls fail as UNAVAILABLE."""
        self._grpc.is_down = is_down
        if is_down:
            self._streams.end_all()

    def _collected(self, uplink: Uplink) -> None:
        scheduler = self._network.scheduler
        scheduler.at(scheduler.now_ns + self._network.settings.handling_ns, lambda: self._handle(uplink))

    def _handle(self, uplink: Uplink) -> None:
        try:
            frame = phy.read_uplink(uplink.phy)
        except phy.PhyError:
            self.unreadable += 1
            return
        if isinstance(frame, phy.JoinRequest):
            self._joins.handle(uplink, frame)
        else:
            self._uplinks.handle(uplink, frame)
