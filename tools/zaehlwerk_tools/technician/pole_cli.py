"""The command lines of what a technician does at the pole. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zaehlwerk_tools.technician.command_options import (
    ApiKeyFile,
    ApiUrl,
    Application,
    CaFile,
    Json,
    NewBuild,
    Port,
    Records,
    TenantId,
    WaitHeard,
    status_of,
)

Build = Annotated[
    Path, typer.Option(metavar="DIR|ZIP", help="The build that the node runs: `zaehlwerk firmware build`.")
]
MqttUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The platform's broker: mqtt://USER@HOST:1883, or mqtts:// for TLS."),
]
MqttPasswordFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File with that user's password; or the variable ZAEHLWERK_MQTT_PASSWORD."
    ),
]
Prefix = Annotated[str, typer.Option(metavar="WORD", help="First level of the bridge's topics.")]


def monitor(
    who: Annotated[
        str, typer.Argument(metavar="PORT|STATION", help="The node's port; with --mqtt-url a station's name.")
    ],
    build: Build = Path("out/firmware"),
    mqtt_url: MqttUrl = None,
    mqtt_password_file: MqttPasswordFile = None,
    ca_file: CaFile = None,
    prefix: Prefix = "zaehlwerk",
    once: Annotated[bool, typer.Option("--once", help="Tell it once and end.")] = False,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", min=1, help="End after so long.", show_default="Ctrl-C")
    ] = None,
    as_json: Json = False,
) -> None:
    """See how a node is: network, radio, clock, supply, faults, and its counts live per channel. It goes on counting.

    Example: [bold]zaehlwerk monitor /dev/ttyUSB0[/bold]

    Example: [bold]zaehlwerk monitor hafenstrasse --mqtt-url mqtts://technik@broker.example.org --once[/bold]

    Exit status: 0 when it is ended, 2 wrong command line or build, 3 no board, 4 the node runs another build, 6 the cable was
    pulled, 12 no node runs there, 14 the broker cannot be reached or has nothing of the station.
    """

    def run() -> int:
        from zaehlwerk_tools.technician.monitor import monitor_cable, monitor_station  # noqa: PLC0415

        if mqtt_url is None:
            return monitor_cable(who, build, once=once, as_json=as_json, seconds=seconds)
        address = _broker(mqtt_url, mqtt_password_file, ca_file)
        return monitor_station(who, address, prefix, once=once, as_json=as_json, seconds=seconds)

    raise typer.Exit(status_of(run, who, as_json=as_json))


def count_test(
    by: Annotated[str, typer.Option(metavar="NAME", help="Who counts and signs off.")],
    port: Port = None,
    build: Build = Path("out/firmware"),
    records: Records = Path("records"),
    note: Annotated[str, typer.Option(metavar="TEXT", help="Weather, works, what was special.")] = "",
    window: Annotated[
        float,
        typer.Option(metavar="S", min=0.5, max=30, help="So far apart hand and node may see the same."),
    ] = 3.0,
    mqtt_url: MqttUrl = None,
    mqtt_password_file: MqttPasswordFile = None,
    ca_file: CaFile = None,
    prefix: Prefix = "zaehlwerk",
    keys_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keys and when they are pressed: lines of SECONDS KEY."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Count by hand beside a node: a key per passage and channel, both live; signed off, kept, and published.

    1 to 8 count a passage of that channel, - takes the last one back, e ends, q gives up. Then y signs off.

    Example: [bold]zaehlwerk count-test /dev/ttyUSB0 --by "A. Muster" --mqtt-url mqtts://technik@broker.example.org[/bold]

    Exit status: 0 if it is signed off, kept and published, 2 if it was given up or the command line, build or record is wrong,
    3 no board, 4 the node runs another build, 6 the cable was pulled, 12 no node runs there, 14 not published (but kept).
    """

    def run() -> int:
        from zaehlwerk_tools.technician.count_test import CountTest, run_count_test  # noqa: PLC0415
        from zaehlwerk_tools.technician.ports import port_of  # noqa: PLC0415

        address = None if mqtt_url is None else _broker(mqtt_url, mqtt_password_file, ca_file)
        asked = CountTest(port_of(port), build, records, by, note, window, address, prefix, keys_from)
        return run_count_test(asked, as_json=as_json)

    raise typer.Exit(status_of(run, port or "USB", as_json=as_json))


