"""Fixtures: virtual boards on ports, and the real mpremote as a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from zaehlwerk_tools.serial_board.port import Port
from zaehlwerk_tools.serial_board.pty_port import PtyPort
from zaehlwerk_tools.serial_board.virtual_board import Options, VirtualBoard, build_stub, virtual_board
from zaehlwerk_tools.simulator.firmware_tree import NodeTree
from zaehlwerk_tools.technician.firmware_build import build_firmware

ROOT = Path(__file__).resolve().parents[3]
Boards = Callable[..., AbstractAsyncContextManager[VirtualBoard]]


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> NodeTree:
    return build_stub(tmp_path_factory.mktemp("stub"))


@pytest.fixture
def plugged_in(tmp_path: Path, stub: NodeTree) -> Boards:
    """Makes a board on a pseudo-terminal, or on `port`; the same `number` has the same flash."""

    def make(
        port: Port | None = None, options: Options | None = None
    ) -> AbstractAsyncContextManager[VirtualBoard]:
        return virtual_board(
            options or Options(slow_flash=False), port or PtyPort(), tmp_path / "boards", stub
        )

    return make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the firmware."""
    out = tmp_path_factory.mktemp("build") / "firmware"
    build_firmware(ROOT / "firmware", ROOT / "protocol" / "zaehlwerk_protocol", out)
    return out
