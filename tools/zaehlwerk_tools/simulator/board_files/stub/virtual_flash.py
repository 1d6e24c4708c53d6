"""The board's flash: a block device on a file of the host, with the time that NOR flash takes and a cut on demand."""

import board_link as _link
from micropython import const

BLOCK = const(4096)
BLOCKS = const(512)  # 2 MiB, the file system of an ESP32 with 4 MiB
_ERASE_US = const(30000)  # a 4 KiB sector, typical (GD25Q32 data sheet: 45 ms, W25Q32: 45 ms, XM25Q: 25 ms)
_PROGRAM_US = const(100)  # command and first bytes; 256 B take about 0.6 ms
_READ, _COUNT, _SIZE, _ERASE = const(3), const(4), const(5), const(6)


class Flash:
    """`ops_left`: after so many writing operations the power fails in the middle of the next; 0: never."""

    def __init__(self, path, ops_left=0):
        self._file = open(path, "r+b", 0)
        self._ops_left = ops_left

    def _operation(self, us):
        # True if the power fails during this one.
        _link.spend_blocked(us, True)
        if self._ops_left:
            self._ops_left -= 1
            return not self._ops_left
        return False

    def readblocks(self, block, buf, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        torn = self._operation(_PROGRAM_US + 2 * len(buf))
        self._file.seek(block * BLOCK + offset)
        if torn:
            self._file.write(buf, len(buf) // 2)
            _link.die(80)
        self._file.write(buf)

    def ioctl(self, op, arg):
        if op == _COUNT:
            return BLOCKS
        if op == _SIZE:
            return BLOCK
        if op == _ERASE:
            # The content is left as it was: littlefs reads back what an erased block holds and relies on nothing.
            if self._operation(_ERASE_US):
                _link.die(80)
            return 0
        return 0
