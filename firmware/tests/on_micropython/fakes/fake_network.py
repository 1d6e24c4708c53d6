"""A radio with a whole network behind it, for tests of the node as a program: one gateway that hears everything
unless told otherwise, a server that joins, acknowledges and answers LinkCheckReq and DeviceTimeReq.

It uses the firmware's own frame code; that this code speaks LoRaWAN is what the vectors and `cryptography` show.
"""

import asyncio

from world import world

from lorawan import crypto, frames, region
from radio import Packet, Radio

_GPS_OF_UNIX = 315964800 - 18


class Session:
    pass


class Network(Radio):
    """unix_s: UTC at virtual time 0. lose(number, port) tells whether the uplink is lost; gives_time, acknowledges."""

    def __init__(self, app_key, unix_s):
        self.app_key = app_key
        self.unix_s = unix_s
        self.lose = lambda number, port: False
        self.lose_joins = lambda number: False
        self.gives_time = True
        self.error_s = 0
        self.uplinks = []
        self.joins = []
        self.sent = []
        self.queue = []
        self.session = None
        self.joined = 0
        self.air = []

    def start(self):
        pass

    def sleep(self):
        self.window = None

    def utc_us(self):
        return self.unix_s * 1000000 + world.now_us

    async def transmit(self, frequency, sf, bandwidth, power, payload):
        airtime = region.airtime_us(sf, bandwidth, len(payload))
        begin = world.now_us
        await asyncio.sleep_ms((airtime + 999) // 1000)
        self.air.append((begin, world.now_us, frequency, sf, bytes(payload)))
        self.reply = None
        self.on_air(bytes(payload), frequency, sf)
        import time

        return time.ticks_us()

    def prepare_receive(self, frequency, sf, bandwidth, symbols):
        self.window = (frequency, sf, symbols)

    async def receive(self):
        import time

        frequency, sf, symbols = self.window
        symbol = region.symbol_us(sf, 125000)
        if self.reply is not None:
            start, where, payload = self.reply
            # Heard when enough of the preamble lies in the window.
            opens, closes = world.now_us, world.now_us + symbols * symbol
            if where == (frequency, sf) and start + 2 * symbol < closes and opens <= start + 4 * symbol:
                length = start - world.now_us + region.airtime_us(sf, 125000, len(payload), False)
                await asyncio.sleep_ms(length // 1000)
                self.reply = None
                return Packet(payload, -80, 7, time.ticks_us())
        await asyncio.sleep_ms(symbols * symbol // 1000)
        return None

    def on_air(self, phy, frequency, sf):
        if phy[0] == frames.JOIN_REQUEST:
            self.joins.append(phy)
            if not self.lose_joins(len(self.joins)):
                self.reply = (world.now_us + 5000000, (frequency, sf), self.join(phy))
            return
        session = self.session
        if session is None or int.from_bytes(phy[1:5], "little") != session.address:
            return
        # On the air is the lower half of it.
        session.up += ((phy[6] | phy[7] << 8) - session.up) & 0xFFFF
        counter = session.up
        length = phy[5] & 15
        port, data = None, b""
        if len(phy) > 12 + length:
            port = phy[8 + length]
            data = crypto.crypt_payload(session.app_s_key, 0, session.address, counter, phy[9 + length : -4])
        self.sent.append((world.now_us, counter, port, data))
        if self.lose(len(self.sent), port):
            return
        self.uplinks.append((self.utc_us(), counter, port, data))
        answer = b"\x02\x14\x01" if 0x02 in phy[8 : 8 + length] else b""
        if 0x0D in phy[8 : 8 + length] and self.gives_time:
            fraction = self.utc_us() + self.error_s * 1000000
            answer += b"\x0d" + (fraction // 1000000 - _GPS_OF_UNIX).to_bytes(4, "little")
            answer += bytes([fraction % 1000000 * 256 // 1000000])
        confirmed = phy[0] == frames.CONFIRMED_UP
        if answer or confirmed or self.queue:
            down = self.down(confirmed, answer, self.queue.pop(0) if self.queue else None)
            self.reply = (world.now_us + 1000000, (frequency, sf), down)

    def join(self, phy):
        self.joined += 1
        session = self.session = Session()
        session.address = 0x01000000 + self.joined
        session.down = session.up = 0
        nonce = self.joined.to_bytes(3, "little")
        session.nwk_s_key, session.app_s_key = crypto.session_keys(self.app_key, nonce, b"\0\0\0", phy[17:19])
        plain = b"\x20" + nonce + b"\0\0\0" + session.address.to_bytes(4, "little") + b"\0\x01"
        plain += crypto.mic(self.app_key, plain)
        import cryptolib

        # The network decrypts; `cryptolib` can: ECB block by block.
        return b"\x20" + cryptolib.aes(self.app_key, 1).decrypt(plain[1:])

    def down(self, ack, fopts, item):
        session = self.session
        head = bytes([frames.UNCONFIRMED_DOWN]) + session.address.to_bytes(4, "little")
        head += bytes([(frames.ACK if ack else 0) | len(fopts)]) + session.down.to_bytes(2, "little") + fopts
        if item is not None:
            port, data = item
            head += bytes([port]) + crypto.crypt_payload(
                session.app_s_key, 1, session.address, session.down, data
            )
        phy = head + crypto.data_mic(session.nwk_s_key, 1, session.address, session.down, head)
        session.down += 1
        return phy
