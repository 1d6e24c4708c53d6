"""The commands that work on the store itself: `republish`."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from zaehlwerk_bridge.clock import SystemClock
from zaehlwerk_bridge.command_line import (
    EXIT_BAD_INPUT,
    EXIT_NOT_ALL,
    ConfigOption,
    JsonOption,
    complain,
    read_settings,
    store_beside,
)
from zaehlwerk_bridge.republishing import Period
from zaehlwerk_bridge.station import slug

_TIME_HELP = (
    "a date or a time as RFC 3339 writes it, UTC unless it names its zone; without it there is no bound"
)
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help=f"From then on: {_TIME_HELP}.")
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help=f"Before then: {_TIME_HELP}.")]


def republish(
    config: ConfigOption,
    station: Annotated[
        str, typer.Option("--station", help="Name of the station, or as its topics carry it.")
    ],
    from_time: FromOption = None,
    to_time: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish again what stands of a station: a PUBACK is no proof that the platform has it.

    The records have the ids and revisions that they had, so whoever follows the consumer's rule takes what it lacks and
    nothing twice. Works beside a running bridge, which sends them at once, and on the store of a stopped one. What is
    older than store.retention_days is not there any more.

    Exit status 0: it is in the outbox. 2: bad settings or arguments. 4: there is no such station, or nothing of that time.

    Example: zaehlwerk-bridge republish --config /etc/zaehlwerk/bridge.toml --station Neutor --from 2026-06-01 --to 2026-07-01
    """
    settings = read_settings(config)
    period = Period(_seconds("--from", from_time), _seconds("--to", to_time))
    if period.from_s is not None and period.to_s is not None and period.from_s >= period.to_s:
        complain(["--from must be before --to"])
        raise typer.Exit(EXIT_BAD_INPUT)
    name = slug(station)
    with store_beside(settings) as store:
        known = store.knows(name)
        done = store.republish(name, period, SystemClock().now_ns())
    if as_json:
        content = {
            "ok": bool(done.records),
            "station": name,
            "messages": done.messages,
            "records": done.records,
            "superseded": done.superseded,
        }
        typer.echo(json.dumps(content))
    elif done.records:
        typer.echo(f"{name}: {done.records} records in {done.messages} messages are in the outbox")
    else:
        complain([f"{name}: nothing of that time is kept" if known else f"there is no station {name!r}"])
    if not done.records:
        raise typer.Exit(EXIT_NOT_ALL)


def _seconds(option: str, text: str | None) -> int | None:
    """UTC Unix seconds of a date or time."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        complain(
            [f"{option}: {text!r} is no date or time, for example 2026-06-21 or 2026-06-21T06:00:00+02:00"]
        )
        raise typer.Exit(EXIT_BAD_INPUT) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())
