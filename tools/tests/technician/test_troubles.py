"""What can be in a technician's way, as a table: each ends with its status and one sentence, which says what to do."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.chirpstack import Chirpstack
from tools.tests.technician.test_flash import FILL, IMPLEMENTATION, pretend
from tools.tests.technician.test_label import RECORD
from tools.tests.technician.test_registration import UNIT, place
from tools.tests.technician.test_unit import server
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.technician.doctor import Examination, run_doctor
from zaehlwerk_tools.technician.server import Server
from zaehlwerk_tools.technician.terminal_commands import run_flash, run_label, run_register
from zaehlwerk_tools.technician.troubles import Status, TechnicianError

__all__ = ["server"]
KEY = "8d41c0ffee8d41c0ffee8d41c0ffee8d"


@dataclass(frozen=True)
class Scene:
    """What a trouble is made of."""

    folder: Path
    plugged_in: Boards
    build: Path
    server: Chirpstack

    async def flashed(self, port: str) -> int:
        return await asyncio.to_thread(run_flash, port, self.build, dry_run=False, as_json=False)

    async def board_that(self, program: str) -> int:
        """One that says by its boot.py that it is another."""
        async with self.plugged_in() as board:
            await pretend(board, program)
            return await self.flashed(board.port.name)

    async def registered(self, there: Server) -> int:
        where = place()
        record = {**UNIT, "station": {"name": where.name, "tags": dict(where.tags)}, "self_test": []}
        path, key = self.folder / "unit.json", self.folder / "keys" / f"{UNIT['dev_eui']}.key"
        path.write_text(json.dumps(record))
        key.parent.mkdir()
        key.write_text(KEY)
        key.chmod(0o600)
        return await asyncio.to_thread(run_register, [path], key.parent, there, as_json=False)

    async def labelled(self, command: str) -> int:
        path = self.folder / "unit.json"
        path.write_text(json.dumps(RECORD))
        labels = self.folder / "labels"
        return await asyncio.to_thread(run_label, [path], labels, "00000000", as_json=False, print_by=command)


async def no_such_port(scene: Scene) -> int:
    return await scene.flashed(str(scene.folder / "ttyUSB9"))


async def wrong_port(scene: Scene) -> int:
    port = PtyPort()
    await port.start()
    port.heard = lambda data: port.write(b"$GPGGA,a receiver\r\n")
    try:
        return await scene.flashed(port.name)
    finally:
        await port.stop()


async def another_maker(scene: Scene) -> int:
    kind = "('micropython', (1, 28, 0), 'Raspberry Pi Pico with RP2040', 6)"
    return await scene.board_that("import sys\nsys.platform = 'rp2'\n" + IMPLEMENTATION + kind)


async def too_old(scene: Scene) -> int:
    return await scene.board_that(IMPLEMENTATION + "('micropython', (1, 25, 0), i._machine, i._mpy)")


async def full(scene: Scene) -> int:
    async with scene.plugged_in() as board:
        await told(board.port.name, "exec", FILL)
        return await scene.flashed(board.port.name)


async def unreachable(scene: Scene) -> int:
    there = scene.server.named()
    await scene.server.server.stop()
    return await scene.registered(there)


async def refusing(scene: Scene) -> int:
    wrong = scene.folder / "wrong.key"
    wrong.write_text("nonsense\n")
    return await scene.registered(replace(scene.server.named(), api_key_file=wrong))


async def no_printer(scene: Scene) -> int:
    return await scene.labelled("no-such-lp -d labels")


async def refusing_printer(scene: Scene) -> int:
    program = scene.folder / "lp.py"
    program.write_text("import sys\nsys.exit('lp: The printer or class does not exist.')\n")
    return await scene.labelled(f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}")


async def wrong_clock(scene: Scene) -> int:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = formatdate(time() - 3600, usegmt=True)
        writer.write(f"HTTP/1.0 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as there:
        url = f"http://127.0.0.1:{there.sockets[0].getsockname()[1]}"
        asked = Examination(None, scene.build, None, None, url, None, "zaehlwerk")
        try:
            return await asyncio.to_thread(run_doctor, asked, as_json=False)
        except TechnicianError as error:  # which the command line tells
            sys.stderr.write(f"zaehlwerk: {error}\n")
            return int(error.status)


TROUBLES: list[tuple[Callable[[Scene], Awaitable[int]], Status, str, str]] = [
    (no_such_port, Status.NO_BOARD, "ttyUSB9 cannot be opened", "is the board plugged in?"),
    (wrong_port, Status.NO_BOARD, "no MicroPython answers there", "is it the right port"),
    (another_maker, Status.UNSUITABLE, "this is a Raspberry Pi Pico", "take another board"),
    (too_old, Status.UNSUITABLE, "MicroPython 1.25.0 is too old", "zaehlwerk flash --micropython FILE"),
    (full, Status.FULL, "kB free and the firmware needs", "mpremote rm"),
    (unreachable, Status.NOT_REGISTERED, "cannot be reached", "check"),
    (refusing, Status.NOT_REGISTERED, "does not accept the API key", "--api-key-file"),
    (no_printer, Status.REFUSED, "nothing was printed, no-such-lp: No such file", "print it at 100 %"),
    (refusing_printer, Status.REFUSED, "did not take it", "name another command by --print"),
    (wrong_clock, Status.UNWELL, "the clock is 36", "switch on setting the time by network"),
]


@pytest.mark.parametrize(
    ("trouble", "status", "what", "do"), TROUBLES, ids=[row[0].__name__ for row in TROUBLES]
)
async def test_it_ends_with_its_status_and_one_sentence(
    plugged_in: Boards,
    small_build: Path,
    server: Chirpstack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Scene], Awaitable[int]],
    status: Status,
    what: str,
    do: str,
) -> None:
    monkeypatch.setattr("zaehlwerk_tools.technician.board_transport.list_ports.comports", list)
    if trouble is wrong_port:
        monkeypatch.setattr("zaehlwerk_tools.technician.board_transport.ANSWER_S", 0.3)
    ended = await trouble(Scene(tmp_path, plugged_in, small_build, server))
    said = capsys.readouterr().err
    assert ended == status
    assert said.startswith("zaehlwerk: ")
    assert (said.count("\n"), said[-1]) == (1, "\n")
    assert what in said
    assert do in said
    assert said.index(what) < said.index(do)
    assert KEY not in said


async def test_the_printer_gets_the_sheets(
    plugged_in: Boards, small_build: Path, server: Chirpstack, tmp_path: Path
) -> None:
    program = tmp_path / "lp.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\nPath(sys.argv[1]).write_bytes(Path(sys.argv[2]).read_bytes())\n"
    )
    scene = Scene(tmp_path, plugged_in, small_build, server)
    assert (
        await scene.labelled(
            f"{shlex.quote(sys.executable)} {shlex.quote(str(program))} {tmp_path / 'printed'}"
        )
        == 0
    )
    printed = (tmp_path / "printed").read_bytes()
    assert printed == (tmp_path / "labels" / "sheets.pdf").read_bytes()
