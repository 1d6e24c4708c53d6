"""A private apt: its configuration, what it takes of a program's dependencies, and that nothing is left behind."""

import shutil
import subprocess
from pathlib import Path

import pytest

from setup import apt
from setup.sources import Source

SIMULATION = """\
Reading package lists...
The following NEW packages will be installed:
  adduser libc6 mosquitto zlib1g
Inst gcc-14-base (14.2.0-19 Debian:13.7/stable [amd64])
Inst libc6 (2.41-12+deb13u4 Debian:13.7/stable [amd64]) []
Inst zlib1g (1:1.3.dfsg+really1.3.1-1+b1 Debian:13.7/stable [amd64])
Inst libwrap0:i386 (7.6.q-36 Debian:13.7/stable [i386])
Inst adduser (3.152 Debian:13.7/stable [all])
Inst mosquitto (2.0.21-1 Debian:13.7/stable, Debian-Security:13/stable-security [amd64])
Conf libc6 (2.41-12+deb13u4 Debian:13.7/stable [amd64])
"""


def test_a_program_is_taken_with_its_libraries_and_nothing_that_sets_up_a_system() -> None:
    assert [package.words for package in apt.closure(SIMULATION, "mosquitto")] == [
        "libc6:amd64=2.41-12+deb13u4",
        "zlib1g:amd64=1:1.3.dfsg+really1.3.1-1+b1",
        "libwrap0:i386=7.6.q-36",
        "mosquitto:amd64=2.0.21-1",
    ]


def test_what_a_program_has_in_another_package_is_named_and_taken() -> None:
    names = [package.name for package in apt.closure(SIMULATION, "mosquitto", ["adduser"])]
    assert names == ["libc6", "zlib1g", "libwrap0", "adduser", "mosquitto"]


def test_nothing_is_taken_where_nothing_would_be_installed() -> None:
    assert apt.closure("E: Unable to locate package micropython\n", "micropython") == []


def test_the_configuration_keeps_apt_inside_and_trusts_only_signatures() -> None:
    text = apt.configuration(Path("/some where/apt"), ["amd64", "i386"])
    assert 'Dir::State::Lists "/some where/apt/lists";' in text
    assert 'Dir::Etc::sourceparts "/dev/null";' in text
    assert 'APT::Architectures { "amd64"; "i386"; };' in text
    assert "#clear APT::Update::Post-Invoke;" in text
    assert 'Acquire::AllowInsecureRepositories "false";' in text
    assert "trusted" not in text.lower()


@pytest.mark.skipif(not shutil.which("apt-config"), reason="no apt here")
def test_apt_itself_reads_the_configuration(tmp_path) -> None:
    directory = tmp_path / "with a space"
    directory.mkdir()
    (directory / "apt.conf").write_text(apt.configuration(directory, ["amd64", "i386"]))
    dump = subprocess.run(
        ["apt-config", "-c", directory / "apt.conf", "dump"], capture_output=True, text=True, check=True
    ).stdout
    assert f'Dir::State::lists "{directory}/lists";' in dump
    assert 'APT::Architectures:: "i386";' in dump
    assert 'Acquire::http::Timeout "30";' in dump
    assert "APT::Update::Post-Invoke::" not in dump
    assert "DEP-11::" not in dump


def test_without_archives_the_reason_is_named(tmp_path) -> None:
    with pytest.raises(apt.NotThere, match="configured"), apt.Archive(tmp_path / "apt", [], ["amd64"]):
        pass


@pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt here")
def test_an_archive_that_cannot_be_reached_is_named_and_nothing_is_left(tmp_path) -> None:
    nowhere = Source(f"file:{tmp_path}/nowhere", ("trixie",), ("main",))
    directory = tmp_path / "a b" / "apt"
    with apt.Archive(directory, [nowhere], [apt.native_architecture()]) as archive:
        with pytest.raises(apt.NotThere, match=r"no package micropython for .*nowhere"):
            archive.find("micropython", apt.native_architecture())
        assert directory.exists()
    assert not directory.exists()


def test_a_machine_without_apt_says_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(apt.NotThere, match="apt-get is not installed"):
        apt.native_architecture()
