"""What pytest is told of a rig: options, marks, the fixture `rig`, which tests are skipped or failed and why, the report."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from hil_tests.capability import Capability, RigError
from hil_tests.needing import MARK, missing
from hil_tests.report import FAILED, PASSED, SKIPPED, Result, page

if TYPE_CHECKING:
    from hil_tests.interface import Rig
    from hil_tests.real_rig import RealRig
    from hil_tests.rig_file import RigFile, RigNode
    from hil_tests.virtual_rig import VirtualRig
    from zaehlwerk_tools.technician.manifest import Manifest

# Every run of pytest in the checkout loads this: what a rig is made of is loaded when there is one.
CHECKOUT = Path(__file__).resolve().parents[1]
SUITE = Path(__file__).parent / "suite"
FIRST = "test_wiring.py"
KEPT = ("serial.log", "air.jsonl", "mqtt.jsonl", "bridge.log", "broker.log", "trace.json")
NO_RIG = "--require-rig: no rig is described, so these tests would run on virtual boards only; name the rig with --rig rig.toml"
Build = tuple["Manifest", dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Described:
    """The rig of this run, and the build that its node must have."""

    rig: RigFile
    node: RigNode
    build: Build


DESCRIBED = pytest.StashKey[Described | None]()
_results: list[Result] = []
"""Of this process: the hook for reports is not told the configuration."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """See docs/rig.md."""
    group = parser.getgroup("rig")
    group.addoption("--rig", metavar="FILE", help="rig.toml: run the suite on the boards that it describes")
    group.addoption("--rig-node", metavar="NAME", help="which node of the rig; the only one unless named")
    group.addoption(
        "--require-rig", action="store_true", help="no virtual boards, and fail where a test would be skipped"
    )
    group.addoption("--hil", action="store_true", help="all of the suite, not only what is marked fast")
    group.addoption(
        "--build", metavar="DIR", help="the firmware build under test; the checkout's unless named"
    )
    group.addoption("--firmware", metavar="DIR", help="sources of another firmware, for virtual boards")
    group.addoption(
        "--rig-logs", metavar="DIR", help="keep what was said on serial line, air and MQTT there, per test"
    )
    group.addoption("--rig-report", metavar="FILE", help="write the report of the run as one HTML page")


def pytest_configure(config: pytest.Config) -> None:
    """Marks; a rig that is described wrongly ends the run here."""
    config.addinivalue_line("markers", f"{MARK}(*capabilities): what of a rig the test takes")
    config.addinivalue_line("markers", "fast: of the suite of the rig, part of every `make test`")
    config.addinivalue_line("markers", "whole: of the rig's own tests, in real time and only with --hil")
    _results.clear()
    config.stash[DESCRIBED] = None
    named = config.getoption("--rig")
    if named is None:
        if config.getoption("--require-rig"):
            raise pytest.UsageError(NO_RIG)
        return
    if config.getoption("--firmware"):
        raise pytest.UsageError("--firmware is for virtual boards: at a rig --build names what is under test")
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("--rig: there is one board, so no -n: leave it away")
    from hil_tests.rig_file import read_rig
    from zaehlwerk_tools.technician.troubles import TechnicianError

    try:
        rig = read_rig(Path(named))
        node = rig.node(config.getoption("--rig-node"))
        build = _build(config.getoption("--build"))
    except (RigError, TechnicianError) as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[DESCRIBED] = Described(rig, node, build)


def _build(folder: str | None) -> Build:
    from zaehlwerk_tools.technician.firmware_build import build_firmware
    from zaehlwerk_tools.technician.manifest import read_build

    if folder is not None:
        manifest, contents = read_build(Path(folder))
        return manifest, dict(contents)
    with tempfile.TemporaryDirectory(prefix="firmware-") as name:
        out = Path(name) / "build"
        build_firmware(CHECKOUT / "firmware", CHECKOUT / "protocol" / "zaehlwerk_protocol", out)
        manifest, contents = read_build(out)
        return manifest, dict(contents)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The fast ones unless all are wanted, the wiring first."""
    chosen: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        of_the_suite = item.path.parent == SUITE
        fast = bool(item.get_closest_marker("fast")) if of_the_suite else not item.get_closest_marker("whole")
        (chosen if fast or config.getoption("--hil") else left).append(item)
        if of_the_suite and config.stash[DESCRIBED] is not None:
            # Hours, where virtual time takes seconds.
            item.add_marker(pytest.mark.timeout(0))
    if left:
        config.hook.pytest_deselected(items=left)
    items[:] = sorted(chosen, key=lambda item: item.path.parent == SUITE and item.path.name != FIRST)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or with --require-rig fail, what the rig has not the means for."""
    described = item.config.stash[DESCRIBED]
    there = frozenset(Capability) if described is None else described.node.capabilities
    for mark in item.iter_markers(MARK):
        lacking = missing(mark.args, there)
        if lacking:
            reason = f"the rig has no {' and no '.join(lacking)}"
            if item.config.getoption("--require-rig"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@pytest_asyncio.fixture
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A node at a rig, not started yet."""
    from hil_tests import trace
    from hil_tests.real_rig import RealRig
    from hil_tests.virtual_rig import Firmware, VirtualRig, checkout_firmware

    config = request.config
    described = config.stash[DESCRIBED]
    made: VirtualRig | RealRig
    if described is None:
        source = config.getoption("--firmware")
        cache = CHECKOUT / ".runtime" / "node"
        made = VirtualRig(tmp_path, Firmware.of(Path(source), cache) if source else checkout_firmware())
    else:
        made = RealRig(tmp_path, described.rig, described.node, described.build)
        await made.connect()
    try:
        yield made
    finally:
        if made.started is not None:
            trace.keep(made, tmp_path)
        await made.close()
        if config.getoption("--rig-logs"):
            _keep_logs(tmp_path, log_folder(config, request.node.nodeid))


