"""The virtual air over a city: who hears whom. Airtime, path loss, seeded loss, collisions with capture, half-duplex gateways.

Every frame is decided at its end, when all boards have passed that time, so that everything that could disturb it is
known. What happened to each is kept in `log`; same seed, same log, byte for byte.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from zaehlwerk_tools.simulator.air_frames import Frame, Gateway, Heard, Receiver
from zaehlwerk_tools.simulator.airtime import airtime_ns, needs_low_rate
from zaehlwerk_tools.simulator.chips.antenna import Hears, LoRa, Reception
from zaehlwerk_tools.simulator.duty_cycle import DutyCycle
from zaehlwerk_tools.simulator.propagation import (
    REQUIRED_SNR_DB,
    Place,
    path_loss_db,
    snr_db,
    somewhere,
)
from zaehlwerk_tools.simulator.scheduler import Scheduler

__all__ = ["Air", "Gateway", "Heard"]

CAPTURE_DB = 6.0
"""A frame survives an equal one (frequency, SF) on top of it if it is stronger by this (SX1272/73 AN1200.22; Bor et al. 2016)."""

CHANNELS = (
    868_100_000,
    868_300_000,
    868_500_000,
    867_100_000,
    867_300_000,
    867_500_000,
    867_700_000,
    867_900_000,
)

LORAWAN_SYNC_WORD = 0x34
"""Of public networks (RP002-1.0.4 section 2.4.2)."""

_KEEP_NS = 20_000_000_000
"""How long a finished frame is remembered: longer than any frame lasts."""

CITY_RADIUS_M = 1500.0


class Air:
    """All that is sent in one city.

    `uplink_loss` and `downlink_loss` are the shares of frames that vanish for everybody (0…1), drawn per sender
    from `seed`; a board sends for nobody in its `silences` (from ns, until ns). `on_uplink(end_ns, payload, heard)` is
    called once per gateway that received a frame.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        seed: int | str,
        gateways: Iterable[Gateway],
        on_uplink: Callable[[int, bytes, Heard], None],
        uplink_loss: float = 0.0,
        downlink_loss: float = 0.0,
        places: dict[int, Place] | None = None,
        radius_m: float = CITY_RADIUS_M,
        silences: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    ) -> None:
        for name, loss in (("uplink_loss", uplink_loss), ("downlink_loss", downlink_loss)):
            if not 0 <= loss <= 1:
                raise ValueError(f"{name} {loss}: must be between 0 and 1")
        self._scheduler = scheduler
        self._seed = seed
        self.gateways = {gateway.id: gateway for gateway in sorted(gateways, key=lambda g: g.id)}
        self._on_uplink = on_uplink
        self._uplink_loss = uplink_loss
        self._downlink_loss = downlink_loss
        self._places = dict(places or {})
        self._radius_m = radius_m
        self._silences = dict(silences or {})
        self._losses: dict[str, random.Random] = {}
        self._path: dict[tuple[int, str], float] = {}
        self._up: list[Frame] = []
        self._down: list[Frame] = []
        self._receivers: list[Receiver] = []
        self._numbers: dict[int | str, int] = {}
        self.duty_cycle = DutyCycle()
        self.log: list[dict[str, object]] = []
        self.uplinks_sent = 0
        self.uplinks_lost = 0
        self.downlinks_sent = 0

    # -- boards --------------------------------------------------------------------------------------------------

    def transmit(self, sender: int, start_ns: int, lora: LoRa, power: float, payload: bytes) -> int:
        """A board begins to send; the end, ns. Returns at once: the frame's fate is decided at its end."""
        frame = self._frame(sender, start_ns, lora, power, payload)
        self._forget()
        self._up.append(frame)
        self._announce(frame)
        self._scheduler.at(frame.end_ns, lambda: self._uplink_ends(frame), owner=sender)
        return frame.end_ns

    def abort(self, sender: int, at_ns: int) -> None:
        """The board's power went off or it restarted: what it was sending ends here and is nobody's frame."""
        for frame in self._up:
            if frame.sender == sender and frame.start_ns <= at_ns < frame.end_ns and not frame.aborted:
                frame.aborted = True
                frame.end_ns = at_ns

    def listen(self, board: int, open_ns: int, lora: LoRa, hears: Hears) -> Receiver:
        """A board's receiver is open from `open_ns` until `close`; `hears` is told what it gets, in the world's time."""
        receiver = Receiver(board, open_ns, lora, hears)
        self._receivers.append(receiver)
        for frame in self._down + self._up:
            self._look_out(receiver, frame)
        return receiver

    def close(self, receiver: Receiver) -> None:
        """Nothing more is told to it. Harmless twice."""
        if not receiver.closed:
            receiver.closed = True
            self._receivers.remove(receiver)

    def quiet_until(self, receiver: Receiver) -> int:
        """Until then, ns, nothing can be told to `receiver`, whatever anybody sends from now on."""
        now = self._scheduler.now_ns
        if receiver.frame is not None:
            header = receiver.frame.header_end_ns
            return header if header > now else receiver.frame.end_ns
        looks = [
            look
            for frame in self._down + self._up
            if (look := self._look_ns(receiver, frame)) is not None and look > now
        ]
        return min([*looks, max(now, receiver.open_ns) + receiver.detection_ns])

    def _look_ns(self, receiver: Receiver, frame: Frame) -> int | None:
        # When enough of the frame's preamble has passed for this receiver; None: it cannot see it.
        if not receiver.tuned_to(frame) or (frame.sender, frame.number) in receiver.done:
            return None
        look_ns = max(receiver.open_ns, frame.start_ns) + frame.detection_ns
        return look_ns if look_ns <= frame.preamble_end_ns else None

    def _announce(self, frame: Frame) -> None:
        for receiver in list(self._receivers):
            self._look_out(receiver, frame)

    def _look_out(self, receiver: Receiver, frame: Frame) -> None:
        look_ns = self._look_ns(receiver, frame)
        if look_ns is not None and look_ns >= self._scheduler.now_ns:
            self._scheduler.at(look_ns, lambda: self._look(receiver), owner=receiver.board)

    def _look(self, receiver: Receiver) -> None:
        while not receiver.closed and receiver.frame is None:
            frame = self._preamble(receiver)
            if frame is None:
                return
            receiver.done.add((frame.sender, frame.number))
            if isinstance(frame.sender, str) and self._draw("down", receiver.board, self._downlink_loss):
                continue
            self._lock(receiver, frame)

    def _lock(self, receiver: Receiver, frame: Frame) -> None:
        receiver.frame = frame
        now, board = self._scheduler.now_ns, receiver.board
        self._scheduler.at(max(frame.header_end_ns, now), lambda: self._header(receiver, frame), owner=board)
        self._scheduler.at(frame.end_ns, lambda: self._frame_heard(receiver, frame), owner=board)
        receiver.hears.preamble(now)

    def _header(self, receiver: Receiver, frame: Frame) -> None:
        if not receiver.closed and receiver.frame is frame and not frame.aborted:
            receiver.hears.header(self._scheduler.now_ns)

    def _frame_heard(self, receiver: Receiver, frame: Frame) -> None:
        if receiver.closed or receiver.frame is not frame:
            return
        now = self._scheduler.now_ns
        receiver.frame = None
        receiver.open_ns = now
        if frame.aborted:
            receiver.hears.lost(now)
        else:
            reception = self._receive(receiver, frame)
            if reception.payload == frame.payload:
                frame.heard_by.append(receiver.board)
            receiver.hears.frame(now, reception)
        if not receiver.closed:
            for other in self._down + self._up:
                self._look_out(receiver, other)

    # -- gateways ------------------------------------------------------------------------------------------------

    def downlink(
        self, gateway_id: str, start_ns: int, frequency: int, sf: int, bandwidth: int, power: int, phy: bytes
    ) -> str | None:
        """A gateway is told to send. None: it will; else the gw.TxAckStatus that says why not."""
        gateway = self.gateways[gateway_id]
        if start_ns < self._scheduler.now_ns:
            return "TOO_LATE"
        lora = LoRa(
            frequency, sf, bandwidth, inverted=True, crc=False, low_rate=needs_low_rate(sf, bandwidth)
        )
        end_ns = start_ns + airtime_ns(len(phy), sf, bandwidth, crc=False)
        if gateway.is_out(start_ns, end_ns):
            return "INTERNAL_ERROR"
        if any(f.sender == gateway_id and f.start_ns < end_ns and start_ns < f.end_ns for f in self._down):
            return "COLLISION_PACKET"
        frame = self._frame(gateway_id, start_ns, lora, power, phy)
        self._forget()
        self._down.append(frame)
        self._announce(frame)
        self.downlinks_sent += 1
        self._scheduler.at(end_ns, lambda: self._downlink_ends(frame))
        return None

    # -- what came of it -----------------------------------------------------------------------------------------

    def log_text(self) -> str:
        """The log as JSON lines in the order of decision: comparing two runs is comparing two texts."""
        return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in self.log)

    def place(self, board: int) -> Place:
        """Where the board stands."""
        if board not in self._places:
            self._places[board] = somewhere(f"{self._seed}/place/{board}", self._radius_m)
        return self._places[board]

    # -- inside --------------------------------------------------------------------------------------------------

    def _frame(self, sender: int | str, start_ns: int, lora: LoRa, power: float, payload: bytes) -> Frame:
        number = self._numbers[sender] = self._numbers.get(sender, -1) + 1
        duration_ns = airtime_ns(
            len(payload),
            lora.sf,
            lora.bandwidth,
            crc=lora.crc,
            coding_rate=lora.coding_rate,
            preamble=lora.preamble,
            explicit=lora.explicit,
            low_rate=lora.low_rate,
        )
        return Frame(number, sender, start_ns, start_ns + duration_ns, lora, power, bytes(payload))

    def _draw(self, direction: str, board: int, share: float) -> bool:
        key = f"{self._seed}/{direction}/{board}"
        randoms = self._losses.get(key)
        if randoms is None:
            randoms = self._losses[key] = random.Random(key)
        return randoms.random() < share

    def _loss_db(self, board: int, gateway: Gateway) -> float:
        key = (board, gateway.id)
        if key not in self._path:
            self._path[key] = path_loss_db(self.place(board), gateway.place) - gateway.power_offset_db
        return self._path[key]

    def _uplink_ends(self, frame: Frame) -> None:
        board = frame.sender
        assert isinstance(board, int)
        self.uplinks_sent += 1
        self.duty_cycle.add(
            f"board {board}", frame.lora.frequency, frame.end_ns, frame.end_ns - frame.start_ns
        )
        vanished = self._draw("up", board, self._uplink_loss)
        heard: list[Heard] = []
        missed: dict[str, str] = {}
        silent = any(
            begin < frame.end_ns and frame.start_ns < end for begin, end in self._silences.get(board, ())
        )
        foreign = not _is_lorawan_uplink(frame.lora)
        if frame.aborted or vanished or silent or foreign:
            lost = (
                "aborted" if frame.aborted else "loss" if vanished else "silence" if silent else "not LoRaWAN"
            )
        else:
            for gateway in self.gateways.values():
                outcome = self._uplink_at(gateway, board, frame)
                if isinstance(outcome, Heard):
                    heard.append(outcome)
                else:
                    missed[gateway.id] = outcome
            lost = "" if heard else "; ".join(sorted(set(missed.values()))) or "no gateway"
        self.uplinks_lost += 1 if lost else 0
        entry = self._entry("up", frame)
        entry["gateways"] = [h.gateway_id for h in heard]
        entry["lost"] = lost or None
        if missed and not lost:
            entry["missed"] = missed
        self.log.append(entry)
        for hearing in heard:
            self._on_uplink(frame.end_ns, frame.payload, hearing)

    def _uplink_at(self, gateway: Gateway, board: int, frame: Frame) -> Heard | str:
        if gateway.is_out(frame.start_ns, frame.end_ns):
            return "gateway out"
        if any(
            d.sender == gateway.id and d.start_ns < frame.end_ns and d.end_ns > frame.start_ns
            for d in self._down
        ):
            return "half duplex"
        rssi = frame.power - self._loss_db(board, gateway)
        lora = frame.lora
        snr = snr_db(rssi, lora.bandwidth)
        if snr < REQUIRED_SNR_DB[lora.sf]:
            return "weak"
        for other in self._up:
            if frame.meets(other):
                assert isinstance(other.sender, int)
                if rssi < other.power - self._loss_db(other.sender, gateway) + CAPTURE_DB:
                    return "collision"
        # A chip's synthesizer meets a channel to within its steps; the gateway knows its channels.
        channel = next((n for n, nominal in enumerate(CHANNELS) if lora.is_at(nominal)), None)
        frequency = lora.frequency if channel is None else CHANNELS[channel]
        return Heard(gateway.id, frequency, lora.sf, lora.bandwidth, round(rssi), round(snr, 1), channel or 0)

    def _preamble(self, receiver: Receiver) -> Frame | None:
        """The frame whose preamble the receiver has seen by now, the strongest of several."""
        now = self._scheduler.now_ns
        seen = [
            frame
            for frame in self._down + self._up
            if (look := self._look_ns(receiver, frame)) is not None
            and look <= now <= frame.preamble_end_ns
            and self._snr(receiver.board, frame) >= REQUIRED_SNR_DB[frame.lora.sf]
        ]
        return max(
            seen, key=lambda frame: (self._rssi(receiver.board, frame), str(frame.sender)), default=None
        )

    def _rssi(self, board: int, frame: Frame) -> float:
        if isinstance(frame.sender, str):
            return frame.power - self._loss_db(board, self.gateways[frame.sender])
        return frame.power - path_loss_db(self.place(board), self.place(frame.sender))

    def _snr(self, board: int, frame: Frame) -> float:
        return snr_db(self._rssi(board, frame), frame.lora.bandwidth)

    def _receive(self, receiver: Receiver, frame: Frame) -> Reception:
        board, lora = receiver.board, frame.lora
        rssi = self._rssi(board, frame)
        # Whoever disagrees on the low data rate optimisation gets the header and garbles the rest.
        whole = receiver.lora.low_rate == lora.low_rate and all(
            rssi >= self._rssi(board, other) + CAPTURE_DB
            for other in self._down + self._up
            if other.lora.inverted == lora.inverted and other.sender != board and frame.meets(other)
        )
        payload = frame.payload if whole else bytes(byte ^ 0xFF for byte in frame.payload)
        snr = round(snr_db(rssi, lora.bandwidth))
        return Reception(payload, round(rssi), snr, lora.crc, whole or not lora.crc, lora.coding_rate)

    def _downlink_ends(self, frame: Frame) -> None:
        self.duty_cycle.add(
            f"gateway {frame.sender}", frame.lora.frequency, frame.end_ns, frame.end_ns - frame.start_ns
        )
        entry = self._entry("down", frame)
        entry["heard_by"] = frame.heard_by  # a window that is longer than the frame is decided later
        self.log.append(entry)

    def _entry(self, direction: str, frame: Frame) -> dict[str, object]:
        return {
            "direction": direction,
            "sender": frame.sender,
            "number": frame.number,
            "start_ns": frame.start_ns,
            "end_ns": frame.end_ns,
            "frequency": frame.lora.frequency,
            "sf": frame.lora.sf,
            "bandwidth": frame.lora.bandwidth,
            "power": frame.power,
            "payload": frame.payload.hex(),
        }

    def _forget(self) -> None:
        since = self._scheduler.now_ns - _KEEP_NS
        if len(self._up) > 64:
            self._up = [frame for frame in self._up if frame.end_ns > since]
        if len(self._down) > 64:
            self._down = [frame for frame in self._down if frame.end_ns > since]


def _is_lorawan_uplink(lora: LoRa) -> bool:
    """Whether a LoRaWAN gateway would hear it (RP002-1.0.4 section 2.4.2)."""
    return lora.sync_word == LORAWAN_SYNC_WORD and lora.explicit and lora.crc and not lora.inverted
