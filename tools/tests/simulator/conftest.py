"""Fixtures of the simulator's tests: small cities, and trees built once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.tests.simulator.small_city import ROOT, City
from zaehlwerk_tools.simulator.firmware_tree import NodeTree, build_tree


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NodeTree]:
    """Builds a node tree around a program: boards and radio drivers are the firmware's own."""
    folder = tmp_path_factory.mktemp("trees")
    trees: dict[str, NodeTree] = {}

    def tree(program: str) -> NodeTree:
        if program not in trees:
            firmware = folder / f"firmware-{len(trees)}"
            for room in ("boards", "radio"):
                shutil.copytree(ROOT / "firmware" / room, firmware / room)
            (firmware / "main.py").write_text(program)
            trees[program] = build_tree(firmware, None, folder / "cache")
        return trees[program]

    return tree


@pytest.fixture
def city(tmp_path: Path, build: Callable[[str], NodeTree]) -> City:
    return City(tmp_path, build)


@pytest.fixture
def make_city(tmp_path: Path, build: Callable[[str], NodeTree]) -> Callable[..., City]:
    """Makes cities, each in a folder of its own."""
    count = 0

    def make(**options: Any) -> City:
        nonlocal count
        count += 1
        folder = tmp_path / f"city-{count}"
        folder.mkdir()
        return City(folder, build, **options)

    return make
