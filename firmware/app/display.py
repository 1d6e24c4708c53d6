"""The display of a board: an SSD1306 with 128 x 64 points on I2C. Loaded while it is on.

Commands and the two control bytes after Solomon Systech's SSD1306 datasheet, Rev 1.5, sections 8.1.5 (I2C), 9 (commands)
and 8.9 (charge pump). A page of its memory is a line of text, so one line is all that has to be in ours.
"""

import asyncio

import machine
from framebuf import MONO_VLSB, FrameBuffer
from micropython import const

from app import modules

_ADDRESS = const(0x3C)
_AWAKE_MS = const(60000)
_EVERY_MS = const(1000)
# A supply that was switched on, and a chip that was reset, are there after so long; the reset needs 3 us (section 13).
_SETTLE_MS = const(50)
_RESET_MS = const(1)
_PAGES = const(8)
_WIDTH = const(128)
# First byte of what is written: commands, or data for the memory.
_COMMANDS = b"\x00"
_DATA = const(0x40)
# Dark; page addressing; from line 0 on; 64 lines; no offset; the boards' glass is mounted upside down: columns and rows
# from their ends; alternating rows; half contrast; charge pump on; what the memory holds, not inverted.
_BEGIN = b"\x00\xae\x20\x02\x40\xa8\x3f\xd3\x00\xa1\xc8\xda\x12\x81\x7f\x8d\x14\xa4\xa6"
_ON = b"\x00\xaf"
_OFF = b"\x00\xae"


async def show(node):
    """Until a minute after the last press. node: a `node.Node` whose board has a DISPLAY; one that is absent is no error."""
    scl, sda, reset, supply = node.board.DISPLAY
    switch = None
    try:
        if supply is not None:
            switch = machine.Pin(supply, machine.Pin.OUT, value=0)
            await asyncio.sleep_ms(_SETTLE_MS)
        if reset is not None:
            line = machine.Pin(reset, machine.Pin.OUT, value=0)
            await asyncio.sleep_ms(_RESET_MS)
            line.value(1)
            await asyncio.sleep_ms(_RESET_MS)
        await _draw(node, machine.I2C(0, scl=machine.Pin(scl), sda=machine.Pin(sda), freq=400000))
    except OSError:
        pass  # nobody answers: it is not there, or came off
    finally:
        if switch is not None:
            switch.value(1)
        modules.unload("app.display")


async def _draw(node, bus):
    page = bytearray(1 + _WIDTH)
    page[0] = _DATA
    frame = FrameBuffer(memoryview(page)[1:], _WIDTH, 8, MONO_VLSB)
    async with node.quiet:
        bus.writeto(_ADDRESS, _BEGIN)
    try:
        while node.uptime() - node.pressed_at < _AWAKE_MS:
            # Never from a transmission to the end of its windows.
            async with node.quiet:
                texts = lines(node)
                for number in range(_PAGES):
                    frame.fill(0)
                    frame.text(texts[number], 0, 0)
                    bus.writeto(_ADDRESS, _COMMANDS + bytes((0xB0 | number, 0x00, 0x10)))
                    bus.writeto(_ADDRESS, page)
                bus.writeto(_ADDRESS, _ON)
            await asyncio.sleep_ms(_EVERY_MS)
    finally:
        bus.writeto(_ADDRESS, _OFF)


def lines(node):
    """Eight lines of 16 characters: network, last frame heard, answer to a press, battery, and what was counted."""
    device, battery = node.device, node.battery_mv
    joined = device is not None and device.joined
    texts = [
        ("joined" if joined else "joining")
        + (" SAFE MODE" if node.safe else " FAULT" if node.faulty else ""),
        "nothing heard" if device is None or device.signal is None else "%d dBm %d dB" % device.signal,
        "no answer"
        if node.answered is False
        else ""
        if node.link is None
        else "+%d dB, %d gw" % node.link[:2],
        "mains" if battery is None else "%d.%02d V" % (battery // 1000, battery % 1000 // 10),
    ]
    counts = ["%d%6d " % (i, count % 1000000) for i, count in enumerate(_counted(node))] + [""] * _PAGES
    return texts + [counts[i] + counts[i + 1] for i in range(0, 8, 2)]


def _counted(node):
    """Pulses per channel up to now."""
    before = node.intervals.pulses
    return [before[i] + count for i, count in enumerate(node.inputs.so_far())]
