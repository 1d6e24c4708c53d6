"""The lock file binds by hashes, covers all we need, and does not say where packages were fetched."""

import re
import tomllib
from pathlib import Path

import pytest

from setup import lockfile, venv
from setup.console import Problem

ROOT = Path(__file__).parents[2]

LOCK = """\
# a comment
one==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via two
Two.Part==2 ; sys_platform == 'win32' \\
    --hash=sha256:cc
"""


def test_entries_keep_their_hashes_and_markers() -> None:
    found = lockfile.entries(LOCK)
    assert list(found) == ["one", "two-part"]
    assert found["one"] == "one==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    assert "win32" in found["two-part"]


def test_parts(tmp_path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    part = lockfile.write_part(lock, tmp_path / "deep" / "part", without=["one"])
    assert list(lockfile.entries(part.read_text())) == ["two-part"]
    part = lockfile.write_part(lock, part, only=["one"])
    assert list(lockfile.entries(part.read_text())) == ["one"]
    with pytest.raises(Problem, match="does not name three"):
        lockfile.write_part(lock, part, only=["one", "three"])


def test_groups_name_packages() -> None:
    text = '[dependency-groups]\na = ["One>=1", "two_part==2; python_version > \'3\'", {include-group = "b"}]\nb = []\n'
    assert lockfile.groups(text) == {"a": ["one", "two-part"], "b": []}


def test_every_package_of_ours_is_locked_with_a_hash() -> None:
    locked = lockfile.entries((ROOT / "requirements.lock").read_text())
    assert all("--hash=sha256:" in entry for entry in locked.values())
    for name in ("", *venv.DISTRIBUTIONS):
        table = tomllib.loads((ROOT / name / "pyproject.toml").read_text())
        lists = [
            table["project"]["dependencies"],
            *table["project"].get("optional-dependencies", {}).values(),
            *table.get("dependency-groups", {}).values(),
        ]
        wanted = [item for items in lists for item in items]
        names = {lockfile.normal(re.split(r"[^\w.-]", item)[0]) for item in wanted}
        assert not {item for item in names if not item.startswith("zaehlwerk")} - set(locked)


def test_no_committed_file_of_the_set_up_names_where_packages_come_from() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()
