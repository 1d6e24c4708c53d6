"""Wrappers become the program they stand for, wherever the checkout lies and whoever calls them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from setup import wrapper

SHOW = "import os, sys; print(sys.argv[1:], os.getcwd()); sys.stdout.flush(); os.write(int(sys.argv[1]), sys.stdin.buffer.read())"


@pytest.fixture
def spaced(tmp_path: Path) -> Path:
    path = tmp_path / "a b'c" / "bin"
    path.mkdir(parents=True)
    return path


def test_arguments_streams_descriptors_and_directory_go_through(spaced, tmp_path) -> None:
    program = wrapper.write(spaced / "show", [sys.executable, "-c", SHOW])
    read, write = os.pipe()
    done = subprocess.run(
        [program, str(write), "two words", "$HOME", "", "*"],
        input=b"from stdin\x00",
        stdout=subprocess.PIPE,
        pass_fds=[write],
        cwd=tmp_path,
        check=True,
    )
    os.close(write)
    assert done.stdout.decode().strip() == f"{[str(write), 'two words', '$HOME', '', '*']} {tmp_path}"
    assert os.read(read, 100) == b"from stdin\x00"
    os.close(read)


def test_the_process_is_the_programs_own(spaced) -> None:
    program = wrapper.write(
        spaced / "pid", [sys.executable, "-c", "import os; os.write(1, b'%d' % os.getpid()); os._exit(7)"]
    )
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.read()) == process.pid
    assert process.returncode == 7


def test_the_environment_can_be_extended(spaced) -> None:
    program = wrapper.write(
        spaced / "env",
        [sys.executable, "-c", "import os; print(os.environ['WHERE'])"],
        {"WHERE": "over there"},
    )
    assert subprocess.check_output([program], text=True) == "over there\n"


@pytest.mark.parametrize("libraries", ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"])
def test_the_loader_beside_the_program_is_used(tmp_path, libraries: str) -> None:
    tree = tmp_path / "tree"
    for name in ("usr/sbin/mosquitto", f"{libraries}/ld-linux-x86-64.so.2", f"{libraries}/libc.so.6"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / "lib64").mkdir(exist_ok=True)
    (tree / "lib64" / "ld-linux-x86-64.so.2").symlink_to(f"../{libraries}/ld-linux-x86-64.so.2")
    assert wrapper.in_tree(tree, "mosquitto") == [
        tree / libraries / "ld-linux-x86-64.so.2",
        "--library-path",
        str(tree / libraries),
        tree / "usr/sbin/mosquitto",
    ]


def test_half_a_tree_is_refused(tmp_path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "micropython").touch()
    with pytest.raises(LookupError, match="no whole micropython"):
        wrapper.in_tree(tmp_path, "micropython")
