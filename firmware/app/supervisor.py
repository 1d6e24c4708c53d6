"""Keeps the node's tasks alive: one that crashes is started again with back-off, and its crash is remembered."""

import asyncio
import gc

from micropython import const

from app import modules

_FIRST_PAUSE_S = const(1)
_LONGEST_PAUSE_S = const(300)
# A task that lived this long starts its back-off anew.
_HEALTHY_S = const(600)


async def keep(name, start, uptime, crashed):
    """Run start() (a coroutine function) until it returns True; crashed(text) is told of every other end."""
    pause = _FIRST_PAUSE_S
    while True:
        begun = uptime()
        try:
            if await start():
                return
            crashed("%s: ended" % name)
        except Exception as error:  # noqa: BLE001 - whatever it was, the other tasks go on
            gc.collect()
            try:
                from app.crash import describe

                crashed("%s: %s" % (name, describe(error)))
            except Exception:  # noqa: BLE001 - no room to describe it, for instance
                crashed(name)
            describe = None  # type: ignore[assignment] # else this would keep the module
            modules.unload("app.crash")
        if uptime() - begun > _HEALTHY_S * 1000:
            pause = _FIRST_PAUSE_S
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def supervise(tasks, uptime, crashed):
    """Keep all of `tasks`, [(name, coroutine function)]; cancelling this cancels them."""
    running = [asyncio.create_task(keep(name, start, uptime, crashed)) for name, start in tasks]
    try:
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
