"""littlefs on a block device in RAM, which counts erasures and loses power at a chosen operation."""

import os

from world import world

BLOCK = 4096
_EIO = -5


class PowerCut(BaseException):
    """The power is gone. Whoever has no right to catch it does not."""


def die():
    """The end of this life."""
    raise PowerCut


class Flash:
    """cut_at: the number of the writing operation (program or erase, from 1) in the middle of which power goes."""

    def __init__(self, blocks=64):
        self.data = bytearray(blocks * BLOCK)
        self.erased = [0] * blocks
        self.operations = 0
        self.cut_at = 0
        self.dead = False

    def _count(self):
        """Count a writing operation; whether the power fails in the middle of it."""
        self.operations += 1
        if self.operations == self.cut_at:
            self.dead = True
            # Closing the file fails too, which hides this exception: the next moment of the world is the end anyway.
            world.at(world.now_us, die)
        return self.dead

    # Without power every operation fails by its result: files of before are closed by the garbage collector, where
    # nothing may be raised.

    def readblocks(self, block, buf, offset=0):
        if self.dead:
            return _EIO
        start = block * BLOCK + offset
        buf[:] = self.data[start : start + len(buf)]
        return 0

    def writeblocks(self, block, buf, offset=0):
        if self.dead:
            return _EIO
        start = block * BLOCK + offset
        cut = self._count()
        if cut:
            half = len(buf) // 2
            self.data[start : start + half] = memoryview(buf)[:half]
            raise PowerCut
        self.data[start : start + len(buf)] = buf
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.erased)
        if op == 5:
            return BLOCK
        if op == 6:
            if self.dead:
                return _EIO
            self.erased[arg] += 1
            if self._count():
                raise PowerCut
        return 0

    def replaced(self):
        """The same chip after its power came back; what still refers to this one reaches it no more."""
        self.dead = True
        other = Flash(0)
        other.data, other.erased = self.data, self.erased
        return other

    def format(self):
        os.VfsLfs2.mkfs(self)
        self.mount()

    def mount(self):
        """Mount what the flash holds as the current directory."""
        try:
            os.chdir("/")
            os.umount("/node")
        except OSError:
            pass
        os.mount(os.VfsLfs2(self, mtime=False), "/node")
        os.chdir("/node")