def _keep_logs(made: Path, to: Path) -> None:
    """What was said, without flash images, databases and keys. Of an earlier run nothing stays."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for name in KEPT:
        if (made / name).exists():
            shutil.copyfile(made / name, to / name)


def log_folder(config: pytest.Config, test: str) -> Path:
    """Where the logs of a test are kept."""
    return Path(config.getoption("--rig-logs")) / re.sub(r"[^\w.-]+", "_", test)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Kept for the report; with several workers it is the first process that hears of all."""
    outcome = {"passed": PASSED, "failed": FAILED, "skipped": SKIPPED}[report.outcome]
    if report.when == "call" or report.outcome != "passed":
        said = "" if outcome == PASSED else report.longreprtext
        if outcome == SKIPPED and isinstance(report.longrepr, tuple):
            said = str(report.longrepr[2])
        _results.append(Result(report.nodeid, outcome, report.duration, said))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, if one is wanted."""
    config = session.config
    wanted = config.getoption("--rig-report")
    if not wanted or hasattr(config, "workerinput"):
        return
    from hil_tests import trace

    results = []
    for one in _results:
        there = trace.kept(log_folder(config, one.test)) if config.getoption("--rig-logs") else {}
        results.append(Result(one.test, one.outcome, one.seconds, one.said, there))
    path = Path(wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(_facts(config), results), encoding="utf-8")


def _facts(config: pytest.Config) -> dict[str, str]:
    described = config.stash[DESCRIBED]
    manifest = described.build[0] if described is not None else _build(config.getoption("--build"))[0]
    digest = hashlib.sha256(manifest.text().encode()).hexdigest()
    where = "virtual boards, in virtual time"
    if described is not None:
        where = f"rig {described.rig.name}, node {described.node.name} ({described.node.board})"
    return {
        "firmware": f"{manifest.firmware}, protocol {manifest.protocol}",
        "build": f"SHA-256 of its manifest {digest}",
        "compiler": manifest.compiler,
        "boards": where,
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
