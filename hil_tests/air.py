"""The network side of a rig: a network server that sees every frame, and can be deaf, forgetful and choosy.

It is the stand-in for ChirpStack, behind real gateways (`real_rig`) as behind virtual ones (`virtual_rig`): so the tests
know what it knows, lose its sessions, and choose window and data rate of a downlink.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from grpc import aio

from zaehlwerk_protocol import ports
from zaehlwerk_protocol.command import Command as NodeCommand
from zaehlwerk_protocol.counts import Counts
from zaehlwerk_protocol.errors import FrameError
from zaehlwerk_protocol.frame import Frame
from zaehlwerk_protocol.frames import decode
from zaehlwerk_tools.network_server import crypto, eu868, phy
from zaehlwerk_tools.network_server.device import Device, QueueItem
from zaehlwerk_tools.network_server.downlinks import Downlinks
from zaehlwerk_tools.network_server.gateways import DirectPath, DownlinkPath, Item
from zaehlwerk_tools.network_server.mac_commands import RX_PARAM_SETUP, Command, link_adr_request
from zaehlwerk_tools.network_server.reception import Heard, Reception, TransmitDownlink, Uplink
from zaehlwerk_tools.network_server.scheduler import Scheduler
from zaehlwerk_tools.network_server.server import NetworkServer
from zaehlwerk_tools.network_server.session import Session, full_counter
from zaehlwerk_tools.network_server.settings import Settings
from zaehlwerk_tools.network_server.uplinks import Uplinks
from zaehlwerk_tools.provisioning import Node as Registration
from zaehlwerk_tools.provisioning import Plan, provision
from zaehlwerk_tools.simulator.airtime import airtime_ns

HISTORY = 100


@dataclass(frozen=True, slots=True)
class Sent:
    """An uplink as a gateway heard it. `end_ns` in UTC Unix ns; `nonce` of a join request, `counter` (all 32 bits) and `port`
    of a data frame; `frame`: what its payload says, None where nobody can read it. `taken`: the network was not deaf."""

    end_ns: int
    frequency: int
    data_rate: int
    phy: bytes
    taken: bool
    nonce: int | None = None
    address: int | None = None
    counter: int | None = None
    port: int | None = None
    confirmed: bool = False
    commands: bytes = b""
    frame: Frame | None = None

    @property
    def airtime_ns(self) -> int:
        """How long it took."""
        sf = eu868.SPREADING_FACTORS[self.data_rate]
        return airtime_ns(len(self.phy), sf, eu868.BANDWIDTH, crc=True)

    @property
    def begin_ns(self) -> int:
        """When it began."""
        return self.end_ns - self.airtime_ns


@dataclass(frozen=True, slots=True)
class Answer:
    """A downlink that was handed to a gateway: the receive window (1 or 2), its data rate."""

    at_ns: int
    window: int
    data_rate: int


class _ChosenWindow(DownlinkPath):
    """Downlinks in one window only, if that is wanted; RX2 at another data rate."""

    def __init__(self, inner: DownlinkPath) -> None:
        self._inner = inner
        self.window: int | None = None
        self.rx2_data_rate = eu868.RX2_DATA_RATE
        self.sent: list[Answer] = []
        self.now_ns: Callable[[], int] = lambda: 0

    def send(self, items: list[Item], through: Heard, downlink_id: int | None, answered: Any) -> None:
        """See `DownlinkPath.send`."""
        numbered = list(enumerate(items, 1))
        chosen = [(n, item) for n, item in numbered if self.window in (None, n)]
        offered = []
        for number, item in chosen:
            if number == 2 and self.rx2_data_rate != eu868.RX2_DATA_RATE and item.tx.delay_s == 2:
                item = replace(  # noqa: PLW2901 - the same one, elsewhere in the spectrum of rates
                    item, tx=replace(item.tx, sf=eu868.SPREADING_FACTORS[self.rx2_data_rate])
                )
            offered.append((number, item))

        def told(outcome: Item | str) -> None:
            for number, item in offered:
                if item is outcome:
                    rate = eu868.SPREADING_FACTORS.index(item.tx.sf)
                    self.sent.append(Answer(self.now_ns(), number, rate))
            answered(outcome)

        self._inner.send([item for _, item in offered], through, downlink_id, told)


class _AskingDownlinks(Downlinks):
    """Sends the MAC commands that a test asks for, and none of its own."""

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self.wanted: list[Command] = []

    def _requests(self, device: Device, session: Session, uplink: Uplink) -> list[list[Command]]:
        wanted, self.wanted = self.wanted, []
        return [[command] for command in wanted]


class Air(NetworkServer):
    """What a test sees of the radio and asks of the network. `sent`: all uplinks that reached a gateway, in order."""

    def __init__(
        self, scheduler: Scheduler, transmit: TransmitDownlink | DownlinkPath, seed: int = 1
    ) -> None:
        inner = transmit if isinstance(transmit, DownlinkPath) else DirectPath(transmit)
        self._path = _ChosenWindow(inner)
        super().__init__(scheduler, self._path, seed, Settings(history=HISTORY))
        self._path.now_ns = lambda: scheduler.now_ns
        self._asking = _AskingDownlinks(self._network)
        self._uplinks = Uplinks(self._network, self._asking)
        self._sessions: dict[int, Session] = {}
        self._counters: dict[int, int] = {}
        self._tokens = iter(range(1, 1 << 16))
        self._seen: set[tuple[int, bytes]] = set()
        self.dev_eui = ""
        self.sent: list[Sent] = []
        self.is_deaf = False

    # -- what was sent -------------------------------------------------------------------------------------------

    @property
    def answers(self) -> list[Answer]:
        """The downlinks that a gateway took."""
        return self._path.sent

    @property
    def joins(self) -> list[Sent]:
        """The join requests."""
        return [sent for sent in self.sent if sent.nonce is not None]

    @property
    def data(self) -> list[Sent]:
        """The data frames."""
        return [sent for sent in self.sent if sent.counter is not None]

    def frames(self, kind: type[Frame]) -> list[Any]:
        """What was said in frames of one kind, by those that the network took."""
        return [sent.frame for sent in self.sent if sent.taken and isinstance(sent.frame, kind)]

    @property
    def is_joined(self) -> bool:
        """Whether the node has sent under the present session."""
        session = self._device.session
        return session is not None and session.f_cnt_up > 0

    def totals(self) -> tuple[int, ...] | None:
        """Of the latest closed interval, modulo 2^16."""
        counts = self.frames(Counts)
        return counts[-1].totals if counts else None

    # -- what is asked -------------------------------------------------------------------------------------------

    async def register(self, dev_eui: str, app_key: bytes, tags: dict[str, str]) -> tuple[str, int]:
        """Serve the API and make the node known there; (tenant id, port)."""
        self.dev_eui = dev_eui
        port = await self.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            node = Registration(dev_eui, "rig", app_key, tags)
            registered = await provision(channel, self.admin_key, Plan("rig", [node], tenant="rig"))
        return registered.tenant_id, port

    def uplink(self, at_ns: int, phy: bytes, reception: Reception) -> None:
        """A gateway heard a frame: it is noted, and dropped if the network is deaf."""
        self._note(at_ns, phy, reception)
        if not self.is_deaf:
            super().uplink(at_ns, phy, reception)

    def answer_in(self, window: int | None, rx2_data_rate: int = eu868.RX2_DATA_RATE) -> None:
        """From now on downlinks go into this receive window only (None: RX1, RX2 if that fails)."""
        self._path.window, self._path.rx2_data_rate = window, rx2_data_rate

    def ask_data_rate(self, data_rate: int) -> None:
        """With the next downlink: uplinks at `data_rate` from then on (LinkADRReq, TS001-1.0.4 section 5.3)."""
        self._asking.wanted.append(link_adr_request(data_rate, 0, range(len(eu868.CHANNELS)), 1))

    def ask_rx2(self, data_rate: int) -> None:
        """With the next downlink: RX2 at `data_rate` from then on (RXParamSetupReq, TS001-1.0.4 section 5.5)."""
        frequency = (eu868.RX2_FREQUENCY // 100).to_bytes(3, "little")
        self._asking.wanted.append(Command(RX_PARAM_SETUP, bytes([data_rate]) + frequency))

    def command(self, kind: int, args: tuple[Any, ...] = (), *, confirmed: bool = False) -> int:
        """Queue a command for the node; its token."""
        token = next(self._tokens)
        data = NodeCommand(token, kind, args).encode()
        device = self._device
        device.queue.append(QueueItem(str(token), ports.COMMAND, data, confirmed))
        return token

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _device(self) -> Device:
        return self._network.registry.devices[self.dev_eui]

    def _note(self, at_ns: int, frame: bytes, reception: Reception) -> None:
        # Several gateways hear the same frame.
        if (at_ns, frame) in self._seen:
            return
        self._seen.add((at_ns, frame))
        try:
            read = phy.read_uplink(frame)
        except phy.PhyError:
            return
        rate = eu868.data_rate(reception.sf, reception.bandwidth)
        sent = Sent(at_ns, reception.frequency, rate, frame, not self.is_deaf)
        if isinstance(read, phy.JoinRequest):
            if read.dev_eui == self.dev_eui:
                self.sent.append(replace(sent, nonce=read.dev_nonce))
            return
        session = self._device.session
        if session is not None:
            self._sessions[session.dev_addr] = session
        known = self._sessions.get(read.dev_addr)
        if known is None:
            return
        counter = full_counter(self._counters.get(read.dev_addr, 0), read.f_cnt)
        if counter > self._counters.get(read.dev_addr, 0) + 0x8000:
            counter = read.f_cnt  # it went back: whoever looks has to see it
        self._counters[read.dev_addr] = counter + 1
        self.sent.append(self._read(sent, read, known, counter))

    def _read(self, sent: Sent, read: phy.DataUplink, session: Session, counter: int) -> Sent:
        told: Frame | None = None
        commands = read.f_opts
        key = session.app_s_key if read.f_port else session.nwk_s_key
        payload = crypto.crypt_payload(key, crypto.UPLINK, session.dev_addr, counter, read.payload)
        if read.f_port == 0:
            commands = payload
        elif read.f_port is not None:
            with contextlib.suppress(FrameError):
                told = decode(read.f_port, payload)
        return replace(
            sent,
            address=read.dev_addr,
            counter=counter,
            port=read.f_port,
            confirmed=read.confirmed,
            commands=commands,
            frame=told,
        )
