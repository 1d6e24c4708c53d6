"""The command `zaehlwerk`. Each command imports what it needs when it runs, so that `decode` stays light."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from zaehlwerk_tools.errors import ZaehlwerkError
from zaehlwerk_tools.gateway_backend.addresses import PASSWORD_VARIABLE
from zaehlwerk_tools.gateway_backend.real_server import (
    CHIRPSTACK,
    DEFAULT_MINUTES,
    STAND_IN,
    ServerOptions,
)
from zaehlwerk_tools.gateway_backend.topics import DEFAULT_PREFIX
from zaehlwerk_tools.technician import pole_cli, workshop_cli

BUNDLED = Path(__file__).parent / "data" / "muenster"
DEMO_DAY = "2026-06-18"
DEFAULT_LOSS = 0.1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="zaehlwerk",
    help="Zählwerk, Verkehrszählung: a city's own counting network. Look at frames, and run a whole city in software.",
    epilog="Start here: zaehlwerk demo",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Stations = Annotated[
    str,
    typer.Option(
        metavar="A,B|all", help="Names, topic names or ids of stations, by commas.", show_default=True
    ),
]
Loss = Annotated[float, typer.Option(metavar="P", help="Share of uplinks that the air loses, 0 to below 1.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Same seed: same frames, same ledger.")]
Json = Annotated[
    bool, typer.Option("--json", help="One last line of JSON on standard output; all else goes to stderr.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where report.html and result.json go.", show_default="out/<day>"),
]
Bits = Annotated[
    int, typer.Option(metavar="64|32", help="MicroPython of the boards; 32 has the ESP32's memory layout.")
]
BrokerPort = Annotated[
    int | None,
    typer.Option(
        metavar="PORT", min=0, max=65535, help="Port of our own broker.", show_default="any free one"
    ),
]
BrokerAddress = Annotated[
    str | None,
    typer.Option(
        "--broker", metavar="HOST:PORT", help="Use this running broker, under a topic prefix of our own."
    ),
]
RealTime = Annotated[
    float | None,
    typer.Option(
        metavar="FACTOR", help="Run by the clock, FACTOR times as fast.", show_default="virtual time"
    ),
]
Outages = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHAT",
        help="Fail for some minutes: gateway@08:00+60, radio:neutor@17:30+45, power:all@dailyT03:00+10, server@12:00+5. "
        "May be repeated.",
    ),
]


_SERVER_PANEL = "A real network server"


def _server(metavar: str, told: str, default: str | None = None, *names: str) -> Any:
    """An option of the real network server; `names` are for those that take no value."""
    return typer.Option(
        *names, metavar=metavar, help=told, show_default=default or False, rich_help_panel=_SERVER_PANEL
    )


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"zaehlwerk {version('zaehlwerk')}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def zaehlwerk(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Zählwerk, Verkehrszählung: a city's own counting network. Look at frames, and run a whole city in software."""
    if context.invoked_subcommand is None and not show_version:
        sys.stdout.write(context.get_help() + "\n")


@app.command()
def demo(
    stations: Stations = "all",
    loss: Loss = 0.1,
    seed: Seed = 1,
    as_json: Json = False,
    out: Out = None,
    bits: Bits = 64,
    broker_port: BrokerPort = None,
    broker: BrokerAddress = None,
    real_time: RealTime = None,
    outage: Outages = None,
) -> None:
    """Count a real day of a real city: Münster's bicycles of 18 June 2026, through everything, to the last one.

    Example: [bold]zaehlwerk demo[/bold]

    Example: [bold]zaehlwerk demo --stations neutor,hafenstrasse --loss 0.5[/bold]

    Exit status: 0 if nothing was lost, doubled or put into another interval, 1 if so, 2 if it could not be run.
    """
    _run(
        data=BUNDLED,
        day=DEMO_DAY,
        stations=stations,
        loss=loss,
        seed=seed,
        as_json=as_json,
        out=out,
        bits=bits,
        broker_port=broker_port,
        broker=broker,
        real_time=real_time,
        outages=tuple(outage or ()),
    )


