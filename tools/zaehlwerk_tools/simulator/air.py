"""The virtual air over a city: who hears whom. Airtime, path loss, seeded loss, collisions with capture, half-duplex gateways.

Every frame is decided at its end, when all boards have passed that time, so that everything that could disturb it is
known. What happened to each is kept in `log`; same seed, same log, byte for byte.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from zaehlwerk_tools.simulator.air_frames import Downlink, Frame, Gateway, Heard, Window
from zaehlwerk_tools.simulator.airtime import airtime_ns, symbol_ns
from zaehlwerk_tools.simulator.duty_cycle import DutyCycle
from zaehlwerk_tools.simulator.propagation import (
    REQUIRED_SNR_DB,
    Place,
    path_loss_db,
    snr_db,
    somewhere,
)
from zaehlwerk_tools.simulator.scheduler import Scheduler

__all__ = ["Air", "Downlink", "Gateway", "Heard"]

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
        self._windows: list[Window] = []
        self._numbers: dict[int | str, int] = {}
        self.duty_cycle = DutyCycle()
        self.log: list[dict[str, object]] = []
        self.uplinks_sent = 0
        self.uplinks_lost = 0
        self.downlinks_sent = 0

    # -- boards --------------------------------------------------------------------------------------------------

    def transmit(
        self, sender: int, start_ns: int, frequency: int, sf: int, bandwidth: int, power: int, payload: bytes
    ) -> int:
        """A board begins to send; the end, ns. Returns at once: the frame's fate is decided at its end."""
        frame = self._frame(sender, start_ns, frequency, sf, bandwidth, power, payload, crc=True)
        self._forget()
        self._up.append(frame)
        self._scheduler.at(frame.end_ns, lambda: self._uplink_ends(frame), owner=sender)
        return frame.end_ns

    def abort(self, sender: int, at_ns: int) -> None:
        """The board's power went off or it restarted: what it was sending ends here and is nobody's frame."""
        for frame in self._up:
            if frame.sender == sender and frame.start_ns <= at_ns < frame.end_ns and not frame.aborted:
                frame.aborted = True
                frame.end_ns = at_ns

    def listen(
        self,
        board: int,
        open_ns: int,
        frequency: int,
        sf: int,
        bandwidth: int,
        symbols: int,
        answer: Callable[[int, Downlink | None], None],
    ) -> None:
        """A board opens a receive window of `symbols`; `answer(end_ns, downlink or None)` comes when that is certain."""
        close_ns = open_ns + symbols * symbol_ns(sf, bandwidth)
        window = Window(board, open_ns, close_ns, frequency, sf, bandwidth, answer)
        self._windows.append(window)
        for frame in self._down:
            if frame.end_ns > open_ns:
                self._look_out(window, frame)
        self._scheduler.at(close_ns, lambda: self._close(window), owner=board)

    def _look_out(self, window: Window, frame: Frame) -> None:
        # A downlink that this window could see: look when enough of its preamble has passed.
        if window.tuned_to(frame):
            look_ns = max(window.open_ns, frame.start_ns) + frame.detection_ns
            if look_ns < window.close_ns:
                self._scheduler.at(
                    max(look_ns, self._scheduler.now_ns), lambda: self._look(window), owner=window.board
                )

    def _look(self, window: Window) -> None:
        if window.locked:
            return
        frame = self._preamble(window)
        if frame is not None:
            window.locked = True
            self._windows.remove(window)
            self._scheduler.at(frame.end_ns, lambda: self._window_received(window, frame), owner=window.board)

    def _window_received(self, window: Window, frame: Frame) -> None:
        window.answer(frame.end_ns, self._receive_downlink(window.board, frame))

    def _close(self, window: Window) -> None:
        self._look(window)
        if not window.locked:
            window.locked = True
            self._windows.remove(window)
            window.answer(window.close_ns, None)

    # -- gateways ------------------------------------------------------------------------------------------------

    def downlink(
        self, gateway_id: str, start_ns: int, frequency: int, sf: int, bandwidth: int, power: int, phy: bytes
    ) -> str | None:
        """A gateway is told to send. None: it will; else the gw.TxAckStatus that says why not."""
        gateway = self.gateways[gateway_id]
        if start_ns < self._scheduler.now_ns:
            return "TOO_LATE"
        end_ns = start_ns + airtime_ns(len(phy), sf, bandwidth, crc=False)
        if gateway.is_out(start_ns, end_ns):
            return "INTERNAL_ERROR"
        if any(f.sender == gateway_id and f.start_ns < end_ns and start_ns < f.end_ns for f in self._down):
            return "COLLISION_PACKET"
        frame = self._frame(gateway_id, start_ns, frequency, sf, bandwidth, power, phy, crc=False)
        self._forget()
        self._down.append(frame)
        for window in list(self._windows):
            self._look_out(window, frame)
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

    def _frame(
        self,
        sender: int | str,
        start_ns: int,
        frequency: int,
        sf: int,
        bandwidth: int,
        power: int,
        payload: bytes,
        *,
        crc: bool,
    ) -> Frame:
        number = self._numbers[sender] = self._numbers.get(sender, -1) + 1
        end_ns = start_ns + airtime_ns(len(payload), sf, bandwidth, crc=crc)
        return Frame(number, sender, start_ns, end_ns, frequency, sf, bandwidth, power, bytes(payload))

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
        self.duty_cycle.add(f"board {board}", frame.frequency, frame.end_ns, frame.end_ns - frame.start_ns)
        vanished = self._draw("up", board, self._uplink_loss)
        heard: list[Heard] = []
        missed: dict[str, str] = {}
        silent = any(
            begin < frame.end_ns and frame.start_ns < end for begin, end in self._silences.get(board, ())
        )
        if frame.aborted or vanished or silent:
            lost = "aborted" if frame.aborted else "loss" if vanished else "silence"
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
        snr = snr_db(rssi, frame.bandwidth)
        if snr < REQUIRED_SNR_DB[frame.sf]:
            return "weak"
        for other in self._up:
            if frame.meets(other):
                assert isinstance(other.sender, int)
                if rssi < other.power - self._loss_db(other.sender, gateway) + CAPTURE_DB:
                    return "collision"
        channel = CHANNELS.index(frame.frequency) if frame.frequency in CHANNELS else 0
        return Heard(
            gateway.id, frame.frequency, frame.sf, frame.bandwidth, round(rssi), round(snr, 1), channel
        )

    def _preamble(self, window: Window) -> Frame | None:
        """The downlink whose preamble the window has seen by now, the strongest of several."""
        until_ns = min(window.close_ns, self._scheduler.now_ns)
        seen = [
            frame
            for frame in self._down
            if window.tuned_to(frame)
            and min(until_ns, frame.preamble_end_ns) - max(window.open_ns, frame.start_ns)
            >= frame.detection_ns
            and snr_db(self._downlink_rssi(window.board, frame), frame.bandwidth) >= REQUIRED_SNR_DB[frame.sf]
        ]
        return max(
            seen,
            key=lambda frame: (self._downlink_rssi(window.board, frame), str(frame.sender)),
            default=None,
        )

    def _downlink_rssi(self, board: int, frame: Frame) -> float:
        assert isinstance(frame.sender, str)
        return frame.power - self._loss_db(board, self.gateways[frame.sender])

    def _receive_downlink(self, board: int, frame: Frame) -> Downlink | None:
        rssi = self._downlink_rssi(board, frame)
        for other in self._down:
            if frame.meets(other) and rssi < self._downlink_rssi(board, other) + CAPTURE_DB:
                return None
        if self._draw("down", board, self._downlink_loss):
            return None
        frame.heard_by.append(board)
        return Downlink(frame.payload, round(rssi), round(snr_db(rssi, frame.bandwidth)), frame.end_ns)

    def _downlink_ends(self, frame: Frame) -> None:
        self.duty_cycle.add(
            f"gateway {frame.sender}", frame.frequency, frame.end_ns, frame.end_ns - frame.start_ns
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
            "frequency": frame.frequency,
            "sf": frame.sf,
            "bandwidth": frame.bandwidth,
            "power": frame.power,
            "payload": frame.payload.hex(),
        }

    def _forget(self) -> None:
        since = self._scheduler.now_ns - _KEEP_NS
        if len(self._up) > 64:
            self._up = [frame for frame in self._up if frame.end_ns > since]
        if len(self._down) > 64:
            self._down = [frame for frame in self._down if frame.end_ns > since]
