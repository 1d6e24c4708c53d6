"""The word that tells a database from its copies."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from zaehlwerk_bridge.life import SUFFIX
from zaehlwerk_bridge.store import Store


def is_copy(path: Path) -> bool:
    store = Store(path)
    store.close()
    return store.put_back


def backup(path: Path, copy: Path) -> Path:
    with (
        contextlib.closing(sqlite3.connect(path)) as here,
        contextlib.closing(sqlite3.connect(copy)) as there,
    ):
        here.backup(there)
    return copy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database that was used once."""
    path = tmp_path / "bridge.sqlite"
    assert not is_copy(path)
    return path


def test_a_database_that_is_used_again_and_again_is_no_copy(path: Path) -> None:
    assert [is_copy(path) for _ in range(3)] == [False] * 3


def test_a_copy_of_any_time_before_is_one_and_none_when_it_has_been_used(path: Path, tmp_path: Path) -> None:
    copies = []
    for number in range(3):
        copies.append(backup(path, tmp_path / f"copy{number}"))
        assert not is_copy(path)
    for copy in copies:
        shutil.copy(copy, path)
        assert is_copy(path)
        assert not is_copy(path)


def test_a_copy_made_beside_a_running_bridge_is_one_if_that_has_changed_its_word_since(
    path: Path, tmp_path: Path
) -> None:
    """It does so every minute and when it stops; killed, the copy of the last minute is not told from its database."""
    running = Store(path)
    copy = backup(path, tmp_path / "copy")
    running.renew_life()
    running._database.close()  # killed
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copy(copy, path)
    assert is_copy(path)


def test_a_bridge_that_dies_while_it_changes_the_word_finds_no_copy(path: Path) -> None:
    """The database has the new word already, the file the one before."""
    running = Store(path)
    word = path.with_name(path.name + SUFFIX).read_text()
    running.renew_life()
    running._database.close()
    path.with_name(path.name + SUFFIX).write_text(word)
    assert not is_copy(path)


def test_a_file_that_cannot_be_written_makes_no_copy_of_the_database(path: Path) -> None:
    beside = path.with_name(path.name + SUFFIX)
    (beside.with_name(beside.name + ".new")).mkdir()
    assert [is_copy(path) for _ in range(3)] == [False] * 3


def test_a_database_alone_is_a_copy_and_a_new_one_beside_an_old_word_asks_too(path: Path) -> None:
    path.with_name(path.name + SUFFIX).unlink()
    assert is_copy(path)
    path.unlink()
    assert is_copy(path)
