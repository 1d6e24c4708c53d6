"""`zaehlwerk flash --micropython`: the real esptool against a boot loader on a socket, and what is refused before."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.real_mpremote import told
from tools.tests.technician.boot_loader import ERASE_FLASH, FLASH_DEFL_DATA, MD5, BootLoader, listening
from tools.tests.technician.test_flash import command
from zaehlwerk_tools.serial_board.socket_port import SocketPort
from zaehlwerk_tools.technician import micropython_flash
from zaehlwerk_tools.technician.esp_image import EspImage, read_image
from zaehlwerk_tools.technician.micropython_flash import chip_at, put_micropython, require_real, write_image
from zaehlwerk_tools.technician.troubles import (
    AnotherIdentityError,
    BuildError,
    CutOffError,
    NoBoardError,
    NotVerifiedError,
    Status,
    TechnicianError,
    UnsuitableError,
)
from zaehlwerk_tools.technician.unit import Unit, Wishes, bring_up

ESP32, ESP32C3, ESP32S3 = 0, 5, 9
BUILD = "v1.28.0 on 2026-04-06"
PRESENT = "v1.26.0 on 2025-08-09"
"""What a virtual board says of itself."""
NODE = "70b3d57ed0000001"


def image_file(folder: Path, chip_id: int = ESP32S3, build: str = BUILD, machine: str = "Generic") -> Path:
    """A flash image as far as anybody looks: the boot loader's header, and what MicroPython greets with."""
    header = struct.pack("<BBBBI4xH10x", 0xE9, 3, 2, 0x20, 0x40370000, chip_id)
    greeting = f"\0MicroPython {build}\0; {machine}\0".encode()
    path = folder / "firmware.bin"
    path.write_bytes(header.ljust(0x2000, b"\xff") + greeting + bytes(range(256)) * 100)
    return path


def quiet(path: str, done: int, total: int) -> None:
    return None


async def put(
    port: str, image: EspImage, *, erase: str | None = None, dry_run: bool = False, becomes: str | None = None
) -> object:
    done = await asyncio.to_thread(
        put_micropython, port, image, erase=erase, dry_run=dry_run, progress=quiet, becomes=becomes
    )
    return done["result"]


@pytest.mark.parametrize(("chip_id", "chip", "at"), [(ESP32, "ESP32", 0x1000), (ESP32S3, "ESP32S3", 0)])
def test_the_image_comes_to_where_the_chip_looks_for_it_and_is_verified(
    tmp_path: Path, chip_id: int, chip: str, at: int
) -> None:
    image = read_image(image_file(tmp_path, chip_id))
    loader = BootLoader(chip_id)
    shown = []
    with listening(loader.serve) as port:
        assert chip_at(port) == chip
        write_image(port, image, erase=False, progress=lambda *how_far: shown.append(how_far))
    assert loader.flash[at : at + len(image.data)] == image.data
    assert set(loader.flash[at + len(image.data) :]) == {0xFF}
    assert MD5 in loader.commands
    assert ERASE_FLASH not in loader.commands
    assert shown[0] == ("firmware.bin", 0, len(image.data))
    assert shown[-1] == ("firmware.bin", len(image.data), len(image.data))


def test_everything_is_erased_only_where_that_is_asked_for(tmp_path: Path) -> None:
    image = read_image(image_file(tmp_path))
    loader = BootLoader(ESP32S3)
    loader.flash[0x200000:0x200004] = b"file"
    with listening(loader.serve) as port:
        write_image(port, image, erase=False, progress=quiet)
        assert loader.flash[0x200000:0x200004] == b"file"
        write_image(port, image, erase=True, progress=quiet)
    assert loader.flash[0x200000:0x200004] == b"\xff\xff\xff\xff"
    assert loader.flash[: len(image.data)] == image.data


def test_a_cable_that_is_pulled_while_it_is_written_is_told_and_the_next_run_writes_it(
    tmp_path: Path,
) -> None:
    image = read_image(image_file(tmp_path))
    loader = BootLoader(ESP32S3)
    with listening(loader.serve) as port:
        loader.gone_at = FLASH_DEFL_DATA
        with pytest.raises(CutOffError, match=r"ended in the middle .*run the same command again"):
            write_image(port, image, erase=False, progress=quiet)
        loader.gone_at = None
        write_image(port, image, erase=False, progress=quiet)
    assert loader.flash[: len(image.data)] == image.data


