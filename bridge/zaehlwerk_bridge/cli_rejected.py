"""The commands `zaehlwerk-bridge rejected …`: look at what was rejected, try it again, or forget it."""

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

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
from zaehlwerk_bridge.rejected import Cause, RejectedGroup, RejectedRow
from zaehlwerk_bridge.reports import utc
from zaehlwerk_bridge.retrying import DEALT_WITH, Retried
from zaehlwerk_bridge.settings import Settings
from zaehlwerk_bridge.store import Store

_HELP = """What could not be taken, and what the broker can never take: kept with its reason until somebody decides.

All of these work beside a running bridge, which sees at once what they did, and on the store of a stopped one.
"""
PAYLOAD_SHOWN = 24
LINE = 80
"""Columns of the narrowest screen that somebody may sit at."""

app = typer.Typer(name="rejected", help=_HELP, no_args_is_help=True)

CauseOption = Annotated[Cause | None, typer.Option("--cause", help="Only what was rejected for this cause.")]
IdsArgument = Annotated[list[int] | None, typer.Argument(metavar="ID", help="As `list` shows them.")]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="Only what is of this device, by DevEUI or name.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that was rejected.")]


@app.command("list")
def list_rejected(
    config: ConfigOption,
    cause: CauseOption = None,
    device: DeviceOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the oldest.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Show what was rejected, oldest first. If that is much, `summary` says it in few lines.

    Exit status 0 also if there is nothing. 2: bad settings, or no store of this version there.

    Example: zaehlwerk-bridge rejected list --config /etc/zaehlwerk/bridge.toml --cause no_station
    """
    with store_beside(read_settings(config)) as store:
        rows = store.rejected(cause, limit=limit + 1, device=device)
    more = len(rows) > limit
    del rows[limit:]
    if as_json:
        content = {"rejected": [_as_dict(row) for row in rows], "more": more}
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(_shown(_line(row)))
    if not rows:
        typer.echo("nothing is rejected")
    if more:
        complain([f"there is more than these {limit}: --limit shows it, `rejected summary` counts it"])


@app.command()
def summary(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Count what was rejected, by cause and by device or topic: most first, each with its newest reason.

    Exit status 0 also if there is nothing. 2: bad settings, or no store of this version there.

    Example: zaehlwerk-bridge rejected summary --config /etc/zaehlwerk/bridge.toml
    """
    with store_beside(read_settings(config)) as store:
        groups = store.rejected_groups()
    if as_json:
        content = {
            "rows": sum(group.rows for group in groups),
            "groups": [
                {
                    "rows": group.rows,
                    "oldest": utc(group.oldest_ns),
                    "newest": _as_dict(group.newest),
                }
                for group in groups
            ],
        }
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    for group in groups:
        typer.echo(_counted(group))
    if not groups:
        typer.echo("nothing is rejected")


@app.command()
def retry(
    config: ConfigOption,
    ids: IdsArgument = None,
    every: AllOption = False,
    cause: CauseOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try again, after what was wrong is mended. Name ids, or --cause, --device or both, or --all.

    Fates: taken (in the ledger, and what follows is sent); waiting (for a status frame that names its epoch); sent (a
    message, once more); overtaken (a retained message: what its topic should say now is sent); rejected (again: it
    stays); nothing (the source could not read it, nothing is left to try: it stays); gone (no such id).

    Exit status 0: nothing of it is left. 2: bad settings or arguments. 4: something stays or is gone.

    Example: zaehlwerk-bridge rejected retry --config /etc/zaehlwerk/bridge.toml --cause no_station
    """
    settings = read_settings(config)
    overrides = {dev_eui: station.tags() for dev_eui, station in settings.stations.items()}
    now_ns = SystemClock().now_ns()
    chosen = _Chosen(ids, every, cause, device)
    _each(settings, chosen, as_json, lambda store, number: store.retry(number, overrides, now_ns))


@app.command()
def drop(
    config: ConfigOption,
    ids: IdsArgument = None,
    every: AllOption = False,
    cause: CauseOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget for ever. Name ids, or --cause, --device or both, or --all.

    Fates: dropped; gone (no such id).

    Exit status 0: all are dropped. 2: bad settings or arguments. 4: something is gone.

    Example: zaehlwerk-bridge rejected drop --config /etc/zaehlwerk/bridge.toml 17 18
    """
    chosen = _Chosen(ids, every, cause, device)
    _each(read_settings(config), chosen, as_json, lambda store, number: store.drop(number))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which rows somebody means."""

    ids: Sequence[int] | None
    every: bool
    cause: Cause | None
    device: str | None

    @property
    def clear(self) -> bool:
        return bool(self.ids) + self.every + (self.cause is not None or self.device is not None) == 1


def _each(settings: Settings, chosen: _Chosen, as_json: bool, deal: Callable[[Store, int], Retried]) -> None:
    if not chosen.clear:
        complain(["name either ids, or --cause, --device or both, or --all"])
        raise typer.Exit(EXIT_BAD_INPUT)
    dealt: list[Retried] = []
    with store_beside(settings) as store:
        for number in chosen.ids or [row.id for row in store.rejected(chosen.cause, device=chosen.device)]:
            dealt.append(deal(store, number))
            if not as_json:
                typer.echo(_shown(f"{number}  {dealt[-1].fate}  {dealt[-1].reason}").rstrip())
    ok = all(one.fate in DEALT_WITH for one in dealt)
    if as_json:
        rows = [{"id": one.id, "fate": str(one.fate), "reason": one.reason or None} for one in dealt]
        typer.echo(json.dumps({"ok": ok, "rows": rows}, ensure_ascii=False))
    elif not dealt:
        typer.echo("nothing of that is rejected")
    elif len(dealt) > 1:
        fates = Counter(str(one.fate) for one in dealt)
        typer.echo(f"of {len(dealt)}: {', '.join(f'{many} {fate}' for fate, many in fates.most_common())}")
    if not ok:
        raise typer.Exit(EXIT_NOT_ALL)


def _shown(text: str) -> str:
    """`text` without what a screen would obey: names of devices, and what is told of frames, are anybody's."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _line(row: RejectedRow) -> str:
    if row.event is not None:
        payload = row.event.payload.hex()
        shown = payload if len(payload) <= PAYLOAD_SHOWN else f"{payload[:PAYLOAD_SHOWN]}…"
        about = (
            f"{row.event.device_name or row.event.dev_eui} port {row.event.f_port} {shown or '(no payload)'}"
        )
        at_ns = row.event.received_ns
    else:
        assert row.message is not None
        about = f"{row.message.topic} {len(row.message.payload)} bytes"
        at_ns = row.rejected_ns
    return f"{row.id}  {utc(at_ns)}  {row.cause}  {about}  {row.reason}"


def _counted(group: RejectedGroup) -> str:
    row = group.newest
    if row.event is not None:
        name, dev_eui = row.event.device_name, row.event.dev_eui
        about = f"{name} ({dev_eui})" if name and dev_eui else name or dev_eui or "(no device)"
    else:
        assert row.message is not None
        about = row.message.topic
    since = f"{utc(group.oldest_ns)} to {utc(row.rejected_ns)}, the newest is {row.id}:"
    why = _shown(f"{since} {row.reason}")
    rest = textwrap.fill(why, LINE - 1, initial_indent="    ", subsequent_indent="    ")
    head = _shown(f"{group.rows}  {row.cause}  {about}")
    return f"{head}\n{rest}"


def _as_dict(row: RejectedRow) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": row.id,
        "cause": str(row.cause),
        "reason": row.reason,
        "rejected": utc(row.rejected_ns),
    }
    if row.event is not None:
        content["event"] = {
            "dev_eui": row.event.dev_eui,
            "device": row.event.device_name or None,
            "kind": row.event.kind,
            "received": utc(row.event.received_ns),
            "port": row.event.f_port,
            "payload": row.event.payload.hex(),
            "tags": dict(row.event.tags),
        }
    if row.message is not None:
        content["message"] = {
            "station": row.message.station or None,
            "topic": row.message.topic,
            "bytes": len(row.message.payload),
        }
    return content
