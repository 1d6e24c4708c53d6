"""The command lines of what a technician does in the workshop. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zaehlwerk_tools.technician.command_options import (
    ApiKeyFile,
    ApiUrl,
    Application,
    CaFile,
    Json,
    Keys,
    NewBuild,
    Port,
    Records,
    ResetNonces,
    TenantId,
    WaitHeard,
    status_of,
)

CHECKOUT = Path(__file__).resolve().parents[3]
OFFLINE = ", or say --offline and run `zaehlwerk register` later"
Erase = Annotated[
    str | None,
    typer.Option(
        metavar="DEVEUI|empty",
        help="With --micropython: erase all before, the named node's totals and nonces too.",
    ),
]


def firmware_build(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where it goes; an earlier build there is replaced.")
    ] = Path("out/firmware"),
    packed: Annotated[
        Path | None,
        typer.Option("--zip", metavar="FILE", help="Also as one file, to be handed on.", show_default="not"),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The firmware's sources.", show_default="this checkout's firmware/"),
    ] = None,
    protocol: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The package of the frames.", show_default="this checkout's"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile the firmware for nodes, with a manifest of every file's size and SHA-256. The same sources make the same bytes.

    Example: [bold]zaehlwerk firmware build --out out/firmware --zip out/firmware.zip[/bold]

    Exit status: 0 if it is built, 2 if not.
    """

    def run() -> int:
        from zaehlwerk_tools.extra import require_compiler  # noqa: PLC0415

        require_compiler()
        from zaehlwerk_tools.technician.firmware_build import build_firmware, pack  # noqa: PLC0415
        from zaehlwerk_tools.technician.terminal_commands import print_build  # noqa: PLC0415

        manifest = build_firmware(
            source or CHECKOUT / "firmware", protocol or CHECKOUT / "protocol" / "zaehlwerk_protocol", out
        )
        if packed is not None:
            pack(out, packed)
        print_build(manifest, out, as_json=as_json, packed=packed)
        return 0

    raise typer.Exit(status_of(run, str(out), as_json=as_json))


