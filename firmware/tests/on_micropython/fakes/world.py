"""Virtual time for tests on MicroPython: install() puts ESP32-like `time`, `select`, `machine` and asyncio's queue
in place of the built-in ones. Waiting moves the clock; ticks wrap at 2^30 and start where the test says.
"""

import sys

_MASK = 0x3FFFFFFF
_HALF = 0x20000000


class World:
    """now_us runs from 0; offset_ms shifts the ticks, so that a test can begin just before a wrap."""

    def __init__(self):
        self.now_us = 0
        self.offset_ms = 0
        self.events = []

    def at(self, us, action):
        """Call action() at virtual microsecond `us`."""
        i = len(self.events)
        while i and self.events[i - 1][0] > us:
            i -= 1
        self.events.insert(i, (us, action))

    def move_to(self, us):
        """Move to `us`, doing what is due on the way."""
        while self.events and self.events[0][0] <= us:
            at, action = self.events.pop(0)
            self.now_us = max(self.now_us, at)
            action()
        self.now_us = max(self.now_us, us)

    def step_to(self, us):
        """Move to `us` or to the next event before it, whichever comes first."""
        if self.events and self.events[0][0] < us:
            us = self.events[0][0]
        self.move_to(us)


world = World()


class _Module:
    pass


def _time():
    time = _Module()
    time.ticks_ms = lambda: (world.now_us // 1000 + world.offset_ms) & _MASK
    time.ticks_us = lambda: (world.now_us + world.offset_ms * 1000) & _MASK
    time.ticks_add = lambda ticks, delta: (ticks + delta) & _MASK
    time.ticks_diff = lambda end, start: ((end - start + _HALF) & _MASK) - _HALF
    time.sleep_ms = lambda ms: world.move_to(world.now_us + ms * 1000)
    return time


class _Poll:
    def register(self, *_):
        pass

    modify = unregister = register

    def ipoll(self, timeout=-1, flags=0):
        if timeout < 0:
            raise RuntimeError("nothing will ever happen any more")
        if timeout:
            world.step_to(world.now_us + timeout * 1000)
        return ()


def _select():
    select = _Module()
    select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP = 1, 4, 8, 16
    select.poll = _Poll
    return select


def _ahead(key, other):
    return ((key - other + _HALF) & _MASK) - _HALF


class TaskQueue:
    """asyncio's queue with ticks that wrap at 2^30 and virtual now, first come first served."""

    def __init__(self):
        self._tasks = []

    def peek(self):
        return self._tasks[0] if self._tasks else None

    def push(self, task, key=None):
        if key is None:
            key = sys.modules["time"].ticks_ms()
        task.data, task.ph_key = None, key
        i = len(self._tasks)
        while i and _ahead(self._tasks[i - 1].ph_key, key) > 0:
            i -= 1
        self._tasks.insert(i, task)

    def pop(self):
        return self._tasks.pop(0)

    def remove(self, task):
        self._tasks.remove(task)


class Task:
    """As asyncio/task.py of MicroPython has it."""

    def __init__(self, coro, context=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        elif type(self.state) is not TaskQueue:
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        from asyncio import core

        if not self.state:
            raise self.data
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        return not self.state

    def cancel(self):
        from asyncio import core

        if not self.state:
            return False
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            core._task_queue.push(task)
        elif _ahead(task.ph_key, sys.modules["time"].ticks_ms()) > 0:
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = core.CancelledError
        return True


def install():
    """Put the fakes in place; call it before anything of the firmware is imported. Returns the World."""
    queue = _Module()
    queue.TaskQueue, queue.Task = TaskQueue, Task
    sys.modules["time"] = _time()
    sys.modules["select"] = _select()
    sys.modules["_asyncio"] = queue
    import fake_machine

    sys.modules["machine"] = fake_machine
    return world