@app.command()
def simulate(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory of a city's tables.", show_default="Münster, bundled"),
    ] = None,
    day: Annotated[
        str | None,
        typer.Option(
            metavar="YYYY-MM-DD", help="First day, Europe/Berlin.", show_default="the tables' first"
        ),
    ] = None,
    days: Annotated[int, typer.Option(metavar="N", help="How many days.")] = 1,
    stations: Stations = "all",
    loss: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Share of uplinks that the air loses, 0 to below 1.",
            show_default="0.1; 0 in front of a real network server",
        ),
    ] = None,
    seed: Seed = 1,
    as_json: Json = False,
    out: Out = None,
    bits: Bits = 64,
    broker_port: BrokerPort = None,
    broker: BrokerAddress = None,
    real_time: RealTime = None,
    outage: Outages = None,
    sensors: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="What counts: pulse, contact, presence, direction, tube, radar, or mix: all in turn.",
        ),
    ] = "pulse",
    network: Annotated[
        str,
        _server(
            "NAME",
            f"Who is behind the air: our own {STAND_IN}, or {CHIRPSTACK}: a real one, by its gateway topics.",
            STAND_IN,
        ),
    ] = STAND_IN,
    mqtt_url: Annotated[
        str | None,
        _server("URL", "The broker of its gateways: mqtt://USER@HOST:1883, or mqtts:// for TLS."),
    ] = None,
    mqtt_password_file: Annotated[
        Path | None,
        _server("FILE", f"File with that user's password; or the variable {PASSWORD_VARIABLE}."),
    ] = None,
    mqtt_topic_prefix: Annotated[
        str | None, _server("PREFIX", "The topic_prefix of its region.", DEFAULT_PREFIX)
    ] = None,
    mqtt_json: Annotated[
        bool, _server("", "Gateways speak JSON instead of protobuf.", None, "--mqtt-json")
    ] = False,
    api_url: Annotated[
        str | None, _server("URL", "Its API: http://HOST:8080, or https://HOST behind a proxy.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        _server("FILE", "File with an API key: an admin's, or with --tenant-id that tenant's, writable."),
    ] = None,
    ca_file: Annotated[
        Path | None, _server("FILE", "PEM file of the authority that signed their certificates.")
    ] = None,
    tenant_id: Annotated[
        str | None,
        _server("UUID", "Use this tenant, which has no devices.", "one of its own, removed afterwards"),
    ] = None,
    keep: Annotated[bool, _server("", "Leave there what the run has registered.", None, "--keep")] = False,
    minutes: Annotated[
        int | None,
        _server("N", "How long to count, in whole quarter-hours from the next one on.", str(DEFAULT_MINUTES)),
    ] = None,
    play_from: Annotated[
        str | None,
        _server("HH:MM", "Where in the table to begin, local time.", "the present time of day"),
    ] = None,
) -> None:
    """Count any days of any city whose quarter-hours are given as tables; or now, in front of a real network server.

    Example: [bold]zaehlwerk simulate --days 7[/bold]

    Example: [bold]zaehlwerk simulate --sensors mix --stations neutor,goldstrasse[/bold]

    Example: [bold]zaehlwerk simulate --data ~/tables --day 2026-10-25 --stations all --loss 0.1 --json[/bold]

    Example: [bold]zaehlwerk simulate --network chirpstack --mqtt-url mqtt://localhost --api-url http://localhost:8080 --api-key-file key --stations neutor --play-from 07:30[/bold]

    Exit status: 0 if nothing was lost, doubled or put into another interval, 1 if so, 2 if it could not be run.
    """
    _run(
        data=data or BUNDLED,
        day=day,
        days=days,
        stations=stations,
        loss=(0.0 if network == CHIRPSTACK else DEFAULT_LOSS) if loss is None else loss,
        seed=seed,
        as_json=as_json,
        out=out,
        bits=bits,
        broker_port=broker_port,
        broker=broker,
        real_time=real_time,
        outages=tuple(outage or ()),
        sensors=sensors,
        server=ServerOptions(
            network=network,
            mqtt_url=mqtt_url,
            mqtt_password_file=mqtt_password_file,
            mqtt_topic_prefix=mqtt_topic_prefix,
            mqtt_json=mqtt_json,
            api_url=api_url,
            api_key_file=api_key_file,
            ca_file=ca_file,
            tenant_id=tenant_id,
            keep=keep,
            minutes=minutes,
            play_from=play_from,
        ),
    )