def flash(
    port: Port = None,
    build: NewBuild = Path("out/firmware"),
    micropython: Annotated[
        Path | None,
        typer.Option(metavar="BIN", help="MicroPython's own image, put on the chip first (needs esptool)."),
    ] = None,
    erase: Erase = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the board and say what would be written.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the firmware onto a board that has MicroPython: only what differs is written, and proven by hash.

    After a pulled cable run it again: it goes on where it was. The node's settings, totals and nonces stay.

    Example: [bold]zaehlwerk flash /dev/ttyUSB0[/bold]

    Example: [bold]zaehlwerk flash /dev/ttyUSB0 --micropython ESP32_GENERIC_S3.bin --erase empty[/bold]

    Exit status: 0 if the board has the firmware, 2 if command or build are wrong, 3 if no board answers at the port, 4 if the
    board or its MicroPython is not suitable, 5 if its flash is full, 6 if it was cut off, 7 if the hashes differ, 8 if --erase
    names another node.
    """
    _require_image(erase, micropython)

    def run() -> int:
        from zaehlwerk_tools.technician.ports import port_of  # noqa: PLC0415
        from zaehlwerk_tools.technician.terminal_commands import run_flash  # noqa: PLC0415

        return run_flash(
            port_of(port), build, dry_run=dry_run, as_json=as_json, micropython=micropython, erase=erase
        )

    raise typer.Exit(status_of(run, port or "USB", as_json=as_json))


def provision(
    port: Port = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The node's settings as JSON, without app_key.")
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Many units: dev_eui and any of station, position, settings."),
    ] = None,
    ports: Annotated[
        list[str] | None,
        typer.Option(
            "--port",
            metavar="PORT",
            help="With --batch: where boards are put; may be repeated.",
            show_default="all that have a board at USB",
        ),
    ] = None,
    build: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|ZIP", help="Flash this firmware first, where it differs.", show_default="it is there"
        ),
    ] = None,
    micropython: Annotated[
        Path | None,
        typer.Option(metavar="BIN", help="With --build: MicroPython's own image before it, as of flash."),
    ] = None,
    erase: Erase = None,
    app_key_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Its AppKey; - reads it from standard input.", show_default="see --keys"
        ),
    ] = None,
    keys: Keys = Path("keys"),
    records: Records = Path("records"),
    replace: Annotated[
        str | None, typer.Option(metavar="DEVEUI", help="The node whose identity or key may be overwritten.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not register; `zaehlwerk register` does it later.")
    ] = False,
    api_url: ApiUrl = None,
    api_key_file: ApiKeyFile = None,
    ca_file: CaFile = None,
    tenant_id: TenantId = "",
    application: Application = "Zählwerk",
    reset_nonces: ResetNonces = None,
    wait: WaitHeard = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look, and say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Make a board with the firmware a certain node: its settings and an AppKey of its own, tested, and registered at ChirpStack.

    What the node has stored stays, above all its nonces. Running it again changes nothing.

    Example: [bold]zaehlwerk provision /dev/ttyUSB0 --settings node.json --api-url https://lora.example.org --api-key-file api.key[/bold]

    Example: [bold]zaehlwerk provision /dev/ttyUSB0 --build out/firmware --settings node.json --offline[/bold]

    Example: [bold]zaehlwerk provision --batch units.csv --settings node.json --port /dev/ttyUSB0 --port /dev/ttyUSB1 --offline[/bold]

    Exit status: as of flash, 8 if the board is another node or has another key, 9 if its self-test finds a fault, 10 if it
    could not be registered, 11 if it was not heard in time.
    """
    if batch is None and (settings is None or ports):
        raise typer.BadParameter("one unit needs --settings and at most one PORT, many need --batch")
    if batch is not None and (port is not None or len(set(ports or [])) < len(ports or [])):
        raise typer.BadParameter("--batch takes --port, each once, and no PORT before")
    if batch is not None and (dry_run or app_key_file is not None):
        raise typer.BadParameter("--dry-run and --app-key-file are for one unit, not for --batch")
    if batch is not None and erase not in (None, "empty"):
        raise typer.BadParameter("--batch takes --erase empty only: a node is erased by its own name, alone")
    if micropython is not None and build is None:
        raise typer.BadParameter("--micropython needs --build: a new MicroPython may need new firmware")
    _require_image(erase, micropython)

    def run() -> int:
        from zaehlwerk_tools.technician.ports import port_of  # noqa: PLC0415
        from zaehlwerk_tools.technician.server import named_server  # noqa: PLC0415
        from zaehlwerk_tools.technician.terminal_commands import (  # noqa: PLC0415
            run_provision,
            run_provision_batch,
        )
        from zaehlwerk_tools.technician.unit import Wishes  # noqa: PLC0415

        server = None
        if not offline and not (dry_run and api_url is None):
            server = named_server(
                api_url,
                api_key_file,
                ca_file=ca_file,
                tenant_id=tenant_id,
                application=application,
                replace=replace,
                reset_nonces=reset_nonces,
                wait_s=wait,
                otherwise=OFFLINE,
            )
        wishes = Wishes(
            keys=keys,
            records=records,
            server=server,
            app_key_file=app_key_file,
            replace=replace,
            dry_run=dry_run,
            build=build,
            micropython=micropython,
            erase=erase,
        )
        if batch is not None:
            return run_provision_batch(batch, ports, settings, wishes, as_json=as_json)
        assert settings is not None
        return run_provision(port_of(port), settings, wishes, as_json=as_json)

    raise typer.Exit(status_of(run, str(batch or port or "USB"), as_json=as_json))


def _require_image(erase: str | None, micropython: Path | None) -> None:
    if erase is not None and micropython is None:
        raise typer.BadParameter("--erase is for --micropython: without it nothing would be on the chip")


def register(
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORDS…", help="What `provision --offline` has kept.")
    ],
    keys: Annotated[Path, typer.Option(metavar="DIR", help="Where <DevEUI>.key is.")] = Path("keys"),
    api_url: ApiUrl = None,
    api_key_file: ApiKeyFile = None,
    ca_file: CaFile = None,
    tenant_id: TenantId = "",
    application: Application = "Zählwerk",
    replace: Annotated[
        str | None,
        typer.Option(
            metavar="DEVEUI", help="The device whose name, JoinEUI or key there may be overwritten."
        ),
    ] = None,
    reset_nonces: ResetNonces = None,
    wait: WaitHeard = 0.0,
    as_json: Json = False,
) -> None:
    """Register nodes at ChirpStack from their records. Running it again changes nothing.

    Example: [bold]zaehlwerk register records/*.json --api-url https://lora.example.org --api-key-file api.key[/bold]

    Exit status: 0 if all are registered, else that of the first that is not, as of provision.
    """

    def run() -> int:
        from zaehlwerk_tools.technician.server import named_server  # noqa: PLC0415
        from zaehlwerk_tools.technician.terminal_commands import run_register  # noqa: PLC0415

        server = named_server(
            api_url,
            api_key_file,
            ca_file=ca_file,
            tenant_id=tenant_id,
            application=application,
            replace=replace,
            reset_nonces=reset_nonces,
            wait_s=wait,
        )
        return run_register(records, keys, server, as_json=as_json)

    raise typer.Exit(status_of(run, "register", as_json=as_json))


def label(
    records: Annotated[list[Path], typer.Argument(metavar="RECORDS…", help="What `provision` has kept.")],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where the SVG files go; those of the same names are replaced."),
    ] = Path("labels"),
    profile_id: Annotated[
        str,
        typer.Option(metavar="HEX", help="VendorID and VendorProfileID by the LoRa Alliance, 8 hex digits."),
    ] = "00000000",
    pdf: Annotated[bool, typer.Option("--pdf", help="The sheets as sheets.pdf too.")] = False,
    print_by: Annotated[
        str | None,
        typer.Option("--print", metavar="COMMAND", help="Then run this with sheets.pdf behind it, as lp."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make labels with station, DevEUI and QR code (LoRa Alliance TR005), one by one and on A4 sheets of 24. Never the key.

    Example: [bold]zaehlwerk label records/*.json[/bold]

    Exit status: 0 if they are made, 2 if not.
    """

    def run() -> int:
        from zaehlwerk_tools.technician.terminal_commands import run_label  # noqa: PLC0415

        return run_label(records, out, profile_id, as_json=as_json, pdf=pdf, print_by=print_by)

    raise typer.Exit(status_of(run, "label", as_json=as_json))
