"""Turns this MicroPython into a virtual board: stands its own modules in for the ESP32's, mounts flash and node tree.

Arguments: fd in, fd out, flash image, node tree. `board_main` drops this module when it is done, and its heap with it.
"""

import struct
import sys

import board_link as link

link.connect(int(sys.argv[1]), int(sys.argv[2]), 68)
flash_path, tree = sys.argv[3], sys.argv[4]
(
    link.ms_offset,
    link.us_offset,
    cut_ms,
    cut_us,
    cut_ops,
    lease_ms,
    seed,
    rtc_s,
    rtc_us,
    cause,
    link.pcnt_units,
) = struct.unpack_from("<IIIHIIIIIBB", link.reply)
uid = bytes(link.reply[36:44])
link.line_pins = bytes(link.reply[44:50])
link.radio_pins = bytes(link.reply[50:56])
lines_ms, link.code_late_ms, link.irq_late_ms, flags, gc_ms, sleep_ppm = struct.unpack_from(
    "<IHHBBh", link.reply, 56
)
link.always_late = flags & 1
link.strict = flags & 2

import os
import random
import time

import vfs

random.seed(seed)
link.native_time = time
link.native_os = os

import virtual_flash

sys.modules["board_link"] = link
sys.modules["os"] = __import__("virtual_os")
import virtual_time

virtual_time._rtc_s = rtc_s
virtual_time._rtc_us = rtc_us
sys.modules["time"] = virtual_time
sys.modules["select"] = __import__("virtual_select")
sys.modules["_asyncio"] = __import__("virtual_asyncio")
import virtual_machine

virtual_machine._cause = cause
virtual_machine._uid = uid
sys.modules["machine"] = virtual_machine
if flags & 16:
    import virtual_edges

    virtual_edges.start(gc_ms)

if flags & 32:
    import virtual_sleep

    virtual_sleep.ppm = sleep_ppm

device = virtual_flash.Flash(flash_path, cut_ops)
posix = vfs.VfsPosix(tree)
vfs.umount("/")
# Without modification times: they would be the host's. 32 bit reads in the ESP32's small pieces and has its caches;
# 64 bit is there for speed, and littlefs reads a lot.
vfs.mount(vfs.VfsLfs2(device, mtime=False, readsize=1024 if sys.maxsize >> 32 else 32), "/")
vfs.mount(posix, "/lib")
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]
sys.argv[:] = []
if not sys.maxsize >> 32:
    # The table of names doubles when it is full. On an ESP32 these modules' names are in its firmware; here they would make
    # the table double again (9 kB in one piece) for a node that has not as many names. So it does that now.
    # As many as leave a node room for 1,270 names; light sleep's stand-in has brought some of them.
    for i in range(950 if flags & 32 else 1000):
        hasattr(link, "%d" % i)
if flags & 4:
    link.start_probing()
if flags & 8:
    link.start_hoarding()
link.start_alarms(cut_ms, cut_us, lease_ms, lines_ms, seed)
for name in (
    "virtual_edges",
    "virtual_flash",
    "virtual_os",
    "virtual_time",
    "virtual_select",
    "virtual_asyncio",
    "virtual_machine",
):
    sys.modules.pop(name, None)
