"""The city's gateways as a network server sees them: each with its connection, all in front of one virtual air."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable

from chirpstack_api import gw

from zaehlwerk_tools.gateway_backend.addresses import MqttAddress
from zaehlwerk_tools.gateway_backend.downlinks import Transmission, Transmit, answer
from zaehlwerk_tools.gateway_backend.exchange import Exchange
from zaehlwerk_tools.gateway_backend.gateway_link import GatewayLink
from zaehlwerk_tools.gateway_backend.gateway_stats import Statistics
from zaehlwerk_tools.gateway_backend.gateway_time import context
from zaehlwerk_tools.gateway_backend.marshaler import Marshaler, UnreadablePayload, decode
from zaehlwerk_tools.gateway_backend.topics import Topics
from zaehlwerk_tools.gateway_backend.uplinks import uplink_frame
from zaehlwerk_tools.simulator.air_frames import Heard


class VirtualGateways:
    """Tells the network server what the air heard, and gives the air what the server wants sent.

    `now_ns` is the clock of the machine, UTC Unix nanoseconds. Until `attach` nothing can be sent.
    """

    def __init__(
        self,
        gateway_ids: Iterable[str],
        address: MqttAddress,
        topics: Topics,
        marshaler: Marshaler,
        now_ns: Callable[[], int],
    ) -> None:
        self.exchange = Exchange()
        self._now_ns = now_ns
        self._transmit: Transmit = _no_air
        self._air_ns = now_ns
        self._fail: Callable[[BaseException], None] | None = None
        self._statistics: dict[str, Statistics] = {}
        self.links: dict[str, GatewayLink] = {}
        for gateway_id in gateway_ids:
            self._statistics[gateway_id] = Statistics()
            self.links[gateway_id] = GatewayLink(
                gateway_id, address, topics, marshaler, self._commands_of(gateway_id)
            )

    def attach(
        self, transmit: Transmit, air_ns: Callable[[], int], fail: Callable[[BaseException], None]
    ) -> None:
        """From now on downlinks go to `transmit`, and what goes wrong there to `fail`.

        `air_ns` is the time on the air, which may lag behind the machine's.
        """
        self._transmit = transmit
        self._air_ns = air_ns
        self._fail = fail

    async def connect(self) -> None:
        """Connects all gateways. Raises BrokerError."""
        for link in self.links.values():
            await link.connect()

    async def close(self, *, forget: bool) -> None:
        """Disconnects all gateways; `forget` clears what they left retained."""
        await asyncio.gather(*(link.close(forget=forget) for link in self.links.values() if link.connects))

    async def send_stats(self) -> dict[str, int | None]:
        """Every gateway tells its statistics; the broker's reason codes by gateway, None where it said nothing."""
        now = self._now_ns()
        told, self._statistics = self._statistics, {gateway_id: Statistics() for gateway_id in self.links}
        codes = await asyncio.gather(
            *(
                link.stats(told[gateway_id].message(gateway_id, now))
                for gateway_id, link in self.links.items()
            )
        )
        return dict(zip(self.links, codes, strict=True))

    def heard(self, end_ns: int, phy: bytes, heard: Heard) -> None:
        """A gateway heard a frame that ended at `end_ns`; called by the air, once for each gateway."""
        self.exchange.heard(end_ns, phy, self._now_ns())
        self._statistics[heard.gateway_id].heard(heard)
        number = random.getrandbits(32)
        frame = uplink_frame(heard, phy, uplink_id=number, context=context(end_ns), end_ns=end_ns)
        self.links[heard.gateway_id].uplink(frame)

    @property
    def dropped(self) -> int:
        """Messages that were to be sent while the broker was away."""
        return sum(link.dropped for link in self.links.values())

    @property
    def reconnects(self) -> int:
        """How often a connection was made anew."""
        return sum(max(0, link.connects - 1) for link in self.links.values())

    def _commands_of(self, gateway_id: str) -> Callable[[bytes], None]:
        return lambda payload: self._command(gateway_id, payload)

    def _command(self, gateway_id: str, payload: bytes) -> None:
        try:
            command = decode(payload, gw.DownlinkFrame)
        except UnreadablePayload:
            self.exchange.unreadable += 1
            return
        if command.gateway_id != gateway_id:
            self.exchange.unreadable += 1
            return
        try:
            ack = answer(command, self._air_ns(), self._offer)
        except Exception as error:  # in a callback of the event loop nobody would hear of it
            if self._fail is None:
                raise
            self._fail(error)
            return
        self._statistics[gateway_id].answered(ack)
        self.exchange.commanded(command, ack)
        self.links[gateway_id].acknowledge(ack)

    def _offer(self, planned: Transmission) -> str | None:
        now = self._air_ns()
        refusal = self._transmit(planned)
        if refusal is None:
            self._statistics[planned.gateway_id].took(planned)
            self.exchange.sent(planned.start_ns, now)
        return refusal


def _no_air(_: Transmission) -> str:
    return "INTERNAL_ERROR"
