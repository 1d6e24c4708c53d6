from __future__ import annotations

import hashlib
import random
from pathlib import Path

from tools.tests.serial_board.conftest import Boards
from tools.tests.serial_board.real_mpremote import mpremote, terminal, told


async def test_exec_and_eval_show_what_the_board_computes(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        assert await told(board.port.name, "exec", "print(6 * 7)") == "42\n"
        assert await told(board.port.name, "eval", "'a' + 'b'") == "ab\n"


async def test_run_runs_a_file_of_the_laptop_however_long(plugged_in: Boards, tmp_path: Path) -> None:
    program = tmp_path / "long.py"
    program.write_text("total = 0\n" + "".join(f"total += {n}\n" for n in range(2000)) + "print(total)\n")
    async with plugged_in() as board:
        assert await told(board.port.name, "run", str(program)) == f"{sum(range(2000))}\n"


async def test_a_traceback_names_the_line_and_nothing_of_the_stand_ins(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        ended = await mpremote(board.port.name, "exec", "import time\ndef f():\n    time.sleep(None)\nf()")
        assert ended.status == 1
        lines = ended.out.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[1:3] == ['  File "<stdin>", line 4, in <module>', '  File "<stdin>", line 3, in f']
        assert lines[3].startswith("TypeError: ")
        assert len(lines) == 4


async def test_syntax_errors_come_back_as_tracebacks(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        ended = await mpremote(board.port.name, "exec", "x = = 1")
        assert ended.status == 1
        assert ended.out.splitlines()[-1] == "SyntaxError: invalid syntax"


async def test_folders_are_copied_to_the_board_and_back_byte_for_byte(
    plugged_in: Boards, tmp_path: Path
) -> None:
    dice = random.Random(7)
    tree = tmp_path / "tree"
    (tree / "below" / "deeper").mkdir(parents=True)
    contents = {
        "one.py": b"print(1)\n",
        "below/all.bin": bytes(range(256)) * 3,
        "below/deeper/long.bin": dice.randbytes(9001),
        "below/deeper/empty": b"",
    }
    for name, content in contents.items():
        (tree / name).write_bytes(content)
    async with plugged_in() as board:
        await told(board.port.name, "cp", "-r", "tree", ":", cwd=tmp_path)
        await told(board.port.name, "cp", "-r", ":tree", "back", cwd=tmp_path)
        for name, content in contents.items():
            assert (tmp_path / "back" / name).read_bytes() == content
            shown = await told(board.port.name, "sha256sum", f":tree/{name}")
            assert shown.splitlines()[-1] == hashlib.sha256(content).hexdigest()


async def test_ls_cat_mkdir_and_rm_do_as_on_a_laptop(plugged_in: Boards, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("two\nlines\n")
    async with plugged_in() as board:
        port = board.port.name
        await told(port, "mkdir", "lib", "+", "cp", str(tmp_path / "note.txt"), ":lib/note.txt")
        assert await told(port, "cat", "lib/note.txt") == "two\nlines\n"
        assert [line.split() for line in (await told(port, "ls", "lib")).splitlines()[1:]] == [
            ["10", "note.txt"]
        ]
        await told(port, "rm", "-r", "lib")
        names = [line.split()[-1] for line in (await told(port, "ls")).splitlines()[1:]]
        assert names == ["boot.py"]


async def test_a_missing_file_is_told_in_a_sentence(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        ended = await mpremote(board.port.name, "cat", "nothing.txt")
        assert ended.status == 1
        assert ended.err == "mpremote: cat: nothing.txt: No such file or directory.\n"


async def test_df_shows_the_flash_and_only_it(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        lines = (await told(board.port.name, "df")).splitlines()
        assert len(lines) == 2
        assert lines[1].split()[1] == str(2 * 1024 * 1024)
        assert lines[1].split()[-1] == "/"


async def test_resume_keeps_what_the_program_before_left(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        await told(board.port.name, "exec", "kept = 5")
        assert await told(board.port.name, "resume", "exec", "print(kept)") == "5\n"
        ended = await mpremote(board.port.name, "exec", "print(kept)")
        assert ended.out.splitlines()[-1] == "NameError: name 'kept' isn't defined"


async def test_soft_reset_runs_boot_py_and_clears_the_heap(plugged_in: Boards, tmp_path: Path) -> None:
    (tmp_path / "boot.py").write_text("import machine\nbooted = machine.reset_cause()\n")
    async with plugged_in() as board:
        await told(board.port.name, "cp", str(tmp_path / "boot.py"), ":boot.py")
        await told(board.port.name, "soft-reset")
        assert await told(board.port.name, "resume", "exec", "print(booted)") == "5\n"


async def test_reset_starts_the_board_anew_with_main_py(plugged_in: Boards, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import machine\nprint('started', machine.reset_cause())\n")
    async with plugged_in() as board:
        await told(board.port.name, "cp", str(tmp_path / "main.py"), ":")
        async with terminal(board.port.name, "reset") as watching:
            shown = await watching.shows(b">>> ")
        assert shown.split(b"\n", 2)[2].startswith(
            b"started 2\r\nMicroPython v1.26.0 on 2025-08-09; Generic ESP32S3"
        )


async def test_repl_is_a_terminal_on_the_board(plugged_in: Boards) -> None:
    async with plugged_in() as board, terminal(board.port.name) as typing:
        await typing.shows(b"to exit this shell\n")
        typing.types(b"\r")
        await typing.shows(b">>> ")
        typing.types(b"6 * 7\r")
        assert await typing.shows(b">>> ") == b"6 * 7\r\n42\r\n>>> "
        typing.types(b"while True: pass\r\r")
        await typing.shows(b"... \r\n")
        typing.types(b"\x03")
        assert (await typing.shows(b">>> ")).endswith(b"KeyboardInterrupt: \r\n>>> ")
        typing.types(b"\x18")
        assert await typing.ended() == 0


async def test_rtc_is_set_and_stays_over_a_soft_reset(plugged_in: Boards) -> None:
    async with plugged_in() as board:
        await told(
            board.port.name, "exec", "import machine; machine.RTC().datetime((2026, 6, 18, 3, 7, 30, 0, 0))"
        )
        assert (await told(board.port.name, "rtc")).startswith("(2026, 6, 18, 3, 7, 30,")


async def test_the_board_cannot_be_told_from_an_esp32_by_what_it_says_of_itself(plugged_in: Boards) -> None:
    program = (
        "import os, sys, machine\n"
        "print(os.uname().machine, os.uname().sysname, os.uname().release, sys.platform)\n"
        "print(sys.implementation.name, sys.implementation.version[:3], sys.implementation._machine)\n"
        "print(sys.implementation._mpy & 0xff, len(machine.unique_id()) in (6, 8), os.listdir('/'))\n"
    )
    async with plugged_in() as board:
        assert (await told(board.port.name, "exec", program)).splitlines() == [
            "Generic ESP32S3 module with ESP32S3 esp32 1.26.0 esp32",
            "micropython (1, 26, 0) Generic ESP32S3 module with ESP32S3",
            "6 True ['boot.py']",
        ]