@app.command()
def decode(
    frame: Annotated[
        str, typer.Argument(metavar="HEX", help="The payload's bytes; spaces and colons are allowed.")
    ],
    port: Annotated[int, typer.Option(metavar="N", help="The FPort that it came on; it names the frame.")],
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Show what a frame says.

    Example: [bold]zaehlwerk decode 84191f40004400070003420100 --port 1[/bold]
    """
    from zaehlwerk_tools.decode import decoded  # noqa: PLC0415

    sys.stdout.write(decoded(frame, port, as_json=as_json))


@app.command()
def board(
    port: Annotated[
        str,
        typer.Option(metavar="pty|socket", help="A pseudo-terminal, or a TCP socket for socket://HOST:PORT."),
    ] = "pty",
    board: Annotated[
        str, typer.Option(metavar="NAME", help="heltec_v3, t3_s3, t3_v16, t_beam_v11 or t_beam_v12.")
    ] = "heltec_v3",
    directory: Annotated[Path, typer.Option(metavar="DIR", help="Where its flash is kept.")] = Path("boards"),
    number: Annotated[int, typer.Option(metavar="N", min=1, help="Which board: its id and its flash.")] = 1,
    link: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A symbolic link to the pseudo-terminal, with a name that stays."),
    ] = None,
    tcp_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Of the socket; 0: any free one.")
    ] = 0,
    baud: Annotated[
        int | None,
        typer.Option(metavar="N", min=300, help="Speed of the line.", show_default="as fast as it goes"),
    ] = None,
    fast_flash: Annotated[bool, typer.Option("--fast-flash", help="Writing to flash takes no time.")] = False,
) -> None:
    """Put a virtual board on a port, in real time: mpremote and all of these commands work on it as on a real one.

    Example: [bold]zaehlwerk board --link ./board-1[/bold], and elsewhere: [bold]mpremote connect ./board-1 ls[/bold]

    Exit status: 0 when it is ended by Ctrl-C, 2 if it could not be run.
    """
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    from zaehlwerk_tools.serial_board.command import make_port, run  # noqa: PLC0415
    from zaehlwerk_tools.serial_board.virtual_board import Options  # noqa: PLC0415

    options = Options(board=board, number=number, baud=baud, slow_flash=not fast_flash)
    raise typer.Exit(run(make_port(port, link, tcp_port), options, directory))


firmware = typer.Typer(help="The firmware of the nodes.", rich_markup_mode="rich")
app.add_typer(firmware, name="firmware")


firmware.command("build")(workshop_cli.firmware_build)
app.command()(workshop_cli.flash)
app.command()(workshop_cli.provision)
app.command()(workshop_cli.register)
app.command()(workshop_cli.label)
firmware.command("update")(pole_cli.firmware_update)
app.command()(pole_cli.doctor)
app.command()(pole_cli.swap)
app.command()(pole_cli.monitor)
app.command("count-test")(pole_cli.count_test)


bench = typer.Typer(help="Measure what things cost.", rich_markup_mode="rich")
app.add_typer(bench, name="bench")


@bench.command("node")
def bench_node(
    board: Annotated[
        str, typer.Option(metavar="NAME", help="heltec_v3, t3_s3, t3_v16, t_beam_v11 or t_beam_v12.")
    ] = "heltec_v3",
    sensor: Annotated[
        str,
        typer.Option(metavar="KIND", help="pulse, contact, presence, direction, tube or radar."),
    ] = "pulse",
    sleep: Annotated[
        bool, typer.Option("--sleep", help="With the low-power profile; contact and presence only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What the node's program costs on a board: heap, flash, work and charge of a virtual day, with MicroPython of 32 bit.

    Example: [bold]zaehlwerk bench node[/bold]

    Example: [bold]zaehlwerk bench node --board t_beam_v12 --sensor radar --json[/bold]

    Example: [bold]zaehlwerk bench node --sensor contact --sleep[/bold]

    Exit status: 0 if it keeps within its budget, 1 if not, 2 if it could not be run.
    """
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from zaehlwerk_tools.node_bench.command import run  # noqa: PLC0415

    raise typer.Exit(run(board, sensor, as_json=as_json, sleep=sleep))


@bench.command("bridge")
def bench_bridge(
    messages: Annotated[int, typer.Option(metavar="N", help="Uplinks in the backlog.")] = 10_000,
    source: Annotated[str, typer.Option(metavar="KIND", help="redis or grpc.")] = "redis",
    runs: Annotated[
        int | None, typer.Option(metavar="R", help="Runs; one, or five where a peer is compared.")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="naive, benthos or node-red: measured by turns with the bridge. Repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """How fast the bridge is from ChirpStack's Redis or gRPC to the broker's PUBACK, with a real Redis and Mosquitto.

    A backlog of count frames is drained as fast as the bridge can, everything committed with fsync; then single ones
    come, a hundred a second, for their latency from the source to a subscriber. Every interval is checked. Peers read
    Redis; those that are fetched are kept in .runtime/peers.

    Example: [bold]zaehlwerk bench bridge --messages 20000 --json[/bold]

    Example: [bold]zaehlwerk bench bridge --source grpc --messages 5000 --peer naive --peer benthos[/bold]

    Exit status: 0 if nothing was lost, 1 if something was, 2 if it could not be run, 3 if nothing was lost and a peer
    could not be had.
    """
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from zaehlwerk_tools.bridge_bench.command import run  # noqa: PLC0415

    raise typer.Exit(run(messages, source, runs, peer or [], as_json=as_json))


@bench.command("streams")
def bench_streams(
    devices: Annotated[int, typer.Option(metavar="N", help="Devices, with a stream each.")] = 10_000,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Streams the server lets through on one connection; 0: any."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """How long the bridge takes to open a gRPC stream for each device of a fleet, and its memory then.

    It is a bridge's first start: each device has something in its history. Then each has one event more, and every
    interval is checked.

    Example: [bold]zaehlwerk bench streams --devices 10000 --json[/bold]

    Exit status: 0 if all streams opened and nothing was lost, 1 if something was lost, 2 if it could not be run.
    """
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from zaehlwerk_tools.bridge_bench.command import run_streams  # noqa: PLC0415

    raise typer.Exit(run_streams(devices, limit, as_json=as_json))


@bench.command("backlog")
def bench_backlog(
    messages: Annotated[int, typer.Option(metavar="N", help="Uplinks while the broker is gone.")] = 100_000,
    as_json: Json = False,
) -> None:
    """Whether the bridge's memory stays flat while the broker is gone and messages pile up, and when it comes back.

    What piles up lies on the disk, about 1.5 kB a message. Every interval is checked in the end.

    Example: [bold]zaehlwerk bench backlog --messages 1000000 --json[/bold]

    Exit status: 0 if nothing was lost and the memory stayed flat, 1 if not, 2 if it could not be run.
    """
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    from zaehlwerk_tools.bridge_bench.command import run_backlog  # noqa: PLC0415

    raise typer.Exit(run_backlog(messages, as_json=as_json))


@bench.command("chaos")
def bench_chaos(
    seed: Annotated[
        int, typer.Option(metavar="N", help="Draws load and faults; the same again repeats them.")
    ] = 1,
    minutes: Annotated[float, typer.Option(metavar="M", help="How long load and faults go on.")] = 1.0,
    bridges: Annotated[int, typer.Option(metavar="N", help="More than one share a PostgreSQL.")] = 1,
    store: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="sqlite or postgresql.", show_default="sqlite for one bridge"),
    ] = None,
    source: Annotated[
        str, typer.Option(metavar="KIND", help="What the bridge reads from: redis or grpc.")
    ] = "redis",
    only_schedule: Annotated[
        bool, typer.Option("--schedule", help="Print which faults would happen when, and run nothing.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave logs and databases behind.")] = False,
    as_json: Json = False,
) -> None:
    """Whether the bridge loses or doubles anything while everything round it, and it itself, fails.

    Bridge, broker, network server, Redis and PostgreSQL are killed and stopped, connections cut, refused, delayed, stalled
    and half-opened, the disk filled, rights taken away, clocks stepped; some frames are lost by radio, come twice, late or in another order. Then all is
    mended, and a platform that follows the documented rule is held against what was offered.

    Example: [bold]zaehlwerk bench chaos --seed 7 --minutes 10[/bold]

    Example: [bold]zaehlwerk bench chaos --seed 7 --minutes 10 --bridges 3 --store postgresql --json[/bold]

    Example: [bold]zaehlwerk bench chaos --seed 7 --minutes 10 --source grpc[/bold]

    Exit status: 0 if nothing was lost, doubled or out of order, 1 if something was, 2 if it could not be run.
    """
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    from zaehlwerk_tools.chaos.command import run  # noqa: PLC0415

    raise typer.Exit(
        run(
            seed,
            minutes,
            bridges,
            store,
            source=source,
            only_schedule=only_schedule,
            keep=keep,
            as_json=as_json,
        )
    )


def _run(**asked: Any) -> None:
    """Runs a city as the options `asked` (the fields of a Request), with what the extra [sim] brings."""
    from zaehlwerk_tools.extra import require_extra  # noqa: PLC0415

    require_extra()
    # gRPC's core writes to stderr whenever a peer leaves, in the midst of what people read.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from zaehlwerk_tools.city import run_city  # noqa: PLC0415
    from zaehlwerk_tools.request import Request  # noqa: PLC0415
    from zaehlwerk_tools.simulate import simulate as run  # noqa: PLC0415

    raise typer.Exit(run(Request(**asked), run_city))


def main() -> None:
    """The entry point: runs the command and exits with its status. What a person can mend is told in one line."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(
                errors="replace"
            )  # an ASCII terminal shows "?" for an umlaut and does not end the run
    try:
        status = app(standalone_mode=False)
    except ZaehlwerkError as error:
        status = _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        status = EXIT_INTERRUPTED
    except Exception as error:
        told = getattr(error, "format_message", None)  # what typer raises for a wrong command line
        if told is None:
            raise
        status = _refuse(told())
    if status == EXIT_INTERRUPTED:  # also what typer makes of an interrupt
        sys.stderr.write("zaehlwerk: interrupted\n")
    sys.exit(status or 0)


def _refuse(what: str) -> int:
    sys.stderr.write(f"zaehlwerk: {' '.join(what.split())}\n")
    return EXIT_REFUSED
