"""The certification protocol on FPort 224 (LoRa Alliance TS009), as far as Class A goes. Loaded only when switched on.

`Mac` hands over what it hears; `uplink` says what to send next, and `run` sends it: a program of its own, in place of
the application. Commands of Class B and C are counted and not carried out. One command per frame.
"""

import asyncio

from micropython import const

PORT = const(224)
# Package identifier and version (TS009 section 5.1).
_PACKAGE = b"\x06\x01"
# LoRaWAN 1.0.4.0 and RP002-1.0.4, which counts as 2.1.0.4.
_VERSIONS = b"\x01\x00\x04\x00\x02\x01\x00\x04"

_PACKAGE_VERSION = const(0x00)
_DUT_RESET = const(0x01)
_DUT_JOIN = const(0x02)
_SWITCH_CLASS = const(0x03)
_ADR_BIT_CHANGE = const(0x04)
_REGIONAL_DUTY_CYCLE = const(0x05)
_TX_PERIODICITY = const(0x06)
_TX_FRAMES = const(0x07)
_ECHO_PAYLOAD = const(0x08)
_RX_APP_CNT = const(0x09)
_RX_APP_CNT_RESET = const(0x0A)
_LINK_CHECK = const(0x20)
_DEVICE_TIME = const(0x21)
_TX_CW = const(0x7D)
_PORT_DISABLE = const(0x7E)
_DUT_VERSIONS = const(0x7F)

# TxPeriodicityChangeReq: seconds between uplinks; 0 is the device's own period.
_PERIODS_S = (0, 5, 10, 20, 30, 40, 50, 60, 120, 240, 480)
_OWN_PERIOD_S = const(60)
_ANSWER_AFTER_S = const(2)


class Certification:
    """State of the test. mac: the `mac.Mac` under test; firmware: its version as 4 bytes; store: a `store.Store`.

    received: RxAppCnt. answer: what goes out next on FPort 224, b"" for nothing. confirmed: whether uplinks are.
    period_s: seconds between uplinks. join, reset: asked for by the test, for whoever runs it. continuous_wave: a
    function of (seconds, Hz, dBm) where the radio has one.
    """

    continuous_wave = None

    def __init__(self, mac, firmware, store):
        self._mac = mac
        self._firmware = firmware
        self._store = store
        self.received = 0
        self.answer = b""
        self.confirmed = False
        self.period_s = _OWN_PERIOD_S
        self.link_check = self.device_time = False
        self.join = self.reset = False

    def heard(self, downlink):
        """A valid downlink came: count it, and obey it if it is one of this protocol's."""
        if downlink.port or downlink.ack:
            self.received = (self.received + 1) & 0xFFFF
        if downlink.port == PORT and downlink.payload:
            # An answer that has not gone out yet is overtaken by the new command.
            self.answer = b""
            if not self._obey(downlink.payload[0], downlink.payload[1:]):
                self._mac.refuse("FPort 224: command 0x%02x" % downlink.payload[0])

    def _obey(self, command, argument):
        """Whether `command` is one that a Class A device knows, with an argument that it has."""
        answer = self._answer(command, argument)
        if answer is not None:
            self.answer = bytes([command]) + answer
        elif command == _DUT_RESET:
            self.reset = True
        elif command == _DUT_JOIN:
            self.join = True
        elif command == _RX_APP_CNT_RESET:
            self.received = 0
        elif command == _LINK_CHECK:
            self.link_check = True
        elif command == _DEVICE_TIME:
            self.device_time = True
        elif command == _PORT_DISABLE:
            self._mac.certification = None
            self._store.test_port_closed = True
            self._store.save_nonces()
            self.reset = True
        elif command == _TX_CW and len(argument) == 6 and self.continuous_wave is not None:
            power = argument[5] - 0x100 if argument[5] > 0x7F else argument[5]
            frequency = int.from_bytes(argument[2:5], "little") * 100
            self.continuous_wave(int.from_bytes(argument[:2], "little"), frequency, power)
        else:
            return bool(argument) and self._change(command, argument[0])
        return True

    def _answer(self, command, argument):
        """What the answer of a command that is only a question holds, None for another command."""
        if command == _PACKAGE_VERSION:
            return _PACKAGE
        if command == _ECHO_PAYLOAD:
            return bytes([(value + 1) & 0xFF for value in argument])
        if command == _RX_APP_CNT:
            return self.received.to_bytes(2, "little")
        if command == _DUT_VERSIONS:
            return self._firmware + _VERSIONS
        return None

    def _change(self, command, value):
        """The commands that have one byte of argument."""
        if command == _SWITCH_CLASS:
            return value == 0
        if command == _ADR_BIT_CHANGE and value < 2:
            self._mac.adr = bool(value)
        elif command == _REGIONAL_DUTY_CYCLE and value < 2:
            self._mac.duty.regional = bool(value)
        elif command == _TX_PERIODICITY and value < len(_PERIODS_S):
            self.period_s = _PERIODS_S[value] or _OWN_PERIOD_S
        elif command == _TX_FRAMES and value < 3:
            # 0 changes nothing; what follows is filling.
            self.confirmed = value == 2 if value else self.confirmed
        else:
            return False
        return True

    def uplink(self):
        """The arguments of `Mac.send` after the time: port, payload, confirmed, link_check, device_time."""
        payload = self.answer[: self._mac.room(self.link_check + self.device_time)]
        asked = (PORT, payload, self.confirmed, self.link_check, self.device_time)
        self.link_check = self.device_time = False
        self.answer = b""
        return asked

    async def run(self, device, reset):
        """Join, send and answer for ever on a `device.Device`; reset() restarts the machine."""
        while True:
            if self.reset:
                reset()
            if self.join:
                self.join = False
                device.mac.session = device.mac.other = None
            if not device.joined:
                await device.join_once()
                continue
            asked = self.uplink()
            done = await device.send(*asked)
            if not done.sent:
                self.answer = self.answer or asked[1]
            soon = self.answer or self.link_check or self.device_time or done.ack_due or done.pending
            if not (self.reset or self.join):
                await asyncio.sleep(_ANSWER_AFTER_S if soon else self.period_s)
