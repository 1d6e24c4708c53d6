"""`_asyncio` of the virtual board: TaskQueue and Task, as asyncio.core expects them.

The built-in ones stamp a task that is due at once with the host's real clock, and on 64 bit they order by ticks that
wrap at 2^62. These take virtual time and its wrap at 2^30, and first come is first served.
"""

from board_link import ticks_ms
from micropython import const

_MASK = const(0x3FFFFFFF)
_HALF = const(0x20000000)


class TaskQueue:
    """Tasks by due time: a sorted list linked through the tasks; a node has few of them."""

    def __init__(self):
        self.head = None

    def peek(self):
        return self.head

    def push(self, task, key=None):
        if key is None:
            key = ticks_ms()
        task.data = None
        task.ph_key = key
        after = self.head
        if after is None or (key - after.ph_key) & _MASK >= _HALF:
            task.ph_next = after
            self.head = task
            return
        while True:
            following = after.ph_next
            if following is None or (key - following.ph_key) & _MASK >= _HALF:
                break
            after = following
        task.ph_next = following
        after.ph_next = task

    def pop(self):
        task = self.head
        self.head = task.ph_next
        task.ph_next = None
        return task

    def remove(self, task):
        if self.head is task:
            self.head = task.ph_next
        else:
            before = self.head
            while before.ph_next is not task:
                before = before.ph_next
            before.ph_next = task.ph_next
        task.ph_next = None


class Task:
    """A coroutine that can be awaited and cancelled."""

    def __init__(self, coro, context=None):
        self.coro = coro
        self.data = None
        self.state = True  # None, False, True, a callable or the TaskQueue of those who wait for the end
        self.ph_key = 0
        self.ph_next = None
        if context is not None and "core" not in globals():
            # asyncio.core is only half imported when this module is; from the first task on it is whole.
            global core
            from asyncio import core

    def __iter__(self):
        if not self.state:
            self.state = False  # finished, and now awaited
        elif self.state is True:
            self.state = TaskQueue()
        elif type(self.state) is not TaskQueue:
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        return not self.state

    def cancel(self):
        if not self.state:
            return False
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        while isinstance(self.data, Task):
            self = self.data
        if hasattr(self.data, "remove"):
            self.data.remove(self)
            core._task_queue.push(self)
        elif (self.ph_key - ticks_ms()) & _MASK < _HALF:
            core._task_queue.remove(self)
            core._task_queue.push(self)
        self.data = core.CancelledError
        return True
