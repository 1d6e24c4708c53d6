"""The board's flash where a signal may strike at any machine instruction.

What littlefs keeps in memory is worth nothing after that. `operations` tells whether it was at work.
"""

import board_link as link
import virtual_flash
from micropython import const

_BROKEN = const(97)  # 'a'

operations = 0


class Flash(virtual_flash.Flash):
    def readblocks(self, block, buf, offset=0):
        global operations
        operations += 1
        try:
            super().readblocks(block, buf, offset)
        except KeyboardInterrupt:
            link.die(_BROKEN)

    def writeblocks(self, block, buf, offset=0):
        global operations
        operations += 1
        try:
            super().writeblocks(block, buf, offset)
        except KeyboardInterrupt:
            link.die(_BROKEN)

    def ioctl(self, op, arg):
        try:
            return super().ioctl(op, arg)
        except KeyboardInterrupt:
            link.die(_BROKEN)


virtual_flash.Flash = Flash
