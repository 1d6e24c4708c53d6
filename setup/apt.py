"""Packages of the distribution, unpacked without root and without touching the system.

apt's own downloader does the work with a private configuration, index and status, so that its signatures are what is
trusted. A program is unpacked with every library it needs, C library included, and started by that library's own
loader: so a newer release's program runs on an older machine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from setup import child, sources

# What of a program's dependencies it needs to run; the rest sets up services, users and passwords.
_LIBRARY = re.compile(r"^(lib|zlib)")
_INSTALL = re.compile(r"^Inst (?P<name>\S+) (?:\[\S+\] )?\((?P<version>\S+) .*\[(?P<arch>\w+)\]\)")
_TROUBLE = re.compile(r"^(E:|W: Failed|W: GPG)")

_UPDATE_SECONDS = 300
_DOWNLOAD_SECONDS = 300


class NotThere(Exception):
    """The distribution does not have it, or cannot be reached; the text says which."""


@dataclass(frozen=True)
class Package:
    """One package of one architecture in one version."""

    name: str
    version: str
    arch: str

    @property
    def words(self) -> str:
        """The package as apt-get's command line names it."""
        return f"{self.name}:{self.arch}={self.version}"


def configuration(directory: Path, architectures: Sequence[str]) -> str:
    """Return the text of a configuration that keeps apt inside `directory`.

    It is read after the system's own (`-c`), whose proxies and certificates therefore hold. Cleared is what would
    run programs after an update, fetch pictures for shops of software, or pin another release.
    """
    return f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::CNF;
#clear APT::Architectures;
Dir::Etc::sourcelist "{directory}/machine.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{directory}/state";
Dir::State::Lists "{directory}/lists";
Dir::State::status "{directory}/status";
Dir::Cache "{directory}/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
APT::Architecture "{architectures[0]}";
APT::Architectures {{ {" ".join(f'"{name}";' for name in architectures)} }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""


def closure(simulation: str, program: str, beside: Sequence[str] = ()) -> list[Package]:
    """Return `program`, its libraries and what it needs `beside` it from a simulated installation on an empty machine."""
    found = [
        Package(match["name"].partition(":")[0], match["version"], match["arch"])
        for match in map(_INSTALL.match, simulation.splitlines())
        if match
    ]
    return [
        package for package in found if package.name in (program, *beside) or _LIBRARY.match(package.name)
    ]


def native_architecture() -> str:
    """Return dpkg's name of this machine's architecture; raise NotThere where there is no apt."""
    for program in ("apt-get", "dpkg", "dpkg-deb"):
        if not shutil.which(program):
            raise NotThere(f"{program} is not installed")
    try:
        return child.run(["dpkg", "--print-architecture"], seconds=10).strip()
    except child.Failed as error:
        raise NotThere(str(error)) from None


class Archive:
    """The private index of one suite. A context: the index (some 40 MB) goes when it is left."""

    def __init__(
        self, directory: Path, archives: Sequence[sources.Source], architectures: Sequence[str]
    ) -> None:
        """Keep everything in `directory`, which is emptied first: an interrupted run may have left something."""
        self._directory = directory
        self._archives = archives
        self._architectures = architectures
        self._trouble = ""

    def __enter__(self) -> Self:
        """Fetch the index; raise NotThere if none of it could be had."""
        if not self._archives:
            raise NotThere("apt has no archive of the distribution itself configured")
        shutil.rmtree(self._directory, ignore_errors=True)
        for name in ("state", "lists/partial", "cache/archives/partial", "download"):
            (self._directory / name).mkdir(parents=True)
        (self._directory / "status").touch()
        (self._directory / "machine.sources").write_text(sources.as_deb822(self._archives), encoding="utf-8")
        (self._directory / "apt.conf").write_text(
            configuration(self._directory, self._architectures), encoding="utf-8"
        )
        try:
            # Status 100: one of several archives failed. Whether what is needed is there shows when it is asked for.
            output = self._apt("update", seconds=_UPDATE_SECONDS, accept=(0, 100))
            self._trouble = next(filter(_TROUBLE.match, output.splitlines()), "")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the index and what was downloaded."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def find(self, program: str, arch: str, beside: Sequence[str] = ()) -> list[Package]:
        """Return the package `program`, its libraries and packages `beside`; raise NotThere if the suite lacks it."""
        simulation = self._apt("install", "--simulate", f"{program}:{arch}", seconds=60, accept=(0, 100))
        found = closure(simulation, program, beside)
        if not any(package.name == program for package in found):
            raise NotThere(f"no package {program} for {arch} {self._trouble}".rstrip())
        return found

    def unpack(self, packages: Sequence[Package], into: Path) -> None:
        """Download `packages` and unpack them into the new directory `into`."""
        download = self._directory / "download"
        shutil.rmtree(download, ignore_errors=True)
        download.mkdir()
        self._apt(
            "download", *(package.words for package in packages), seconds=_DOWNLOAD_SECONDS, cwd=download
        )
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        for file in sorted(download.glob("*.deb")):
            try:
                child.run(["dpkg-deb", "--extract", file, into], seconds=60)
            except child.Failed as error:
                raise NotThere(str(error)) from None
        # Manuals, translations and character sets are half of it and never read here.
        for waste in (into / "usr" / "share" / "doc", *into.glob("usr/share/locale"), *into.rglob("gconv")):
            shutil.rmtree(waste, ignore_errors=True)

    def _apt(self, *words: str, seconds: float, cwd: Path | None = None, accept: Sequence[int] = (0,)) -> str:
        try:
            return child.run(
                ["apt-get", "-c", self._directory / "apt.conf", "-q", "-y", *words],
                seconds=seconds,
                cwd=cwd,
                accept=accept,
            )
        except child.Failed as error:
            raise NotThere(str(error)) from None
