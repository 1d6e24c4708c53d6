"""apt's sources in both formats become private ones of one suite."""

import pytest

from setup import sources
from setup.sources import Source

DEBIAN_DEB822 = """\
# a comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
# deb-src is below
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

DEBIAN_ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # the mirror
deb [arch=amd64 signed-by=/etc/keys/a.gpg trusted=yes] http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb https://party.example/linux bookworm stable
deb https://party.example/node nodistro main
deb https://party.example/flat ./
deb https://party.example/pgdg bookworm-pgdg main
"""

UBUNTU_DEB822 = """\
Types: deb
URIs: http://mirror.example/ubuntu/
Suites: noble noble-updates noble-backports
Components: main restricted universe multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""


def test_deb822_keeps_addresses_suites_and_keys() -> None:
    plain, with_key = sources.parse_deb822(DEBIAN_DEB822)
    assert plain.uri == "http://mirror.example/debian"
    assert plain.suites == ("bookworm", "bookworm-updates", "bookworm-backports")
    assert plain.components == ("main", "contrib")
    assert plain.signed_by == "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert with_key.signed_by.startswith("\n -----BEGIN")
    assert "\n .\n mQINBF\n" in with_key.signed_by


def test_one_line_keeps_the_key_and_drops_trust_without_one() -> None:
    found = list(sources.parse_one_line(DEBIAN_ONE_LINE))
    assert found[0] == Source("http://mirror.example/debian", ("bookworm",), ("main", "contrib"))
    assert found[1].signed_by == "/etc/keys/a.gpg"
    assert not any("commented" in source.uri for source in found)
    assert "trusted" not in sources.as_deb822(found).lower()


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# nothing\n", "deb\n", "deb http://half.example\n", "Types: deb\n"]
)
def test_broken_files_yield_nothing_and_raise_nothing(text: str) -> None:
    assert list(sources.parse_one_line(text)) == []
    assert list(sources.parse_deb822(text)) == []


def test_an_older_debian_borrows_the_first_suite_that_has_micropython() -> None:
    machine = list(sources.parse_deb822(DEBIAN_DEB822))
    swapped = sources.for_suite(machine, "bookworm", sources.suite_for("bookworm"))
    assert [source.suites for source in swapped] == [("trixie", "trixie-updates"), ("trixie-security",)]
    assert all(source.components == ("main",) for source in swapped)
    assert [source.signed_by for source in swapped] == [source.signed_by for source in machine]


def test_only_the_distributions_own_archives_are_swapped() -> None:
    swapped = sources.for_suite(sources.parse_one_line(DEBIAN_ONE_LINE), "bookworm", "trixie")
    assert [(source.uri, source.suites) for source in swapped] == [
        ("http://mirror.example/debian", ("trixie",)),
        ("http://mirror.example/debian-security", ("trixie-security",)),
    ]


def test_ubuntu_keeps_its_own_suite_and_universe() -> None:
    (source,) = sources.for_suite(sources.parse_deb822(UBUNTU_DEB822), "noble", sources.suite_for("noble"))
    assert source.suites == ("noble", "noble-updates")
    assert source.components == ("main", "universe")


@pytest.mark.parametrize(
    ("old", "name", "suite", "new"),
    [
        ("bookworm", "bookworm", "trixie", "trixie"),
        ("bookworm-security", "bookworm", "trixie", "trixie-security"),
        ("buster/updates", "buster", "trixie", "trixie-security"),
        ("oldstable", "bookworm", "trixie", "trixie"),
        ("stable-updates", "trixie", "trixie", "stable-updates"),
        ("sid", "", "", "sid"),
        ("trixie", "trixie", "trixie", "trixie"),
        ("bookworm-backports", "bookworm", "trixie", ""),
        ("bookworm-pgdg", "bookworm", "trixie", ""),
        ("jammy", "noble", "noble", ""),
    ],
)
def test_suites(old: str, name: str, suite: str, new: str) -> None:
    found = sources.for_suite([Source("http://mirror.example", (old,), ("main",))], name, suite)
    assert [source.suites for source in found] == ([(new,)] if new else [])


def test_what_was_written_reads_back_as_it_was() -> None:
    machine = list(sources.parse_deb822(DEBIAN_DEB822))
    assert list(sources.parse_deb822(sources.as_deb822(machine))) == machine


@pytest.mark.parametrize(
    ("os_release", "name"),
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\nNAME="Debian GNU/Linux"\n', "bookworm"),
        ("ID=ubuntu\nUBUNTU_CODENAME=noble\nVERSION_CODENAME=noble\n", "noble"),
        ("ID=linuxmint\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME='noble'\n", "noble"),
        ("ID=debian\n", ""),
        ("", ""),
    ],
)
def test_code_name(os_release: str, name: str) -> None:
    assert sources.code_name(os_release) == name


def test_both_formats_are_read_from_the_machine(tmp_path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "more.list").write_text("deb http://two.example/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "ubuntu.sources").write_text(UBUNTU_DEB822)
    (tmp_path / "sources.list.d" / "old.list.save").write_text(
        "deb http://old.example/debian bookworm main\n"
    )
    assert [source.uri for source in sources.read_machine(tmp_path)] == [
        "http://one.example/debian",
        "http://two.example/debian",
        "http://mirror.example/ubuntu/",
    ]


def test_a_machine_without_apt_has_no_sources(tmp_path) -> None:
    assert sources.read_machine(tmp_path / "nothing") == []
