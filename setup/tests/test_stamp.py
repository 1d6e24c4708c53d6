"""A finished step is known by what it was made from; an interrupted one is not finished."""

import threading

import pytest

from setup import command, mutex, stamp
from setup.console import Problem
from setup.place import Place, child_environment


def test_the_hash_depends_on_every_content_name_and_fact(tmp_path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("x")
    hashes = [
        stamp.digest([one], []),
        stamp.digest([two], []),
        stamp.digest([one, two], []),
        stamp.digest([one], ["fact"]),
        stamp.digest([one], ["fa", "ct"]),
    ]
    assert len(set(hashes)) == len(hashes)
    before = hashes[0]
    one.write_text("y")
    assert stamp.digest([one], []) != before


@pytest.mark.parametrize("content", [None, b"", b"other", b"\xff\xfe"])
def test_a_missing_or_other_stamp_is_not_fresh(tmp_path, content: bytes | None) -> None:
    path = tmp_path / "stamp"
    if content is not None:
        path.write_bytes(content)
    assert not stamp.is_fresh(path, "value")


def test_files_are_replaced_whole_and_leave_nothing_beside_them(tmp_path) -> None:
    path = tmp_path / "deep" / "stamp"
    stamp.write_whole(path, "value")
    stamp.write_whole(path, "value", mode=0o755)
    assert stamp.is_fresh(path, "value")
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(path.parent.iterdir()) == [path]


def test_a_second_set_up_waits_for_the_first(tmp_path, capsys) -> None:
    entered = threading.Event()

    def second() -> None:
        with mutex.alone(tmp_path / "lock"):
            entered.set()

    other = threading.Thread(target=second)
    with mutex.alone(tmp_path / "lock"):
        other.start()
        assert not entered.wait(0.3)
    other.join(30)
    assert entered.is_set()
    assert "another set-up is at work" in capsys.readouterr().out


def test_a_problem_is_one_message_and_status_2(monkeypatch, capsys) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Problem("no way. Install a way.")

    monkeypatch.setattr(command, "prepare", fail)
    assert command.main([], {}) == 2
    assert capsys.readouterr().err == "set-up: stopped: no way. Install a way.\n"


def test_a_user_without_a_home_gets_one_inside(tmp_path) -> None:
    place = Place(tmp_path / "a b")
    for environ in ({}, {"HOME": ""}, {"HOME": str(tmp_path / "nothing"), "XDG_CACHE_HOME": "/root/.cache"}):
        child = child_environment(place, environ)
        assert child["HOME"] == str(place.runtime / "home")
        assert "XDG_CACHE_HOME" not in child


def test_a_home_that_is_there_is_kept(tmp_path) -> None:
    assert child_environment(Place(tmp_path), {"HOME": str(tmp_path)})["HOME"] == str(tmp_path)


def test_a_cache_that_cannot_be_written_is_replaced(tmp_path) -> None:
    (tmp_path / ".cache").write_text("a file is in the way")
    child = child_environment(Place(tmp_path), {"HOME": str(tmp_path)})
    assert child["UV_CACHE_DIR"].startswith(str(tmp_path / ".runtime"))


def test_what_pip_was_told_holds_for_uv_unless_uv_was_told_otherwise(tmp_path) -> None:
    place = Place(tmp_path)
    assert child_environment(place, {"PIP_INDEX_URL": "a"})["UV_DEFAULT_INDEX"] == "a"
    assert (
        child_environment(place, {"PIP_INDEX_URL": "a", "UV_DEFAULT_INDEX": "b"})["UV_DEFAULT_INDEX"] == "b"
    )


def test_an_active_environment_is_left_alone(tmp_path) -> None:
    child = child_environment(Place(tmp_path), {"VIRTUAL_ENV": "/elsewhere", "PYTHONPATH": "/elsewhere"})
    assert "VIRTUAL_ENV" not in child
    assert "PYTHONPATH" not in child