def test_a_flash_that_does_not_keep_what_is_written_is_told(tmp_path: Path) -> None:
    class Worn(BootLoader):
        def _write(self, command: int, data: bytes) -> None:
            super()._write(command, data)
            self.flash[100] &= 0xF0

    image, told = read_image(image_file(tmp_path)), "what was written is not what is there"
    with listening(Worn(ESP32S3).serve) as port, pytest.raises(NotVerifiedError, match=told):
        write_image(port, image, erase=False, progress=quiet)


async def test_an_image_for_another_chip_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zaehlwerk_tools.technician.board_transport.ANSWER_S", 0.3)
    image = read_image(image_file(tmp_path, ESP32))
    loader = BootLoader(ESP32S3)
    before = bytes(loader.flash)
    with (
        listening(loader.serve) as port,
        pytest.raises(UnsuitableError, match=r"has an ESP32S3, and .*firmware\.bin is for the ESP32: take"),
    ):
        await put(port, image)
    assert bytes(loader.flash) == before


async def test_a_dry_run_asks_for_the_chip_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zaehlwerk_tools.technician.board_transport.ANSWER_S", 0.3)
    loader = BootLoader(ESP32S3)
    with listening(loader.serve) as port:
        assert await put(port, read_image(image_file(tmp_path)), dry_run=True) == "would flash"
    assert set(loader.flash) == {0xFF}


def test_where_no_esp_answers_it_is_told_what_to_do() -> None:
    def silent(line: socket.socket) -> None:
        while line.recv(4096):
            line.sendall(b"$GPGGA,no ESP\r\n")

    with listening(silent) as port, pytest.raises(NoBoardError) as refused:
        chip_at(port)
    assert "no boot loader of an ESP answers there (Failed to connect" in str(refused.value)
    assert "Hold BOOT" in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_virtual_board_says_that_it_cannot_be_flashed(
    plugged_in: Boards, small_build: Path, tmp_path: Path
) -> None:
    image = str(image_file(tmp_path))
    async with plugged_in() as board:
        words = ("flash", board.port.name, "--build", str(small_build), "--micropython", image)
        status, out, err = await command(*words)
    assert (status, out) == (Status.UNSUITABLE, "")
    assert err == (
        f"zaehlwerk: {board.port.name} is a virtual board, which has no boot loader and its MicroPython already: "
        "leave out --micropython\n"
    )


def test_a_device_is_no_virtual_board(tmp_path: Path) -> None:
    require_real("/dev/ttyUSB0")
    require_real("COM3")
    require_real("rfc2217://rig:4000")
    (tmp_path / "board-1").symlink_to("/dev/pts/0")
    with pytest.raises(UnsuitableError):
        require_real(str(tmp_path / "board-1"))