def firmware_update(
    port: Port = None,
    build: NewBuild = Path("out/firmware"),
    protocol: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="The build's version of the frames, if it is another than the node's.",
            show_default="the node's",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the node and say what would be written.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring another firmware onto a mounted node; its settings, totals, nonces and stored intervals are proven to stay.

    After a pulled cable run it again: it goes on where it was.

    Example: [bold]zaehlwerk firmware update /dev/ttyUSB0 --dry-run[/bold]

    Exit status: 0 if it is on the node, 2 wrong command line or build, 3 no board, 4 it does not fit, or speaks another protocol,
    5 no room, 6 cut off, 7 hashes differ, 12 the board is no node.
    """

    def run() -> int:
        from zaehlwerk_tools.technician.firmware_update import run_update  # noqa: PLC0415
        from zaehlwerk_tools.technician.ports import port_of  # noqa: PLC0415

        return run_update(port_of(port), build, protocol=protocol, dry_run=dry_run, as_json=as_json)

    raise typer.Exit(status_of(run, port or "USB", as_json=as_json))


def swap(
    station: Annotated[str, typer.Argument(metavar="STATION", help="Its name, as the old node has it.")],
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="The new unit's, kept by `provision`.")],
    keys: Annotated[Path, typer.Option(metavar="DIR", help="Where the new unit's key is.")] = Path("keys"),
    old: Annotated[
        str | None,
        typer.Option(metavar="DEVEUI", help="The node that goes, if several serve the station."),
    ] = None,
    api_url: ApiUrl = None,
    api_key_file: ApiKeyFile = None,
    ca_file: CaFile = None,
    tenant_id: TenantId = "",
    application: Application = "Zählwerk",
    wait: WaitHeard = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the server and say what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a new node in a broken one's place: the station's topics and ids go on, the old device is disabled.

    Running it again changes nothing, and after an interruption goes on.

    Example: [bold]zaehlwerk swap Hafenstraße records/70b3d57ed0000002.json --api-key-file api.key --dry-run[/bold]

    Exit status: 0 if it is swapped, 2 wrong command line, record or key, 4 the new unit is for another station or counts other
    channels, 9 its self-test found a fault, 10 the network server cannot be reached or knows no such station, 11 not heard.
    """

    def run() -> int:
        from zaehlwerk_tools.technician.server import named_server  # noqa: PLC0415

        server = named_server(
            api_url,
            api_key_file,
            ca_file=ca_file,
            tenant_id=tenant_id,
            application=application,
            wait_s=wait,
        )
        from zaehlwerk_tools.technician.swap import Swap, run_swap  # noqa: PLC0415

        return run_swap(Swap(station, record, keys, server, old, dry_run), as_json=as_json)

    raise typer.Exit(status_of(run, station, as_json=as_json))


def doctor(
    port: Annotated[
        str | None, typer.Argument(metavar="PORT", help="A board's port.", show_default=False)
    ] = None,
    build: Build = Path("out/firmware"),
    api_url: ApiUrl = None,
    api_key_file: ApiKeyFile = None,
    tenant_id: TenantId = "",
    bridge_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The bridge's own page: http://HOST:9750")
    ] = None,
    mqtt_url: MqttUrl = None,
    mqtt_password_file: MqttPasswordFile = None,
    ca_file: CaFile = None,
    prefix: Prefix = "zaehlwerk",
    as_json: Annotated[bool, typer.Option("--json", help="All findings as one line of JSON.")] = False,
) -> None:
    """Examine laptop, port, board, gateway coverage and bridge; each finding says what is wrong and what to do.

    Example: [bold]zaehlwerk doctor /dev/ttyUSB0 --api-url https://lora.example.org --api-key-file api.key[/bold]

    Exit status: 0 if nothing is wrong (warnings are not), 13 if something is, 2 wrong command line.
    """

    def run() -> int:
        from zaehlwerk_tools.technician.doctor import Examination, run_doctor  # noqa: PLC0415
        from zaehlwerk_tools.technician.server import named_server  # noqa: PLC0415

        # The address may be in the environment; without a key it is only asked what time it is.
        server = None
        if api_url is not None and api_key_file is not None:
            server = named_server(api_url, api_key_file, ca_file=ca_file, tenant_id=tenant_id)
        address = None if mqtt_url is None else _broker(mqtt_url, mqtt_password_file, ca_file)
        return run_doctor(
            Examination(port, build, server, api_url, bridge_url, address, prefix), as_json=as_json
        )

    raise typer.Exit(status_of(run, "doctor", as_json=as_json))


def _broker(url: str, password_file: Path | None, ca_file: Path | None) -> Any:
    from zaehlwerk_tools.gateway_backend.addresses import mqtt_address  # noqa: PLC0415

    return mqtt_address(url, password_file=password_file, ca_file=ca_file)
