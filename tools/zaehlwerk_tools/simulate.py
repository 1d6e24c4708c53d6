"""A run from the command line, start to end: read the tables, run the city, compare, write, tell."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from zaehlwerk_tools.comparison import compare
from zaehlwerk_tools.errors import BrokerError
from zaehlwerk_tools.gateway_backend.real_server import RealServer
from zaehlwerk_tools.local_time import start_of_slot
from zaehlwerk_tools.outputs import require_writable, write_all
from zaehlwerk_tools.plan import Plan
from zaehlwerk_tools.report import report
from zaehlwerk_tools.request import Request, make_plan
from zaehlwerk_tools.result import CityResult, Progress
from zaehlwerk_tools.retained import clear_retained
from zaehlwerk_tools.summary import as_line, summary
from zaehlwerk_tools.terminal import print_result, shown_progress

EXIT_EXACT, EXIT_NOT_EXACT = 0, 1
REPORT, RESULT = "report.html", "result.json"

RunCity = Callable[[Plan, Callable[[Progress], None]], Awaitable[CityResult]]
"""What runs a plan; it is handed in, because it is the one part of this that takes a whole city."""


def simulate(request: Request, run_city: RunCity) -> int:
    """Runs it and returns the exit status: 0 if the platform knows exactly what the table says and the nodes kept all rules, else 1.

    Raises ZaehlwerkError for everything that a person can do something about; nothing is written then.
    """
    people = Console(stderr=request.as_json)
    aside = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="zaehlwerk-") as workdir:
        plan = make_plan(request, Path(workdir))
        out = request.out or Path("out") / _label(plan)
        require_writable(out)
        if plan.server is not None:
            aside.print(_announcement(plan, plan.server), markup=False, highlight=False, soft_wrap=True)
        with shown_progress(plan, aside) as progress:
            try:
                result = asyncio.run(_run(plan, run_city, progress))
            except asyncio.CancelledError:
                raise KeyboardInterrupt from None
    if result.broker_dropped:
        raise BrokerError(
            f"the broker dropped {result.broker_dropped} messages (its $SYS says so): nothing was compared"
        )
    comparison = compare(plan, result.records)
    numbers = summary(plan, result, comparison)
    line = as_line(numbers)
    page = report(plan, result, comparison)
    write_all(out, {REPORT: page, RESULT: line + "\n", **result.artifacts})
    print_result(plan, result, comparison, people)
    people.print(f"report: {(out / REPORT).absolute()}", markup=False, highlight=False, soft_wrap=True)
    if request.as_json:
        sys.stdout.write(line + "\n")
    return EXIT_EXACT if numbers["exact"] else EXIT_NOT_EXACT


async def _run(plan: Plan, run_city: RunCity, progress: Callable[[Progress], None]) -> CityResult:
    task = asyncio.current_task()
    if task is not None:
        # Whoever ends us politely gets broker and boards ended too. Windows has no such handlers.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await run_city(plan, progress)
    finally:
        if plan.broker is not None:
            # A courtesy to a broker that is not ours; one that is gone by now has no retained messages of ours either.
            with contextlib.suppress(OSError, TimeoutError):
                await clear_retained(plan.broker, plan.topic_prefix)


def _label(plan: Plan) -> str:
    first = f"{plan.first_day}" if plan.days == 1 else f"{plan.first_day}-{plan.days}-days"
    return first if plan.server is None else f"chirpstack-{first}"


def _announcement(plan: Plan, server: RealServer) -> str:
    """When what will happen: a run in real time wants to be waited for."""
    begin, end = start_of_slot(plan.slots.start), start_of_slot(plan.slots.stop)
    return (
        f"ChirpStack at {server.api}, gateways at {server.mqtt}: counting from {begin:%H:%M} to {end:%H:%M}, then until all "
        "has arrived, a few minutes more"
    )