async def test_a_board_that_has_this_micropython_is_left_as_it_is_and_one_with_another_is_not(
    plugged_in: Boards, small_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(micropython_flash, "chip_at", lambda port: asked.append(port) or "ESP32S3")
    async with plugged_in(SocketPort()) as board:
        machine = (
            await told(board.port.name, "exec", "import sys\nprint(sys.implementation._machine)")
        ).strip()
        image = image_file(tmp_path, build=PRESENT, machine=machine)
        words = ("flash", board.port.name, "--build", str(small_build), "--micropython", str(image))
        status, out, err = await command(*words)
        assert (status, err) == (0, "")
        same, flashed = out.splitlines()
        assert same.endswith("ESP32S3: has MicroPython 1.26.0 already, nothing written")
        assert "are written" in flashed
        assert await put(board.port.name, read_image(image)) == "unchanged"
        assert not asked
        another = read_image(image_file(tmp_path, build=PRESENT, machine="Another with ESP32S3"))
        assert await put(board.port.name, another, dry_run=True) == "would flash"
        assert asked == [board.port.name]


async def test_a_node_is_erased_only_by_its_name_and_its_files_stay_otherwise(
    plugged_in: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []
    monkeypatch.setattr(micropython_flash, "chip_at", lambda port: "ESP32S3")
    monkeypatch.setattr(
        micropython_flash, "write_image", lambda port, image, erase, progress: written.append(erase)
    )
    image = read_image(image_file(tmp_path, build=PRESENT))
    async with plugged_in(SocketPort()) as board:
        settings = f"with open('settings.json', 'w') as f: f.write('{{\"dev_eui\": \"{NODE}\"}}')"
        await told(board.port.name, "exec", settings)
        for whom in ("empty", "70b3d57ed0000002"):
            with pytest.raises(AnotherIdentityError, match=f"name it: --erase {NODE}"):
                await put(board.port.name, image, erase=whom)
        assert not written
        assert [reset.cause for reset in board.board.resets].count("HARD") == 2  # its program goes on
        assert await put(board.port.name, image, erase=NODE.upper()) == "flashed"
        assert await put(board.port.name, image) == "flashed"
        # A run that was cut off after the board had become this node, begun again: it was erased then.
        assert await put(board.port.name, image, erase="empty", becomes=NODE) == "flashed"
    assert written == [True, False, False]


def test_provision_hands_on_what_is_to_be_erased_and_for_which_node(
    small_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def refused(port: str, image: EspImage, **options: object) -> dict[str, object]:
        asked.update(options)
        raise AnotherIdentityError("this board is another node")

    monkeypatch.setattr("zaehlwerk_tools.technician.unit.put_micropython", refused)
    wishes = Wishes(
        keys=tmp_path / "keys",
        records=tmp_path / "records",
        server=None,
        build=small_build,
        micropython=image_file(tmp_path),
        erase="empty",
    )
    outcome = bring_up("nowhere", Unit({"dev_eui": NODE, "join_eui": NODE}, None), wishes)
    assert outcome.record["status"] == Status.ANOTHER_IDENTITY
    assert (asked["erase"], asked["becomes"]) == ("empty", NODE)
    assert not (tmp_path / "keys").exists()


async def test_of_many_boards_no_node_is_erased_by_name(tmp_path: Path) -> None:
    words = ("provision", "--batch", "units.csv", "--offline", "--build", "b", "--micropython", "m.bin")
    status, _, err = await command(*words, "--erase", NODE)
    assert status == Status.REFUSED
    assert "--batch takes --erase empty only" in err


async def test_another_micropython_after_writing_is_told(
    plugged_in: Boards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micropython_flash, "chip_at", lambda port: "ESP32S3")
    monkeypatch.setattr(micropython_flash, "write_image", lambda port, image, erase, progress: None)
    async with plugged_in(SocketPort()) as board:
        with pytest.raises(NotVerifiedError, match=rf"{PRESENT} answers after {BUILD} was written"):
            await put(board.port.name, read_image(image_file(tmp_path)))


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (b"UF2\n" + bytes(600), BuildError, "is no image for an ESP's flash: take the .bin"),
        (b"", BuildError, "is no image for an ESP's flash"),
        (
            struct.pack("<B11xH18xI", 0xE9, ESP32S3, 0xABCD5432) + b"MicroPython v1.28.0 on 2026-04-06",
            BuildError,
            "is an application without its boot loader",
        ),
        (
            struct.pack("<B11xH500x", 0xE9, ESP32C3),
            UnsuitableError,
            "is for the ESP32C3, and the node runs on",
        ),
        (struct.pack("<B11xH500x", 0xE9, 77), UnsuitableError, "is for the chip 77, and the node runs on"),
        (struct.pack("<B11xH500x", 0xE9, ESP32), BuildError, "for the ESP32, but not of MicroPython"),
        (
            struct.pack("<B11xH500x", 0xE9, ESP32) + b"MicroPython v1.25.0 on 2025-04-15",
            UnsuitableError,
            "is MicroPython 1.25.0, and the firmware needs 1.26 or newer",
        ),
    ],
    ids=["another format", "empty", "application", "C3", "unknown chip", "not MicroPython", "too old"],
)
def test_an_image_that_does_not_do_is_refused(
    tmp_path: Path, content: bytes, error: type[TechnicianError], sentence: str
) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(content)
    with pytest.raises(error) as refused:
        read_image(path)
    assert sentence in str(refused.value)
    assert "https://micropython.org/download" in str(refused.value)


def test_an_image_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot be read"):
        read_image(tmp_path / "none.bin")


def test_a_preview_is_read_too(tmp_path: Path) -> None:
    image = read_image(image_file(tmp_path, build="v1.29.0-preview.27.g0123456789 on 2026-05-01"))
    assert (image.version, image.build) == ((1, 29, 0), "v1.29.0-preview.27.g0123456789 on 2026-05-01")


async def test_without_esptool_it_says_how_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micropython_flash.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TechnicianError, match=r"pip install 'zaehlwerk\[esptool\]'") as refused:
        await put("nowhere", read_image(image_file(tmp_path)))
    assert refused.value.status == Status.REFUSED


async def test_provision_takes_a_new_micropython_only_with_the_firmware(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text("{}")
    words = ("provision", "nowhere", "--settings", str(tmp_path / "node.json"), "--offline")
    status, _, err = await command(*words, "--micropython", str(image_file(tmp_path)))
    assert status == Status.REFUSED
    assert "--micropython needs --build" in err


async def test_nothing_is_erased_without_something_to_put_there(small_build: Path) -> None:
    status, _, err = await command("flash", "nowhere", "--build", str(small_build), "--erase", "empty")
    assert status == Status.REFUSED
    assert "--erase is for --micropython" in err
